"""From parts on a table to a bench that is proven: what is there, its bench file, the DAC's EEPROM, acceptance."""
