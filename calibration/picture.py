"""Pictures on their way to a file: drawn without a display, and written whole or not at all."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.durable import replacing
from drivers.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches; it belongs to no window and goes when nobody holds it. Raises InputError."""
    try:
        from matplotlib.figure import Figure
    except ValueError as error:  # matplotlib reads it when it is imported, whether or not there will be a window
        named = os.environ.get("MPLBACKEND")
        raise InputError(
            f"MPLBACKEND is {named!r}, which matplotlib does not know: unset it, pictures need none"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, *files: Path, dpi: int = 130) -> None:
    """Write a picture, in the format that each file's suffix names (png, svg, pdf …): all files or none.

    Raises InputError naming the file.
    """
    known: dict[str, Any] = figure.canvas.get_supported_filetypes()
    with ExitStack() as stack:
        for file in files:
            suffix = file.suffix.removeprefix(".").lower()
            if suffix not in known:
                raise InputError(f"figure {file}: its suffix must name a format: {', '.join(sorted(known))}")
            figure.savefig(stack.enter_context(replacing(file, "figure")), format=suffix, dpi=dpi)
