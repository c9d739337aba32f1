"""What a device has had: its passport, the ledger that is written ahead, and the account that a bench keeps."""
