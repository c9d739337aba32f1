"""Stand-ins for MicroPython modules, for the interpreter that runs the firmware of the twin."""
