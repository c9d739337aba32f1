"""`hil flash` with the real mpremote, against the REPL of a real MicroPython behind a pseudo-terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from drivers.benchfile import BoardSettings
from drivers.device import load_device
from drivers.errors import BenchError, ConnectionLostError, InputError
from drivers.mock.board import Board
from drivers.mock.pico import PicoServer
from drivers.mock.pico.server import micropython
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
    assert "would copy protocol.py\n" in said
    assert "VERSION = 0" in (server.flash / "protocol.py").read_text()
    assert main(["flash", "--port", server.port]) == 0
    assert f"firmware {protocol.FIRMWARE} is there and runs; 1 files copied" in capsys.readouterr().out
    assert flash.look(server.port).files == flash.digests()


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
    assert f"{len(protocol.FILES)} files copied" in said
    assert (server.flash / "blink.py").exists()


def test_a_copy_that_differs_is_noticed(server: PicoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def bad_copy(port: str, names: list[str]) -> None:
        (server.flash / "dac.py").write_text("# worn out\n")

    monkeypatch.setattr(flash, "copy", bad_copy)
    with pytest.raises(BenchError, match=r"dac\.py, protocol\.py on the Pico is not what was sent"):
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
