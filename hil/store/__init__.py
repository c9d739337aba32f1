"""The run file: everything one command recorded, in one SQLite file that survives a power cut."""
