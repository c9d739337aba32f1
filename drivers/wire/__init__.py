"""Every byte to and from pigpiod, oscilloscope and Pico on one tape, and the other side played again from it."""
