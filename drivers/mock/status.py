"""What a served bench says of itself to whoever asks: one JSON object a connection (`drivers.witness` asks)."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drivers.mock.loopback import LOOPBACK, LoopbackServer

if TYPE_CHECKING:
    from drivers.mock.board import Board


class StatusServer:
    """Answers every connection with the state of the board and what else is known; a context manager."""

    def __init__(self, board: Board, more: Callable[[], dict[str, Any]]) -> None:
        self._board = board
        self._more = more
        self._server = LoopbackServer(self._serve)
        self.address = f"{LOOPBACK}:{self._server.port}"

    def __enter__(self) -> StatusServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.close()

    def _serve(self, sock: socket.socket) -> None:
        sock.sendall(json.dumps(self.status()).encode() + b"\n")

    def status(self) -> dict[str, Any]:
        """Misuse so far with the latest entries, and what the board has had."""
        board = self._board
        return {
            "misuse": board.misuse.count,
            "latest": [{"at": at.isoformat(), "what": str(error)} for at, error in board.misuse.entries()],
            "pulses": board.pulses_total,
            "resets": board.resets_total,
            "vth_v": board.threshold_v,
            "lines": board.levels(),
            "late_s": getattr(board.clock, "late_s", 0.0),
            "threads": threading.active_count(),
            **self._more(),
        }
