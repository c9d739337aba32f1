"""Put the firmware on a Pico, verify it, and say what was there before. Needs mpremote (the extra `flash`)."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drivers.errors import BenchError, ConnectionLostError, InputError
from drivers.pico.finding import find_port
from drivers.pico.image import MANIFEST, NotCompiledError, compiled, outdated, sources
from drivers.pico.link import PicoLink
from firmware import protocol
from hil.terminal.install import install_extra
from hil.terminal.visible import visible

LEAST_VERSION = (1, 24, 1)  # rp2.DMA takes a StateMachine from here on: micropython/micropython#14228
COMMAND_S = 20.0  # a command takes a second or two; mpremote waits for ever where the REPL missed its first bytes
TRIES = 3  # every command does the same when it is sent again
BOOT_S = 8.0

# Runs on the Pico; prints one line of JSON.
_LOOK = """
import hashlib, json, os, sys
def digest(name):
    total = hashlib.sha256()
    with open(name, "rb") as file:
        while True:
            block = file.read(512)
            if not block:
                return "".join(["%02x" % byte for byte in total.digest()])
            total.update(block)
def version(names):
    if "compiled.txt" in names:
        return open("compiled.txt").read().split()[2]
    if "protocol.py" in names:
        for line in open("protocol.py"):
            if line.startswith("FIRMWARE"):
                return line.split('"')[1]
    return ""
names = [name for name in os.listdir() if name.endswith(".py") or name.endswith(".mpy") or name == "compiled.txt"]
print(json.dumps({
    "version": list(sys.implementation.version[:3]),
    "machine": getattr(sys.implementation, "_machine", ""),
    "mpy": getattr(sys.implementation, "_mpy", 0),
    "firmware": version(names),
    "files": {name: digest(name) for name in names},
}))
"""


@dataclass(frozen=True)
class Found:
    """What is on a Pico: MicroPython's version, the chip, the compiled modules it takes, our firmware's version ("" for
    none), digests of files.
    """

    version: tuple[int, ...]
    machine: str
    mpy: int
    firmware: str
    files: dict[str, str]

    def text(self) -> str:
        """In a few words."""
        there = f"firmware {self.firmware}" if self.firmware else "no firmware of ours"
        others = ", ".join(sorted({*self.files} - {*protocol.FILES, *protocol.compiled(protocol.FILES), MANIFEST}))
        return f"{there}, MicroPython {'.'.join(map(str, self.version))}" + (f", also {others}" if others else "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Port and dry run."""
    parser.add_argument("--port", help="serial port of the Pico (default: found by its USB identity)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be copied, change nothing")


def run(args: argparse.Namespace) -> int:
    """Flash; raises InputError without mpremote, ConnectionLostError without a Pico, BenchError where it fails."""
    if importlib.util.find_spec("mpremote") is None:
        raise InputError(f"hil flash needs mpremote: {install_extra('flash')}")
    port = args.port or find_port()
    found = look(port)
    print(visible(f"{port}: {found.text()}"))
    if found.version < LEAST_VERSION:
        raise BenchError(
            f"MicroPython {'.'.join(map(str, found.version))} is too old, at least "
            f"{'.'.join(map(str, LEAST_VERSION))} is needed: hold BOOTSEL, plug the Pico in, copy the .uf2 from "
            "micropython.org on it, then flash again"
        )
    wanted = image(found)
    changed = [name for name, digest in digests(wanted).items() if found.files.get(name) != digest]
    gone = outdated(found.files, wanted)
    if args.dry_run:
        _mpremote(port, "reset")  # looking has stopped it
        if found.firmware:
            _running(port)
        print(f"would copy {', '.join(changed)}" if changed else "nothing to copy: it has this firmware")
        return 0
    if changed or gone:
        copy(port, {name: wanted[name] for name in (*changed, "main.py")}, gone)
    _verify(port, wanted)
    _mpremote(port, "reset")
    print(f"firmware {visible(str(_running(port)))} is there and runs; {len(changed)} files copied")
    return 0


def image(found: Found) -> dict[str, bytes]:
    """The files for this Pico: compiled modules, or where these cannot be had the sources, which it says."""
    try:
        return compiled(found.mpy)
    except NotCompiledError as error:
        print(f"sources will do, but start more slowly: {visible(str(error))}")
        return sources()


def digests(wanted: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of files."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in wanted.items()}


def look(port: str) -> Found:
    """What is there now; the firmware is stopped, which leaves the board safe."""
    lines = _mpremote(port, "resume", "exec", _LOOK).strip().splitlines()
    try:
        seen = json.loads(lines[-1])
        return Found(tuple(seen["version"]), seen["machine"], seen["mpy"], seen["firmware"], seen["files"])
    except (IndexError, ValueError, KeyError) as error:
        raise BenchError(f"what is at {port} is no MicroPython: it said {lines[-1:]}") from error


def copy(port: str, wanted: Mapping[str, bytes], gone: Sequence[str]) -> None:
    """Copy files, main.py last: a Pico that loses power meanwhile starts nothing, with its pins at rest. Those that
    would be in the way are removed.
    """
    from rich.console import Console
    from rich.progress import track

    old = repr(["main.py", *gone])
    _mpremote(port, "resume", "exec", f"import os\nfor n in {old}:\n if n in os.listdir(): os.remove(n)")
    order = sorted(wanted, key=lambda name: (name == "main.py", name))
    with tempfile.TemporaryDirectory() as folder:
        for name in track(order, "copying", console=Console(stderr=True), transient=True):
            path = Path(folder) / name
            path.write_bytes(wanted[name])
            _mpremote(port, "resume", "fs", "cp", str(path), f":{name}")


def _verify(port: str, wanted: Mapping[str, bytes]) -> None:
    there = look(port).files
    wrong = [name for name, digest in digests(wanted).items() if there.get(name) != digest]
    if wrong:
        raise BenchError(f"{', '.join(wrong)} on the Pico is not what was sent: flash again, or its flash is worn out")


def _running(port: str) -> str:
    """The version that the restarted firmware gives; raises ConnectionLostError when it does not come up."""
    until = time.monotonic() + BOOT_S
    while True:
        try:
            link = PicoLink(port)
            try:
                link.begin()
                return link.ask("id")["firmware"]
            finally:
                link.close()
        except ConnectionLostError as error:
            if time.monotonic() > until:
                raise ConnectionLostError(f"the firmware was copied but does not start: {error}") from error
            time.sleep(0.1)


def _mpremote(port: str, *command: str) -> str:
    """Standard output of one mpremote command; raises BenchError with the last line of what went wrong."""
    for _ in range(TRIES):
        done = _try(port, *command)
        if done is not None:
            break
    else:
        raise ConnectionLostError(f"no answer at {port} in {TRIES} × {COMMAND_S:g} s: unplug the Pico and try again")
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise BenchError(f"mpremote at {port} failed: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout


def _try(port: str, *command: str) -> subprocess.CompletedProcess[str] | None:
    """One run of mpremote, None when it did not end in time."""
    try:
        return subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", port, *command],
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
