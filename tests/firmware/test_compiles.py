"""Every firmware file compiles for a Pico and a Pico 2: a 64-bit machine takes what their 31-bit small ints do not."""

from __future__ import annotations

import pytest

from drivers.pico import image
from firmware import protocol

ARM = {"armv6m": 4, "armv7emsp": 7}


def mpy(number: int) -> int:
    """sys.implementation._mpy of MicroPython 1.23 to 1.29 on that architecture."""
    return number << 10 | 3 << 8 | 6


@pytest.mark.parametrize("architecture", ARM)
def test_it_compiles_for_a_pico(architecture: str) -> None:
    made = image.compiled(mpy(ARM[architecture]))
    assert list(made) == [image.MANIFEST, *protocol.compiled(protocol.FILES)]
    assert all(content[:2] == b"M\x06" for name, content in made.items() if name.endswith(".mpy"))
    assert made["quick.mpy"][2] >> 2 == ARM[architecture]  # has machine code
    assert made["main.py"] == image.sources()["main.py"]
    said = made.pop(image.MANIFEST).decode().split()
    assert said == [image.digest(image.sources()), image.digest(made), protocol.FIRMWARE]


def test_a_constant_of_32_bits_in_machine_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `int & 0x7FFFFFFF` was once: it could not be imported on a Pico."""
    sources = image.sources()
    sources["quick.py"] = sources["quick.py"].replace(b"0x3FFFFFFF", b"0x7FFFFFFF")
    monkeypatch.setattr(image, "sources", lambda: sources)
    with pytest.raises(image.NotCompiledError, match=r"quick\.py.*can't do binary op"):
        image.compiled(mpy(4))
    image.compiled(mpy(2))  # on 64 bits nothing is wrong with it


def test_an_interpreter_that_takes_other_modules_is_told() -> None:
    with pytest.raises(image.NotCompiledError, match=r"version 6\.3, this MicroPython takes 6\.2"):
        image.compiled(4 << 10 | 2 << 8 | 6)
    with pytest.raises(image.NotCompiledError, match="cannot be compiled for this interpreter"):
        image.compiled(0)
