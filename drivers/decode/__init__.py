"""Traces to axon spikes per slot: edges by a Schmitt trigger, pulses, and the slots they belong to."""
