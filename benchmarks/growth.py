"""Waves and slot words, replay, the longest transfer curve; and how all grows with digits, slots, samples.

    python -m benchmarks.growth

Each line names what it is measured against: the time that the bench plays, or the same with a quarter of the work, for
which 1.0 is growth in proportion. Processor time; memory is the peak beside what was there before.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported

import tempfile
import time
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np

from benchmarks.clock import processor_s, ratio_of_growth
from benchmarks.evaluate import evaluation
from benchmarks.layer import frames
from calibration.transfer import measure_transfer
from drivers.benchfile import load_bench
from drivers.decode.spikes import decode
from drivers.device import load_device
from drivers.mock.bench import TICK_S, MockBench
from drivers.pico.packing import pack_pieces
from drivers.pigpio.waves import plan_waves
from drivers.signals import Capture, probe_frame
from drivers.timing import length_ticks, shots
from hil.run.replay import replay
from hil.store.runfile import RunFile

LONGEST = 65_535
LARGE = 20_000  # slots with traces
EXAMPLE = Path(__file__).parents[1] / "examples" / "benches" / "pigpio-scope.toml"


def compilation() -> None:
    """Of the shots of one digit's conv1."""
    (frame,) = frames(1)
    bench_s = float(length_ticks(frame, TICK_S).sum()) * TICK_S
    cut = list(shots(frame, TICK_S))
    file = load_bench(str(EXAMPLE))
    wiring = file.wiring
    assert wiring is not None
    waves_s = processor_s(lambda: [wave.packed() for shot in cut for wave in plan_waves(shot, wiring, file.board)])
    words_s = processor_s(lambda: [pack_pieces(shot.pulses[shot.played]) for shot in cut])
    for name, taken in (("waves for pigpio", waves_s), ("slot words for the Pico", words_s)):
        print(f"{name:<26} {taken * 1e3:8.1f} ms a digit: {taken / bench_s:6.1%} of the {bench_s:.2f} s that it plays")


def traced(slots: int) -> list[Capture]:
    """Shots of so many slots together, with traces."""
    pulses = np.random.default_rng(1).poisson(4, slots).astype(np.int32)
    file = load_bench("mock")
    with MockBench(file, load_device("nominal"), traces=True) as bench:
        bench.set_threshold(file.vth_v)
        return list(bench.play([probe_frame("benchmark", file.slot, pulses)]))


def samples() -> None:
    """Decoding a trace, four times as long."""
    file = load_bench("mock")
    sizes = {slots: traced(slots) for slots in (LARGE // 4, LARGE)}

    def again(slots: int) -> None:
        for one in sizes[slots]:
            decode(one.frame, one.traces, file.spikes, file.board, TICK_S, one.bench_s)

    count = sum(len(one.traces[0].codes) for one in sizes[LARGE])
    bench_s = sum(one.bench_s for one in sizes[LARGE])
    taken = processor_s(lambda: again(LARGE))
    print(
        f"{'decoding traces':<26} {count / taken / 1e6:8.1f} M samples/s, "
        f"{bench_s / taken:.1f} times as fast as the bench plays them"
    )
    growth = ratio_of_growth(again, LARGE // 4)
    print(f"four times as many samples: {growth:.2f} in proportion; {memory(again, LARGE // 4, LARGE)}")


def replaying() -> None:
    """Two digits that were recorded with traces."""
    from hil.cli import main as hil

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "run.sqlite"
        how = ["--weights", "sparing", "--play", "pooled", "--coding", "excess", "--full-scale", "conv1=8"]
        with redirect_stdout(StringIO()):
            assert hil(["run", "--digits", "0:2", *how, "--traces", "--out", str(path), "--json"]) == 0
        run = stack.enter_context(RunFile.open(path))
        found = []
        taken = processor_s(lambda: found.append(replay(run)), 1)
        assert found[-1].identical
    fast = found[-1].bench_s / taken
    print(f"{'replay':<26} {taken / 2 * 1e3:8.1f} ms a digit: {fast:.1f} times as fast as the bench")


def slots() -> None:
    """Playing from tables, four times as many slots."""
    file = load_bench("mock")
    rng = np.random.default_rng(1)
    made = {
        size: probe_frame("benchmark", file.slot, rng.poisson(4, size).astype(np.int32)) for size in (50_000, 200_000)
    }
    with MockBench(file, load_device("nominal"), fidelity="counts") as bench:
        bench.set_threshold(file.vth_v)

        def play(size: int) -> None:
            for _ in bench.play([made[size]]):
                pass

        print(f"four times as many slots: {ratio_of_growth(play, 50_000):.2f} in proportion")


def digits() -> None:
    """Recognising, four times as many digits."""
    sizes = {size: evaluation("--play", "pooled", digits=size) for size in (50, 200)}
    growth = ratio_of_growth(lambda size: sizes[size](), 50)
    print(f"four times as many digits: {growth:.2f} in proportion; {memory(lambda size: sizes[size](), 50, 200)}")


def memory(work: Callable[[int], object], small: int, large: int) -> str:
    """The peak of each beside what was there before."""
    peaks = []
    for size in (small, large):
        tracemalloc.start()
        work(size)
        peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    return f"memory {peaks[0]:.1f} and {peaks[1]:.1f} MB"


def longest_curve() -> None:
    file = load_bench("mock")
    begun = time.process_time()
    with MockBench(file, load_device("nominal"), fidelity="counts") as bench:
        curve = measure_transfer(bench, file.slot, file.vth_v, full_scale=LONGEST)
    taken = time.process_time() - begun
    print(f"the curve up to {LONGEST:,} pulses: {taken:.1f} s for {curve.pulses_spent:,} pulses")


def main() -> None:
    compilation()
    samples()
    replaying()
    slots()
    digits()
    longest_curve()


if __name__ == "__main__":
    main()
