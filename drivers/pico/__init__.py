"""The Raspberry Pi Pico with our firmware: pulse source, axon reader and threshold source."""
