"""Runs for people and other programs: the page, its charts, exports and figures."""
