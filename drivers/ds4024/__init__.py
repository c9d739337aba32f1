"""The RIGOL DS4024 as axon reader."""
