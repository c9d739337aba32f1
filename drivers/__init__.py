"""One module per piece of hardware, plus the vocabulary they share."""
