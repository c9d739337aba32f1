"""Measurements of speed and of statistical quality; not tests."""
