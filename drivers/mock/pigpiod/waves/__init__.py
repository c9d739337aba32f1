"""Waves: as the daemon stores them, chains them, and plays them (pigpio.c v79)."""
