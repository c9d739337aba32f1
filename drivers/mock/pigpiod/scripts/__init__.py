"""Scripts that clients store in the daemon: their text, and the threads that run them (pigpio.c, command.c v79)."""
