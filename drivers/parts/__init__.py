"""Which parts there are, what a kind of part is, and how a bench's parts are put together."""
