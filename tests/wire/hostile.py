"""Hostile sessions on the twin's servers: random bytes, half requests, resets, slow readers, mutated valid traffic.

A session is a pure function of its seed. None of them asks for what would rightly disturb a bench (halting waves,
changing the oscilloscope's settings): what else comes must end nothing for anybody.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from dataclasses import dataclass

from drivers.mock.ds4024.rpc import marked, opaque, words
from drivers.mock.pigpiod.protocol import Command

QUESTIONS = (Command.MODEG, Command.READ, Command.BR1, Command.TICK, Command.HWVER, Command.PIGPV, Command.WVSM)
LINES = (b"*IDN?", b":TRIG:STAT?", b":ACQ:SRAT?", b":CHAN1:SCAL?", b":SYST:ERR?", b":WAV:PRE?", b"*STB?")


@dataclass(frozen=True)
class Target:
    """A server to be hostile to: pigpiod, vxi11 or socket."""

    kind: str
    port: int


def session(target: Target, seed: int) -> None:
    """One hostile client from connecting to leaving; what the server does about it is no error."""
    rng = random.Random(seed)
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", target.port), timeout=5) as sock:
        sock.settimeout(0.2)
        rng.choice((_noise, _half, _mutated, _slow, _flood))(sock, target.kind, rng)
        if rng.random() < 0.5:  # a reset instead of an end
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _noise(sock: socket.socket, _kind: str, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 20)):
        # High bits set: no such byte is part of a command that does something.
        sock.sendall(bytes(rng.randrange(128, 256) for _ in range(rng.randint(1, 500))))


def _half(sock: socket.socket, kind: str, rng: random.Random) -> None:
    message = _valid(kind, rng)
    sock.sendall(message[: rng.randrange(len(message))])


def _mutated(sock: socket.socket, kind: str, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 10)):
        message = bytearray(_valid(kind, rng))
        for _ in range(rng.randint(1, 4)):  # the command itself stays: another one might be obeyed, and rightly
            message[rng.randrange(_HARMLESS[kind], len(message))] = rng.randrange(128, 256)
        sock.sendall(message)
        with contextlib.suppress(TimeoutError):
            sock.recv(100)


def _slow(sock: socket.socket, kind: str, rng: random.Random) -> None:
    for byte in _valid(kind, rng) * 2:
        sock.sendall(bytes([byte]))
    with contextlib.suppress(TimeoutError):
        for _ in range(5):
            sock.recv(1)


def _flood(sock: socket.socket, kind: str, rng: random.Random) -> None:
    """Many questions, no answer read."""
    sock.sendall(_valid(kind, rng) * rng.randint(10, 200))


_HARMLESS = {"pigpiod": 4, "vxi11": 44, "socket": 1}


def _valid(kind: str, rng: random.Random) -> bytes:
    if kind == "pigpiod":
        return struct.pack("<4I", rng.choice(QUESTIONS), rng.randrange(60), rng.randrange(4), 0)
    if kind == "socket":
        return rng.choice(LINES) + b"\n"
    call = words(rng.randrange(1 << 31), 0, 2, 0x0607AF, 1, rng.choice((10, 12, 13, 23, 99)), 0, 0, 0, 0)
    return marked(call + words(rng.randrange(8), 0, 0) + opaque(b"inst0") + words(0, 0, 0))
