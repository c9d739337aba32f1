"""Amounts as a person says them."""

from __future__ import annotations


def span(seconds: float) -> str:
    """Seconds."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.3f} s" if seconds < 10 else f"{seconds:,.1f} s"


def size(count: float) -> str:
    """Bytes."""
    for unit, much in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= much:
            return f"{count / much:,.1f} {unit}"
    return f"{count:,.0f} B"
