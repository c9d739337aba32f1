"""The network in software, its weights and its digits; and how its numbers become pulses and come back."""
