"""Sweeps, fits, firing statistics, the calibration record and the device passport."""
