"""Links that damage what goes over them, once, between a real client and the twin; and conversations over them.

A conversation opens the link, plays one frame on the `ideal` device, which fires at every pulse, and closes. It ends
with the true counts, or with a named error. Anything else is a fault.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from unittest.mock import patch

import numpy as np

from drivers.bench import AxonReader, PulseSource
from drivers.device import load_device
from drivers.ds4024.known import Known
from drivers.ds4024.reader import ScopeReader
from drivers.errors import BenchError
from drivers.mock.loopback import LOOPBACK, LoopbackServer
from drivers.pi import PiBench
from drivers.pico.device import Pico
from drivers.settings import ScopeSettings
from drivers.signals import Capture, SlotTiming, probe_frame
from tests.drivers.ds4024.rig import BENCH, QUICK, TICK_S, rig
from tests.wire.twin import twin

KINDS = ("flip", "cut", "repeat", "delay", "reset")
TO_HOST, TO_DEVICE = 0, 1
LATE_S = (0.4, 0.6)
TIMES = 25  # over, so that the end of sync is enough
ALL_KNOWN = Known(serial="DS4A000000001", firmware="00.02.03", sparse=True, vernier=True, bytes_per_s=2e6)


@dataclass
class Damage:
    """What happens to the `after`-th piece in one direction, with chance from `rng`."""

    kind: str
    direction: int
    after: int
    rng: np.random.Generator
    struck: bool = False

    def pieces(self, direction: int, data: bytes) -> list[bytes]:
        """What is passed on for this piece; raises ConnectionResetError where the link breaks."""
        if self.struck or direction != self.direction:
            return [data]
        self.after -= 1
        if self.after >= 0:
            return [data]
        self.struck = True
        at = int(self.rng.integers(len(data)))
        if self.kind == "flip":
            return [data[:at] + bytes([data[at] ^ 1 << int(self.rng.integers(8))]) + data[at + 1 :]]
        if self.kind == "cut":
            return [data[:at] + data[at + int(self.rng.integers(1, 9)) :]]
        if self.kind == "repeat":
            return [data, data]
        if self.kind == "delay":
            time.sleep(self.rng.uniform(*LATE_S))
            return [data]
        raise ConnectionResetError


@contextmanager
def tcp(port: int, damage: Damage) -> Iterator[int]:
    """A port that leads to another one."""

    def serve(client: socket.socket) -> None:
        with socket.create_connection((LOOPBACK, port)) as device:
            ends = {client: (TO_DEVICE, device), device: (TO_HOST, client)}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(65_536)
                    if not data:
                        return
                    direction, other = ends[end]
                    try:
                        for piece in damage.pieces(direction, data):
                            other.sendall(piece)
                    except ConnectionResetError:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        client.close()
                        return

    with closing(LoopbackServer(serve)) as server:
        yield server.port


@contextmanager
def terminal(port: str, damage: Damage) -> Iterator[str]:
    """A pseudo-terminal that leads to another one."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    device = os.open(port, os.O_RDWR | os.O_NOCTTY)
    termios.tcflush(device, termios.TCIFLUSH)
    ended = threading.Event()
    ends = {ours: (TO_DEVICE, device), device: (TO_HOST, ours)}

    def serve() -> None:
        nonlocal theirs
        while not ended.is_set():
            for end in select.select(list(ends), [], [], 0.02)[0]:
                data = os.read(end, 65_536)
                direction, other = ends[end]
                try:
                    for piece in damage.pieces(direction, data):
                        os.write(other, piece)
                except ConnectionResetError:
                    ended.set()
                    os.close(theirs)
                    os.close(ours)
                    return

    pump = threading.Thread(target=serve)
    pump.start()
    try:
        yield os.ttyname(theirs)
    finally:
        whole = not ended.is_set()
        ended.set()
        pump.join()
        os.close(device)
        if whole:
            os.close(theirs)
            os.close(ours)


Talk = Callable[[Damage, np.ndarray], list[int]]


@contextmanager
def pico_talks() -> Iterator[Talk]:
    """Over the Pico's serial line: it plays, counts and makes V_th."""
    with twin("pico", "pico") as (file, _):

        def talk(damage: Damage, counts: np.ndarray) -> list[int]:
            assert file.pico is not None
            with terminal(file.pico.port, damage) as port:
                there = file.model_copy(update={"pico": file.pico.model_copy(update={"port": port})})
                with closing(Pico(there)) as pico:
                    pico.prepare()
                    pico.set_threshold(0.7)
                    return shot(pico, pico, counts)

        yield talk


def shot(source: PulseSource, reader: AxonReader, counts: np.ndarray) -> list[int]:
    """What one shot counts."""
    frame = probe_frame("garbled", SlotTiming(), counts)
    source.load(frame)
    reader.arm(frame)
    source.start()
    source.wait()
    capture = reader.read()
    return [int(n) if ok else -1 for n, ok in zip(capture.spikes, capture.ok, strict=True)]


@contextmanager
def pigpio_talks(reader: str = "pico") -> Iterator[Talk]:
    """Over pigpiod's socket; a Pico on a sound line makes V_th, and counts if no other reader does.

    That Pico is simulated on this machine, and as patiently waited for as by every test.
    """
    with patch("drivers.pico.link.REPLY_S", 5.0), twin("pigpio", reader) as (file, _):

        def talk(damage: Damage, counts: np.ndarray) -> list[int]:
            with tcp(file.pigpio.port, damage) as port:
                there = file.model_copy(update={"pigpio": file.pigpio.model_copy(update={"port": port})})
                with PiBench(there, load_device("ideal")) as bench:
                    bench.set_threshold(0.7)
                    (capture,) = bench.play([probe_frame("garbled", SlotTiming(), counts)])
                return [int(n) if ok else -1 for n, ok in zip(capture.spikes, capture.ok, strict=True)]

        yield talk


@contextmanager
def scope_talks(*, again: bool = False) -> Iterator[Talk]:
    """Over the oscilloscope's VXI-11 connection: its first shot, or one `again` that is read in few samples and few
    messages, since much is known by then.
    """
    with ExitStack() as stack:
        made = stack.enter_context(rig(bytes_per_s=2e6 if again else None))
        port = int(made.server.vxi11_resource.split("::")[1].split(",")[1])

        def captured(reader: ScopeReader, counts: np.ndarray) -> Capture:
            frame = made.shot(counts)
            if again:
                frame = replace(frame, layer=np.zeros_like(frame.layer))
            reader.arm(frame)
            made.play(frame)
            return reader.read()

        def talk(damage: Damage, counts: np.ndarray) -> list[int]:
            with tcp(port, damage) as proxy:
                settings = ScopeSettings(resource=f"TCPIP0::{LOOPBACK},{proxy}::inst0::INSTR", timeout_s=2.0)
                with closing(ScopeReader(settings, BENCH.spikes, BENCH.board, TICK_S, pace=QUICK)) as reader:
                    if not again:
                        return seen(captured(reader, counts), counts)
                    damage.struck = True  # not yet
                    reader.prepare()
                    reader.learn(ALL_KNOWN)
                    for _ in range(2):
                        captured(reader, np.tile(counts, TIMES))
                    damage.struck = False
                    return seen(captured(reader, np.tile(counts, TIMES)), counts)

        yield talk


def seen(capture: Capture, counts: np.ndarray) -> list[int]:
    """Of slots that were played once or several times over: a count that is wrong, else -1 where one is not ok."""
    spikes = capture.spikes.reshape(-1, len(counts))
    wrong, lost = capture.ok.reshape(spikes.shape) & (spikes != counts), ~capture.ok.reshape(spikes.shape)
    found = np.where(lost.any(axis=0), -1, counts)
    return [int(spikes[wrong[:, n], n][0]) if wrong[:, n].any() else int(found[n]) for n in range(len(counts))]


LINKS: dict[str, Callable[[], AbstractContextManager[Talk]]] = {
    "pico": pico_talks,
    "pigpio": pigpio_talks,
    "reports": partial(pigpio_talks, "gpio"),
    "scope": scope_talks,
    "scope again": partial(scope_talks, again=True),
}
# About so many go over the link each way.
PIECES = {"pico": 20, "pigpio": 30, "reports": 30, "scope": 300, "scope again": 25}


def kinds(link: str) -> tuple[str, ...]:
    """The damage that a link is tested with: TCP lets no report through altered, and it has no check of its own."""
    return tuple(kind for kind in KINDS if (link, kind) not in (("reports", "flip"), ("reports", "cut")))


def recoverable(link: str, kind: str) -> bool:
    """Whether a link can ask again after such damage. Those to pigpiod leave flipped and missing bytes to TCP."""
    return kind in ("repeat", "delay") or (link not in ("pigpio", "reports") and kind in ("flip", "cut"))


def conversation(link: str, talk: Talk, kind: str, seed: int) -> str:
    """`true`, `retaken` where slots were refused and will be played again, or the named error.

    Raises AssertionError for a count that is silently wrong, and whatever is no error of a bench.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    # What a daemon or an instrument is told is not checked by it: TCP does that, and delivers every byte once. The
    # Pico's serial line has checksums of its own, in both directions.
    both = link == "pico" or kind in ("delay", "reset")
    direction = int(rng.integers(2)) if both else TO_HOST
    counts = rng.integers(0, 9, 12).astype(np.int32)
    counts[0] = 1
    try:
        found = talk(Damage(kind, direction, int(rng.integers(PIECES[link])), rng), counts)
    except BenchError as error:  # whoever uses the bench has given nothing wrong
        return f"{type(error).__name__}: {error}"
    wrong = [(n, true) for n, true in zip(found, counts.tolist(), strict=True) if n not in (true, -1)]
    assert not wrong, f"{link}, {kind}, seed {seed}: {found} where {counts.tolist()} were played"
    return "retaken" if -1 in found else "true"
