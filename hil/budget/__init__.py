"""Where a network loses its digits on the way from numbers to pulses, spikes and traces."""
