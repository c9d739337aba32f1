"""What only a Pico on a cable can show: that it has the board at rest by itself, whatever becomes of its host.

All leave it latched, V_th parked, as a dead host does; the next start clears it.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.errors import BenchError, ConnectionLostError, InputError
from drivers.pico.device import Pico
from drivers.pico.finding import find_port
from drivers.pico.link import PicoLink
from firmware import protocol

if TYPE_CHECKING:
    from serial import Serial

    from drivers.benchfile import BenchFile
    from drivers.signals import Frame

MARGIN_S = 0.5  # for the loop to notice and the DAC to be written
RESET_S = 2.0 + 3.0  # the chip's watchdog, and sources that start, compiled modules being faster
INTERRUPT = b"\x03"
ANSWERS_S = 10.0  # for a REPL, and for USB after a reset
AT_REST = (  # typed at the REPL: asks pins and DAC themselves
    "from settings import load; from dac import CHIPS, Threshold; from machine import I2C, Pin; v = load(); "
    "b = I2C(0, sda=Pin(0), scl=Pin(1), freq=400000); c = CHIPS[v['dac']](b, v['address'], v['vdd_uv']); "
    "t = Threshold(c, v['vth_min_uv'], v['vth_max_uv']); n = v['base']; "
    "print(c.read() == t.code(t.most_uv) and not any([Pin(i).value() for i in range(n, n + v['lines'])]))"
)
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


@dataclass(frozen=True)
class Interrupted:
    """What followed two Ctrl-C in the middle of a shot, and then a reset that was asked for."""

    at_rest: bool  # all lines low, V_th parked
    stays: bool  # the REPL, for longer than the chip's watchdog waits
    latch: str  # after the reset
    parked: bool
    back_s: float  # from the reset to the first answer


def is_interrupted_twice(pico: Pico, vth_v: float, shot: Frame) -> Interrupted:
    """Play a shot and press Ctrl-C twice in it, a millisecond apart; ask the REPL, and begin again.

    `pico` is prepared; it is let go. Raises ConnectionLostError, BenchError.
    """
    import serial

    pico.set_threshold(vth_v)
    pico.load(shot)
    pico.start()
    port = pico.link.port
    pico.vanish()
    try:
        with serial.Serial(port, timeout=0.1, write_timeout=1, exclusive=True) as host:
            host.write(INTERRUPT)
            time.sleep(1e-3)
            host.write(INTERRUPT)
            _said(host, b">>> ")
            at_rest = b"True" in _typed(host, AT_REST)
            time.sleep(RESET_S)
            stays = b"42" in _typed(host, "print(6 * 7)")
            host.write(b"import machine\rmachine.reset()\r")
            host.flush()
    except serial.SerialException as error:
        raise ConnectionLostError(f"the Pico at {port} is gone ({error}): plug it in again") from error
    began = time.monotonic()
    with closing(_back(port)) as link:
        link.greet()
        back_s = time.monotonic() - began
        found = _found(link)
    return Interrupted(at_rest, stays, found.latch, found.parked, back_s)


def _typed(host: Serial, statement: str) -> bytes:
    """What a statement prints; its echo has no such word."""
    host.write(statement.encode() + b"; print('E' + 'ND')\r")
    return _said(host, b"END").rpartition(b"'ND')")[2]


def _said(host: Serial, wanted: bytes) -> bytes:
    """All it says up to what is wanted; raises BenchError."""
    said = b""
    until = time.monotonic() + ANSWERS_S
    while wanted not in said:
        if time.monotonic() > until:
            raise BenchError(f"no REPL answers at {host.port} after Ctrl-C; it said {said[-80:]!r}")
        said += host.read(max(1, host.in_waiting))
    return said


def _back(port: str) -> PicoLink:
    """The line to it, once USB has it again."""
    until = time.monotonic() + ANSWERS_S
    while True:
        try:
            return PicoLink(port)
        except ConnectionLostError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


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
