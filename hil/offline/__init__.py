"""Recordings that were made elsewhere: decoded with or without the plan they were played by, and kept as a run file."""
