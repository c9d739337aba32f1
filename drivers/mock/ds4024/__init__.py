"""A simulated RIGOL DS4024 in front of the simulated board, for unmodified VISA clients over loopback."""
