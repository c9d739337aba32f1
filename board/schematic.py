"""The schematic, drawn with schemdraw: three SVG sheets, with the names of board.parts and board.nets."""

from __future__ import annotations

from pathlib import Path

import schemdraw

from board.sheet_logic import control
from board.sheet_membrane import membrane
from board.sheet_supply import supply

SHEETS = {"membrane": membrane, "logic": control, "supply": supply}


def draw(sheet: str, file: Path) -> None:
    """Draw one sheet; the suffix of the file chooses SVG or, with matplotlib, PNG."""
    schemdraw.use("svg" if file.suffix == ".svg" else "matplotlib")
    with schemdraw.Drawing(file=str(file), show=False, fontsize=11, unit=2.4, lw=1.2) as drawing:
        SHEETS[sheet](drawing)
