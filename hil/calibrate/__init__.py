"""What `hil calibrate` does on a bench, what comes of it, and how it is told."""
