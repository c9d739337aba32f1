"""What only a MicroPython of 32 bits with a small memory can show, where there is one."""

from __future__ import annotations

import os

import pytest

from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.pico import PicoServer
from drivers.pico.link import PicoLink
from drivers.settings import BoardSettings

GIVEN = os.environ.get("MICROPYTHON32")


@pytest.mark.skipif(
    not GIVEN,
    reason="no MICROPYTHON32 (MicroPython's unix port, built for 32 bits): what is run here has 64 bits and 2 MB, so "
    "that only compiling for a Pico and the ledger of large blocks speak for its small ints and memory",
)
def test_the_twin_runs_in_32_bits_and_a_picos_memory() -> None:
    """With MICROPYTHON32 set, every test of the Pico's twin does."""
    with PicoServer(Board(load_device("ideal"), BoardSettings(addresses=4))) as server:
        link = PicoLink(server.port)
        link.begin()
        link.greet()
        limits, status = link.ask("limits"), link.ask("status")
        link.close()
    assert limits["bank_slots"] == "1024"  # as on a Pico W
    assert 0 < int(status["free_bytes"]) < 190_000
