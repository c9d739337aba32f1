"""What only a Pico on a cable can show: that it has the board at rest by itself when its host falls silent or dies.

Both leave it latched, V_th parked, as a dead host does; the next start clears it. Nothing is played.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.errors import ConnectionLostError, InputError
from drivers.pico.device import Pico
from drivers.pico.link import PicoLink, find_port
from firmware import protocol

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile

MARGIN_S = 0.5  # for the loop to notice and the DAC to be written
RESET_S = 2.0 + 3.0  # the chip's watchdog, and sources that start, compiled modules being faster
CUT_AT = 700  # bytes of a payload: more than a head, no multiple of what is read at once


@dataclass(frozen=True)
class Found:
    """The latch that the Pico said afterwards, and whether V_th was parked."""

    latch: str
    parked: bool


def falls_silent(file: BenchFile, vth_v: float) -> Found:
    """Set V_th, then say nothing for `pico.heartbeat_timeout_s`. Raises InputError, ConnectionLostError, BenchError."""
    port, timeout_s = _set_up(file)
    with closing(PicoLink(port)) as link:
        _at_work(link, vth_v)
        time.sleep(timeout_s + MARGIN_S)
        return _found(link)


def dies_in_payload(file: BenchFile, vth_v: float) -> Found:
    """Set V_th, send half a payload and let go of the port. Raises InputError, ConnectionLostError, BenchError."""
    import serial

    port, timeout_s = _set_up(file)
    with closing(PicoLink(port)) as link:
        _at_work(link, vth_v)
    line = protocol.request(1, "data", protocol.data_args(1, 1, 0, b"\x05\x01" * 700))
    try:
        with serial.Serial(port, timeout=1, write_timeout=1, exclusive=True) as host:
            host.write(b"\n" + line[:CUT_AT])
            host.flush()
    except serial.SerialException as error:
        raise ConnectionLostError(f"the Pico at {port} is gone ({error}): plug it in again") from error
    time.sleep(timeout_s + RESET_S)
    with closing(PicoLink(port)) as link:
        link.greet()
        return _found(link)


def _set_up(file: BenchFile) -> tuple[str, float]:
    """Give it the wiring of this bench; returns its port, and how long it hears nothing before it parks, s."""
    if file.pico is None:
        raise InputError(f"bench {file.name!r} has no [pico] table")
    with closing(Pico(file)) as pico:
        pico.prepare()
    return file.pico.port or find_port(), file.pico.heartbeat_timeout_s


def _at_work(link: PicoLink, vth_v: float) -> None:
    """As in a session, but without a heartbeat."""
    link.greet()
    link.ask("clear")
    link.ask("vth", round(vth_v * 1e6))


def _found(link: PicoLink) -> Found:
    status = link.ask("status")
    return Found(status["latch"], status["parked"] == "1")
