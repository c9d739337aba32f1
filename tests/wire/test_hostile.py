"""Hostile clients beside a run: its counts are right, and nothing of them is left (`make soak`: 1,000 a server)."""

from __future__ import annotations

import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest

from drivers.device import load_device
from drivers.mock.pigpiod.protocol import Command
from drivers.pi import PiBench
from drivers.signals import SlotTiming, probe_frame
from tests.wire.hostile import Target, beside_intruders, every_target, play, session
from tests.wire.twin import twin, twin_and_scope

pytestmark = pytest.mark.wire
SESSIONS, SEED = 40, 20_261_126
INTRUSIONS = 40
AT_ONCE = 3


def test_a_run_beside_hostile_clients_counts_right() -> None:
    counts = np.random.default_rng(SEED).integers(0, 9, 100).astype(np.int32)
    with twin_and_scope("pigpio", "scope", "ideal") as (file, board, scope):
        targets = every_target(file, scope)
        over = threading.Event()
        seeds = count(SEED)

        def hostile(target: Target) -> None:
            for _ in range(SESSIONS):
                if over.is_set():
                    return
                session(target, next(seeds))

        with PiBench(file, load_device("ideal")) as bench, ThreadPoolExecutor(AT_ONCE * len(targets)) as pool:
            bench.set_threshold(0.7)
            attackers = [pool.submit(hostile, target) for target in targets for _ in range(AT_ONCE)]
            spikes, ok = [], []
            for image in range(3):
                for capture in bench.play([probe_frame("hostile", SlotTiming(), counts, image=image)]):
                    spikes.append(capture.spikes)
                    ok.append(capture.ok)
            over.set()
            for attacker in attackers:
                attacker.result()
        good = np.concatenate(ok)
        assert (np.concatenate(spikes)[good] == np.tile(counts, 3)[good]).all()
        assert good.mean() > 0.9
        assert board.misuse.count == 0
        with socket.create_connection(("127.0.0.1", file.pigpio.port), timeout=5) as calm:
            calm.sendall(struct.pack("<4I", Command.PIGPV, 0, 0, 0))
            assert struct.unpack("<4I", calm.recv(16, socket.MSG_WAITALL))[3] == 79
        until = time.monotonic() + 30
        while _serving() > 2 and time.monotonic() < until:
            time.sleep(0.05)
        assert _serving() <= 2  # no thread is left of anybody who has gone


def test_a_run_on_a_pico_whose_line_others_write_to_counts_right_or_ends() -> None:
    with twin("pico", "pico", "ideal") as (file, board):
        found = beside_intruders(file, INTRUSIONS, SEED)
        assert board.misuse.count == 0
        calm = play(file, np.arange(200, dtype=np.int32) % 9)
    assert found.wrong == 0
    assert found.slots > 0
    assert calm == (800, 0, "")


def _serving() -> int:
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())
