"""Recordings that others made, as traces with exact codes: RIGOL .wfm and CSV, .npz, sigrok .sr, and our own HDF5."""
