"""The twin's chip beside its firmware: what interrupts, and whom."""

from __future__ import annotations

from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.pico.chip import Chip
from drivers.mock.pico.dma import Channel
from drivers.mock.pico.soldered import Pins
from drivers.settings import BoardSettings, Wiring


def test_a_transfer_that_an_interrupt_took_off_interrupts_nobody() -> None:
    """Two have ended when the chip looks; the firmware, interrupted by the first, does away with the second."""
    clock = [0]
    board = Board(load_device("ideal"), BoardSettings(), clock=lambda: clock[0])
    pins = Pins(Wiring(dendrite=2, reset=3, sync=4))
    chip = Chip(board, pins, "none", 3.3, lambda: None)
    heard: list[int] = []

    def interrupted(_what: str, number: int) -> None:
        heard.append(number)
        chip.dma.op_dma_abort(2)

    chip.interrupt = interrupted
    chip.dma.channels.update({1: Channel(0, 0, on=True, told=False), 2: Channel(1, 0, on=True, told=False)})
    chip._ends.append(1_000)
    clock[0] = 2_000
    chip.look()
    assert heard == [1]
