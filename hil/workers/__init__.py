"""Work shared out over processes or machines; what comes of it is the same, bit by bit, whatever their number."""
