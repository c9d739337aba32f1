"""What all sheets of the schematic are drawn with; `d` is the drawing."""

from __future__ import annotations

from typing import Any

import schemdraw.elements as elm

NET = "#1a4f8a"  # the colour of net names


def tag(d: Any, at: tuple[float, float], text: str, align: str = "left") -> None:
    """Write a net's name or a note beside a point."""
    d += elm.Label().at(at).label(text, halign=align, valign="center", color=NET)


def switch(d: Any, at: Any, name: str, control: str) -> Any:
    """An analog switch from a point to the right, with what closes it; returns the element."""
    switch = elm.Switch().right().at(at).label(name, "top", ofst=0.35).label(control, "bottom", color=NET, ofst=0.3)
    d += switch
    return switch


def regulator(d: Any, label: str) -> Any:
    """A regulator whose input is here; returns the element."""
    chip = elm.Ic(
        pins=[elm.IcPin(name="IN", side="left"), elm.IcPin(name="OUT", side="right")], size=(4.6, 1.2), label=label
    ).anchor("IN")
    d += chip
    return chip
