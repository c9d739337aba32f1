"""The neuron of the twin: what pulses do to it, how it fires, what its membrane shows, and its random numbers."""
