"""Who this is: name, version, and a digest of the files that run, worked out once, at the start."""

import gc
import hashlib
import sys

import machine
import protocol

NAME = "hil-pico"
COMPILED = "compiled.txt"  # beside compiled modules: digest of the sources, digest of these, version
BLOCK = 512


class Identity:
    """`fields` are what `id` answers."""

    def __init__(self, boot: str):
        self.boot = boot
        self.digest, self.form = digest()

    def fields(self) -> "list[tuple[str, object]]":
        """Name, versions, digest, form of the files, chip."""
        machine_text = getattr(sys.implementation, "_machine", sys.platform).replace(" ", "_")
        return [
            ("name", NAME),
            ("protocol", protocol.VERSION),
            ("firmware", protocol.FIRMWARE),
            ("digest", self.digest),
            ("micropython", ".".join([str(part) for part in sys.implementation.version[:3]])),
            ("machine", machine_text),
            ("uid", "".join(["%02x" % byte for byte in machine.unique_id()])),
            ("boot", self.boot),
            ("form", self.form),
        ]


def digest() -> "tuple[str, str]":
    """Digest of the sources that run here, 16 hex digits, and `source` or `mpy`.

    Compiled modules differ from one compiler to the next, so what was compiled is taken from COMPILED, if the files
    are still those that were written with it; if not, the digest is theirs, which is no firmware's.
    """
    try:
        with open(COMPILED) as file:
            sources, written = file.read().split()[:2]
    except (OSError, ValueError):
        return over(protocol.FILES), "source"
    here = over(protocol.compiled(protocol.FILES))
    return sources if here == written else here, "mpy"


def over(names) -> str:
    """SHA-256 over name and content of files, 16 hex digits; `missing` where one cannot be read."""
    total = hashlib.sha256()
    block = bytearray(BLOCK)
    view = memoryview(block)
    for name in names:
        try:
            with open(name, "rb") as file:
                total.update(name.encode())
                size = file.readinto(block)
                while size:
                    total.update(view[:size])
                    size = file.readinto(block)
        except OSError:
            return "missing"
    gc.collect()
    return "".join(["%02x" % byte for byte in total.digest()[:8]])
