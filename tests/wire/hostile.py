"""Hostile sessions on the twin's servers: random bytes, half requests, resets, slow readers, mutated valid traffic.

A session is a pure function of its seed. None of them asks for what would rightly disturb a bench (halting waves,
changing the oscilloscope's settings, Ctrl-C to a Pico): what else comes must end nothing for anybody. A Pico has one
line and no sessions: there somebody else writes, and reads, in the middle of its host's conversation.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.benchfile import BenchFile
from drivers.device import load_device
from drivers.errors import HilError
from drivers.mock.ds4024.rpc import marked, opaque, words
from drivers.mock.ds4024.server import ScopeServer
from drivers.mock.pigpiod.protocol import Command
from drivers.pi import PiBench
from drivers.signals import SlotTiming, probe_frame
from firmware import protocol

QUESTIONS = (Command.MODEG, Command.READ, Command.BR1, Command.TICK, Command.HWVER, Command.PIGPV, Command.WVSM)
PAUSE_S = 0.2  # between two intruders: some ten requests of the host's
LINES = (b"*IDN?", b":TRIG:STAT?", b":ACQ:SRAT?", b":CHAN1:SCAL?", b":SYST:ERR?", b":WAV:PRE?", b"*STB?")


@dataclass(frozen=True)
class Target:
    """A server to be hostile to: pigpiod, vxi11 or socket."""

    kind: str
    port: int


def every_target(file: BenchFile, scope: ScopeServer) -> list[Target]:
    """The servers of the twin that listen on a port."""
    core, raw = scope.vxi11_resource.partition(",")[2].partition(":")[0], scope.socket_resource.split("::")[2]
    return [Target("pigpiod", file.pigpio.port), Target("vxi11", int(core)), Target("socket", int(raw))]


def session(target: Target, seed: int) -> None:
    """One hostile client from connecting to leaving; what the server does about it is no error."""
    rng = random.Random(seed)
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", target.port), timeout=5) as sock:
        sock.settimeout(0.2)
        rng.choice((_noise, _half, _mutated, _slow, _flood))(sock, target.kind, rng)
        if rng.random() < 0.5:  # a reset instead of an end
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def intrusion(port: str, seed: int) -> None:
    """Somebody else on a Pico's line, at once: what the host and the Pico make of it is their affair."""
    rng = random.Random(seed)
    line = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        with contextlib.suppress(BlockingIOError):
            rng.choice((_garbage, _half_line, _mutated_line, _typed_slowly, _questions, _theft))(line, rng)
    finally:
        os.close(line)


@dataclass
class Beside:
    """What was played beside intruders: slots counted, how many of them wrongly, and the errors that ended runs."""

    slots: int = 0
    wrong: int = 0
    errors: Counter[str] = field(default_factory=Counter)


def beside_intruders(file: BenchFile, intrusions: int, seed: int) -> Beside:
    """Play again and again while so many intrude on the line of the bench's Pico, one after the other."""
    assert file.pico is not None
    port = file.pico.port
    assert port is not None
    over = threading.Event()

    def intrude() -> None:
        for number in range(intrusions):
            intrusion(port, seed + number)
            time.sleep(PAUSE_S)
        over.set()

    found, rng = Beside(), np.random.default_rng(seed)
    intruder = threading.Thread(target=intrude)
    intruder.start()
    while not over.is_set():
        slots, wrong, error = play(file, rng.integers(0, 9, 200).astype(np.int32))
        found.slots += slots
        found.wrong += wrong
        found.errors[error] += 1
    intruder.join()
    return found


def play(file: BenchFile, counts: NDArray[np.int32]) -> tuple[int, int, str]:
    """Slots that were counted, how many of them wrongly, and the name of the error that ended it, if one did."""
    slots = wrong = 0
    try:
        with PiBench(file, load_device("ideal")) as bench:
            bench.set_threshold(0.7)
            for capture in bench.play([probe_frame("hostile", SlotTiming(), counts, image=k) for k in range(4)]):
                slots += int(capture.ok.sum())
                wrong += int(((capture.spikes != capture.frame.pulses) & capture.ok).sum())
    except HilError as error:
        return slots, wrong, type(error).__name__
    return slots, wrong, ""


def _garbage(line: int, rng: random.Random) -> None:
    os.write(line, bytes(rng.randrange(4, 256) for _ in range(rng.randint(1, 300))))


def _half_line(line: int, rng: random.Random) -> None:
    request = _request(rng)
    os.write(line, request[: rng.randrange(len(request))])


def _mutated_line(line: int, rng: random.Random) -> None:
    request = bytearray(_request(rng))
    for _ in range(rng.randint(1, 4)):
        request[rng.randrange(len(request))] = rng.randrange(4, 256)
    os.write(line, bytes(request))


def _typed_slowly(line: int, rng: random.Random) -> None:
    for byte in _request(rng):
        os.write(line, bytes([byte]))


def _questions(line: int, rng: random.Random) -> None:
    os.write(line, b"0 id\n" * rng.randint(5, 40))


def _theft(line: int, rng: random.Random) -> None:
    os.read(line, rng.randint(1, 200))


def _request(rng: random.Random) -> bytes:
    """One that would be obeyed, and harm nothing."""
    runs = protocol.pack_runs([rng.randrange(9) for _ in range(100)], [1] * 100)
    number = rng.randrange(1, protocol.MAX_NUMBER)
    return rng.choice(
        (
            protocol.request(number, "data", protocol.data_args(number, rng.randrange(65536), 0, runs)),
            protocol.request(number, "counts", [str(rng.randrange(65536)), "0"]),
            protocol.request(number, "status", []),
            b"0 limits\n",
        )
    )


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


_HARMLESS = {"pigpiod": 4, "vxi11": 52, "socket": 1}  # of VXI-11 also the flag that locks the instrument stays


def _valid(kind: str, rng: random.Random) -> bytes:
    if kind == "pigpiod":
        return struct.pack("<4I", rng.choice(QUESTIONS), rng.randrange(60), rng.randrange(4), 0)
    if kind == "socket":
        return rng.choice(LINES) + b"\n"
    call = words(rng.randrange(1 << 31), 0, 2, 0x0607AF, 1, rng.choice((10, 12, 13, 23, 99)), 0, 0, 0, 0)
    return marked(call + words(rng.randrange(8), 0, 0) + opaque(b"inst0") + words(0, 0, 0))
