"""The pulse source pigpio: shots as DMA-timed waves through the daemon of a Raspberry Pi (not a Pi 5)."""
