"""Training the network with non-negative weights (PyTorch, the extra `train`)."""
