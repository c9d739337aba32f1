"""Pictures on their way to a file: drawn without a display, and written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from drivers.durable import replacing
from drivers.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches; it belongs to no window and goes when nobody holds it. Raises InputError."""
    _matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def printed(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Everything that a function draws has the one look of print.mplstyle; what others draw keeps theirs."""

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with as_file(files("calibration") / "print.mplstyle") as style, _matplotlib().rc_context(fname=style):
            return draw(*args, **kwargs)

    return drawn


def check_drawable() -> None:
    """Raise InputError where nothing can be drawn, before anything is played for a picture."""
    _matplotlib()


def _matplotlib() -> Any:
    try:
        import matplotlib as mpl
    except ValueError as error:  # matplotlib reads it when it is imported, whether or not there will be a window
        named = os.environ.get("MPLBACKEND")
        raise InputError(
            f"MPLBACKEND is {named!r}, which matplotlib does not know: unset it, pictures need none"
        ) from error
    return mpl


def save_figure(figure: Figure, *to: Path, dpi: int = 150) -> None:
    """Write a picture, in the format that each file's suffix names (png, svg, pdf …): all files or none.

    Raises InputError naming the file.
    """
    known: dict[str, Any] = figure.canvas.get_supported_filetypes()
    with ExitStack() as stack:
        for file in to:
            suffix = file.suffix.removeprefix(".").lower()
            if suffix not in known:
                raise InputError(f"figure {file}: its suffix must name a format: {', '.join(sorted(known))}")
            figure.savefig(stack.enter_context(replacing(file, "figure")), format=suffix, dpi=dpi)
