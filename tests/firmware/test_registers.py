"""Addresses of an RP2040 and of an RP2350, against pico-sdk 2.2.0 (src/rp2040 and src/rp2350/hardware_regs)."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.firmware import pico_modules

# addressmap.h: WATCHDOG_BASE, PIO0_BASE, PIO1_BASE; dreq.h has for both chips: PIO block n, TX 8 n, RX 8 n + 4
CHIPS = {"RP2040": (0x40058000, 0x50200000, 0x50300000), "RP2350": (0x400D8000, 0x50200000, 0x50300000)}
SET, CLEAR = 0x2000, 0x3000  # aliases that set and clear bits
REASON, TIMER, FORCE = 8, 1, 2  # watchdog.h
WATCHDOG_RESET = 3  # machine.WDT_RESET


@pytest.fixture(params=CHIPS)
def chip(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int, int]:
    text = f"Raspberry Pi Pico{' 2' if request.param == 'RP2350' else ''} with {request.param}"
    monkeypatch.setattr(sys.implementation, "_machine", text, raising=False)
    return CHIPS[request.param]


def test_the_right_registers_are_used(chip: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    modules: Any = pico_modules.load()
    written: dict[int, int] = {}
    monkeypatch.setattr(modules.registers.machine, "mem32", written)
    monkeypatch.setattr(modules.registers.machine, "reset_cause", lambda: WATCHDOG_RESET)
    watchdog, first, second = chip
    modules.registers.start_machines(0, 3)
    modules.registers.start_machines(1, 1)
    modules.registers.stop_watchdog()
    assert written == {first + SET: 3, second + SET: 1, watchdog + CLEAR: 1 << 30}
    for reason, hung in ((TIMER, True), (FORCE, False), (TIMER | FORCE, True), (0, False)):
        written[watchdog + REASON] = reason
        assert modules.registers.hung() == hung
