from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.pico.chip import Chip
from drivers.mock.pico.server import WIRING
from drivers.mock.pico.soldered import Pins
from drivers.settings import BoardSettings
from firmware import protocol
from tests.firmware import pico_modules

BOARD = BoardSettings(addresses=4)
SETUP = ["base=2", "lines=7", "addresses=4", "axon=15", "estop=22", "vbus=24", "dac=mcp4728", "vth_max_uv=2000000"]
TIMING = "timing adaptive 50 75 125 50 200 250"


class Inside:
    """The firmware in this process, on a simulated chip, in a time that moves only when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ns = 1_000_000_000
        self.resets = 0
        self.board = Board(load_device("ideal"), BOARD, clock=lambda: self.ns)
        self.pins = Pins(WIRING, axon=15, estop=22)
        self.chip = Chip(self.board, self.pins, "mcp4728", 3.3, self._reset)
        machine = "Raspberry Pi Pico with RP2040, twin in this process"
        monkeypatch.setattr(sys.implementation, "_machine", machine, raising=False)
        monkeypatch.setattr(time, "ticks_ms", lambda: self.ns // 1_000_000, raising=False)
        monkeypatch.setattr(time, "ticks_diff", lambda a, b: a - b, raising=False)
        monkeypatch.setattr(time, "ticks_add", lambda a, b: a + b, raising=False)
        monkeypatch.setattr(time, "sleep_ms", self.pass_ms, raising=False)
        self.modules: Any = pico_modules.load()
        self.modules.link.chip.ask = self._ask
        self.chip.interrupt = self._interrupt
        self.number = 0
        self.identity: Any = None
        self.station: Any = self.modules.station.Station()
        self.identity = self.modules.identity.Identity(self.station.boot)

    def _ask(self, op: str, fifo: memoryview | None = None, **values: object) -> object:
        sent = {} if fifo is None else {"fifo": bytes(fifo)}
        answer = self.chip.answer({"op": op, **sent, **values})
        if "errno" in answer:
            raise OSError(answer["errno"])
        if "bad_value" in answer:
            raise ValueError(answer["bad_value"])
        if "refused" in answer:
            raise RuntimeError(answer["refused"])
        return answer["value"]

    def _interrupt(self, what: str, number: int) -> None:
        self.modules.link.chip.handlers[(what, number)]()

    def _reset(self) -> None:
        self.resets += 1

    def restart(self, cause: int, reason: int) -> None:
        """The chip begins anew."""
        self.chip.power_on(cause, reason)
        self.modules.rp2.DMA.free = 0
        self.station = self.modules.station.Station()
        self.identity = self.modules.identity.Identity(self.station.boot)

    def pass_ms(self, ms: float) -> None:
        """Time goes by, the firmware's loop going round every millisecond."""
        until = self.ns + round(ms * 1e6)
        while self.ns < until:
            self.ns = min(self.ns + 1_000_000, until)
            self.chip.look()
            if hasattr(self, "station"):
                self.station.watch()
                self.station.advance()

    def line(self, raw: bytes) -> tuple[int, dict[str, str], str, str]:
        """The parsed reply to one raw line."""
        out: bytes = self.modules.commands.answer(self.station, self.identity, raw)
        assert out.endswith(b"\n")
        return protocol.parse_reply(out[:-1])

    def ask(self, text: str) -> dict[str, str]:
        """The fields of an OK reply; raises ProtocolError for an ERR."""
        self.number += 1
        number, fields, code, said = self.line(protocol.seal(f"{self.number} {text}")[:-1])
        assert number == self.number
        if code:
            raise protocol.ProtocolError(code, said, number)
        return fields

    def load(self, runs: list[tuple[int, int]], *, first_slot: int = 0, stamps: int = 0) -> int:
        """Load a shot in one piece; returns its number."""
        slots, pulses = sum(r for _, r in runs), sum(n * r for n, r in runs)
        played = sum(r for n, r in runs if n or self.station.player.banks.timing.fixed)
        shot = int(self.ask(f"load {first_slot} {slots} {played} {pulses} {stamps}")["shot"])
        packed = protocol.pack_runs([n for n, _ in runs], [r for _, r in runs])
        self.number += 1
        request = protocol.request(self.number, "data", protocol.data_args(self.number, shot, 0, packed))
        _, fields, code, said = self.line(request[:-1])
        if code:
            raise protocol.ProtocolError(code, said)
        assert fields["slots_left"] == "0"
        return shot

    def ready(self) -> None:
        """Set up, cleared, timed, with V_th at 0.7 V."""
        for text in (f"setup {' '.join(SETUP)}", "clear", TIMING, "vth 700000"):
            self.ask(text)


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Inside:
    monkeypatch.chdir(tmp_path)
    return Inside(monkeypatch)
