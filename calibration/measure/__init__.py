"""Measurements: what plays sweeps on a bench and says what they mean."""
