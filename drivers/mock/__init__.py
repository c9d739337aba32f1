"""The one twin: neuron and board, and the wire-level servers in front of them."""
