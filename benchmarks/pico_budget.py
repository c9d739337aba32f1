"""The time budget of a digit on a Pico: upload, expand, play, read back, and the gaps between shots.

What USB carries is counted from the real lines of the protocol and what plays from the real slot words; how long the
firmware takes is from an emulated RP2040 (`pytest tests/firmware/test_uf2.py --uf2 FILE -s`, which plays this very
digit there), and how fast USB is, others have measured: no Pico has been measured here. Then the same digit is played
by the real firmware in the twin (its interpreter runs on this machine, its USB is throttled to the slower rate) and
the gaps are measured on the simulated lines.

    python benchmarks/pico_budget.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

from drivers.benchfile import BenchFile
from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.pico import WIRING, PicoServer
from drivers.pico.device import Pico
from drivers.pico.packing import pack_pieces
from drivers.settings import BoardSettings, PicoSettings
from drivers.signals import Frame, SlotTiming, probe_frame
from drivers.timing import length_ticks, shots
from firmware.protocol import data_args, pack_runs, request, to_base64
from hil.network.encode import Gain, to_pulses
from hil.network.layers import LAYERS, as_maps, drives
from hil.network.mnist import load_test
from hil.network.weights import load_weights
from hil.run.config import DEFAULT_FULL_SCALE

TICK_S = 40e-9
BOARD = BoardSettings(addresses=4)
FULL_SCALE = DEFAULT_FULL_SCALE["conv1"]
DIGIT = 20  # one with more pulses than most
USB_BYTES_PER_S = {  # out of a Pico 2, as reported; both ways are taken to be as fast as that
    "micropython#17398, a regression": 100e3,
    "micropython#17960": 590 * 1024,
}
ROUND_TRIP_S = 2e-3  # assumed: a request and its reply through two USB stacks
# Emulated at 125 MHz, its flash without cache misses: the compiled firmware in MicroPython 1.28.0
LOAD_S, PLAY_S = 11e-3, 8e-3  # these requests
DATA_S, SLOT_S = 11e-3, 42e-6  # a `data` request, and every slot in it: parsed, unpacked, expanded
COUNTS_S, COUNT_S = 8e-3, 14e-6  # a `counts` request, and every slot in it
TURN_S = 70e-6  # from the last count of a shot to the first edge of the one queued: an interrupt


def digit(index: int) -> Frame:
    """The first convolution of one digit: 32 channels of 784 slots."""
    layer, weights = LAYERS[0], load_weights()
    images, _ = load_test()
    full_scale = weights.layers[0].full_scale[:, None].astype(np.float32)
    gain = Gain(np.float32(FULL_SCALE) / full_scale, FULL_SCALE)
    counts, _ = to_pulses(gain, drives(layer, weights.layers[0], as_maps(images[index : index + 1]))[0])
    return probe_frame("budget", SlotTiming(), counts.ravel())


def upload_s(shot: Frame, bytes_per_s: float) -> tuple[float, int]:
    """Seconds to send and expand a shot, and the bytes of it."""
    pieces = pack_pieces(shot.pulses)
    lines = [request(1, "load", ["0", str(len(shot)), "1024", "20000", "0"]), request(1, "play", ["1"])]
    data = [request(1, "data", data_args(1, 1, i, piece)) for i, piece in enumerate(pieces)]
    sent = sum(len(line) for line in lines + data)
    usb = sent / bytes_per_s + len(lines + data) * ROUND_TRIP_S
    return usb + LOAD_S + PLAY_S + len(data) * DATA_S + int(shot.played.sum()) * SLOT_S, sent


def read_s(shot: Frame, bytes_per_s: float) -> tuple[float, int]:
    """Seconds to read a shot's counts back, and the bytes of it, were every spike count different from the next."""
    slots = int(shot.played.sum())
    lines = -(-slots // 400)
    data = len(to_base64(pack_runs(shot.pulses[shot.played].tolist(), [1] * slots)))
    usb = (data + 120 * lines) / bytes_per_s + lines * ROUND_TRIP_S
    return usb + lines * COUNTS_S + slots * COUNT_S, data


def computed(cut: list[Frame], bytes_per_s: float) -> None:
    """Print the computed budget of the shots of a digit."""
    plays = np.array([length_ticks(shot, TICK_S).sum() * TICK_S + shot.timing.lead_s for shot in cut])
    uploads = np.array([upload_s(shot, bytes_per_s) for shot in cut])
    reads = np.array([read_s(shot, bytes_per_s) for shot in cut])
    # While shot k plays, k − 1 is read back and k + 1 sent: what does not fit in k's time becomes a gap.
    work = np.append(uploads[1:, 0], 0) + np.append(0, reads[:-1, 0])
    gaps = np.maximum(work - plays, 0)[:-1] + TURN_S
    share = _share(plays, work, TURN_S)
    print(
        f"computed   {len(cut)} shots: upload and expand {uploads[:, 0].sum():.3f} s ({uploads[:, 1].sum():.0f} bytes)"
    )
    print(f"computed   play {plays.sum():.3f} s, read back {reads[:, 0].sum():.3f} s ({reads[:, 1].sum():.0f} bytes)")
    print(
        f"computed   sending and reading beside a whole shot take at most {np.max((work / plays)[:-1]):.0%} of its time"
    )
    print(f"computed   gaps {gaps.sum() * 1e3:.1f} ms, {share:.2%} of the digit (at most 3 % wanted)")
    slower = next(f for f in np.arange(1, 50, 0.1) if _share(plays, work * f, TURN_S * f) > 0.03)
    print(
        f"computed   it stays below 3 % while USB and interpreter are less than {slower:.1f} times slower than assumed"
    )
    if share > 0.03:
        raise SystemExit("gaps exceed 3 %")


def _share(plays: np.ndarray, work: np.ndarray, turn_s: float) -> float:
    gaps = np.maximum(work - plays, 0)[:-1] + turn_s
    return float(gaps.sum() / (gaps.sum() + plays.sum()))


def measured(cut: list[Frame]) -> None:
    """Play the digit in the twin and print the gaps on its lines, with and without what simulating took of them."""
    board = Board(load_device("ideal"), BOARD)
    busy: list[tuple[int, int]] = []
    with PicoServer(board, profile="realistic") as server:
        answer = server.chip.answer

        def timed(request: dict[str, Any]) -> dict[str, Any]:
            begin = board.clock()
            try:
                return answer(request)
            finally:
                busy.append((begin, board.clock()))

        server.chip.answer = timed  # type: ignore[method-assign]
        pico = Pico(_bench(server.port))
        pico.prepare()
        pico.set_threshold(0.7)
        began = board.clock()
        wrong = _play(pico, cut)
        t, levels = board.lines(began, board.clock())
        pico.close()
    first, last = np.flatnonzero(levels)[[0, -1]]
    idle = levels[first : last + 1] == 0  # a select is closed or sync is high all the while a shot plays
    begins, ends = t[first : last + 1][idle], t[first + 1 : last + 2][idle]
    gaps, total = (ends - begins).sum() * 1e-9, (t[last + 1] - t[first]) * 1e-9
    work = np.array(busy)
    simulating = sum(
        np.maximum(np.minimum(work[:, 1], end) - np.maximum(work[:, 0], begin), 0).sum() * 1e-9
        for begin, end in zip(begins, ends, strict=True)
    )
    print(f"measured   in the twin, with the interpreter of this machine: {total:.3f} s, {wrong} wrong counts")
    print(f"measured   gaps {gaps * 1e3:.1f} ms, {simulating * 1e3:.1f} ms of them to simulate the board; the rest is")
    print(f"measured   {(gaps - simulating) / total:.2%} of the digit")


def _bench(port: str) -> BenchFile:
    return BenchFile(
        name="budget",
        kind="pi",
        board=BOARD,
        pulse_source="pico",
        axon_reader="pico",
        wiring=WIRING,
        pico=PicoSettings(port=port),
    )


def _play(pico: Pico, cut: list[Frame]) -> int:
    """Play shots as the Pi bench does, the next one started while one plays; returns how many counts were wrong."""
    pico.load(cut[0])
    pico.start()
    wrong = 0
    for shot, following in zip(cut, [*cut[1:], None], strict=True):
        if following is not None:
            pico.load(following)
            pico.start()
        pico.wait()
        wrong += int((pico.read().spikes != shot.pulses).sum())
    return wrong


if __name__ == "__main__":
    frame = digit(DIGIT)
    channels = frame.pulses.reshape(32, -1)
    print(
        f"a digit at 100 kHz, adaptive, full scale {FULL_SCALE}: {channels.sum(axis=1).mean():.0f} pulses and "
        f"{(channels > 0).sum(axis=1).mean():.0f} non-empty slots a channel"
    )
    parts = list(shots(frame, TICK_S, most_slots=Pico.most_slots))
    for source, rate in USB_BYTES_PER_S.items():
        print(f"USB at {rate / 1e3:.0f} kB/s ({source})")
        computed(parts, rate)
    measured(parts)
