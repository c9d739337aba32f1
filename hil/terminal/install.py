"""What to type for an extra that is not installed: a command that exists, on this machine."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import hil


def install_extra(name: str) -> str:
    """The command that installs an extra of this package: from its folder, since no registry has it."""
    root = Path(hil.__file__).parents[1]
    if (root / "pyproject.toml").exists():
        return f"{shlex.quote(sys.executable)} -m pip install -e {shlex.quote(f'{root}[{name}]')}"
    return f"pip install '.[{name}]', in the folder of its source"
