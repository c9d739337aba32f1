"""The bench supply on the twin's V_th net, where no DAC is under test."""

from __future__ import annotations

from drivers.mock.board import Board

PARKED_V = 2.0


class BoardThreshold:
    """A `ThresholdSource` that turns the knob of the simulated board."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.parked = 0

    @property
    def identity(self) -> dict[str, str]:
        return {"threshold": "board"}

    def prepare(self) -> None:
        self.park()

    def set_threshold(self, volts: float) -> float:
        self._board.set_threshold(volts)
        return volts

    def park(self) -> None:
        self.parked += 1
        self._board.set_threshold(PARKED_V)

    def close(self) -> None:
        self.park()
