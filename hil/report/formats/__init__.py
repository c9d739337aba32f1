"""Runs for other people's programs: sigrok sessions, VCD, Neo and NWB, NIR."""
