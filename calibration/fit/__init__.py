"""Pure mathematics over tallies of pulses and spikes: no bench, no files."""
