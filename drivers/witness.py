"""The witness of a simulated bench: what its lines were made to do that hardware would take in silence.

`hil mock serve` records misuse and goes on, as hardware would. A bench file that names its witness has every shot of
ours fail loudly in which there was any, whoever caused it.
"""

from __future__ import annotations

import json
import socket
from typing import Any

from drivers.errors import BenchError, ConnectionLostError, InputError

TIMEOUT_S = 10.0


def ask(address: str) -> dict[str, Any]:
    """The status of the simulated bench at host:port; raises InputError, ConnectionLostError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise InputError(f"witness = {address!r} is not host:port, such as 127.0.0.1:40000")
    try:
        with socket.create_connection((host, int(port)), TIMEOUT_S) as connection, connection.makefile("rb") as stream:
            status: dict[str, Any] = json.loads(stream.readline())
    except (OSError, ValueError) as error:
        raise ConnectionLostError(f"no simulated bench at {address}: {error}; start `hil mock serve`") from error
    return status


class Witness:
    """Asked after every shot; counts from when it was made."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._seen = int(ask(address)["misuse"])

    def check(self) -> None:
        """Raise BenchError if the board was misused since the last look."""
        status = ask(self._address)
        new, self._seen = int(status["misuse"]) - self._seen, int(status["misuse"])
        if new > 0:
            what = [entry["what"] for entry in status["latest"]][-min(new, len(status["latest"]))]
            raise BenchError(f"the simulated board was misused {new} times in this shot, first: {what}")
