"""The reference board: its parts, nets, schematic and simulation. See docs/how-to/board.md; nothing here was built."""
