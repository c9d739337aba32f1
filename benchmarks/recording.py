"""What recording costs: against `hil run` on the mock without a run file, and against a realistic bench with traces.

    python -m benchmarks.recording

Without traces, wall time of the same digits with and without a run file, best of several, must differ by at most 3 %
of the time that a bench plays them; what share of the mock's own time that is, which plays them some fifty times as
fast, is told. With traces, storing a shot must take less than the bench needs to play it and hand it over. Without, it
is committed durably: with its bytes in hand that may take at most 1.5 times what a plain append and fsync of as
many bytes takes, measured shot by shot beside it, and with the making of the bytes at most 3 % of the time that the
bench plays it (medians). In a run a thread waits for the disk meanwhile; what that takes is told.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from calibration.transfer import measure_transfer
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.mock.bench import MockBench
from drivers.opening import Fidelity
from drivers.signals import Capture
from hil.network.mnist import load_test
from hil.network.weights import Weights, load_weights
from hil.run.config import RunConfig
from hil.run.digits import Course, recognise_digits
from hil.run.plan import SAMPLES_AN_AXON, make_plan
from hil.run.session import begin, go_on
from hil.store import runfile

MOST_APPENDS, MOST_OF_BENCH = 1.5, 0.03
TO_WEIGH = 20  # shots whose bytes are counted
TRANSFER_BYTES_PER_S = 0.3e6  # of a DS4024 over LAN, the bench file's default


def settled(weights: Weights, digits: str, fidelity: Fidelity, traces: bool) -> tuple[RunConfig, MockBench]:
    file, device = load_bench("mock"), load_device("nominal")
    bench = MockBench(file, device, fidelity=fidelity, traces=traces)
    curve = measure_transfer(MockBench(file, device), file.slot, file.vth_v, full_scale=32)
    bench.set_threshold(file.vth_v)
    config = RunConfig(
        command="run",
        digits=digits,
        vth_v=file.vth_v,
        timing=file.slot,
        bench=file,
        device=device,
        fidelity=fidelity,
        traces=traces,
        weights_digest=weights.digest,
        curve=curve.to_dict(),
    )
    return config, bench


def played_s(config: RunConfig, weights: Weights, bench: MockBench) -> float:
    began = time.perf_counter()
    list(recognise_digits(config, weights, bench))
    return time.perf_counter() - began


def recorded_s(config: RunConfig, weights: Weights, bench: MockBench, path: Path) -> float:
    with begin(path, config, bench.identity, {}) as run:
        began = time.perf_counter()
        list(go_on(run, config, weights, bench))
        return time.perf_counter() - began


def share_without_traces(weights: Weights, digits: str, fidelity: Fidelity, folder: Path, repeats: int) -> float:
    config, bench = settled(weights, digits, fidelity, traces=False)
    played_s(config, weights, bench)
    plain, recorded = [], []
    for i in range(repeats):
        plain.append(played_s(config, weights, bench))
        recorded.append(recorded_s(config, weights, bench, folder / f"{fidelity}{i}.sqlite"))
    share = 1 - min(plain) / min(recorded)
    each_s = (min(recorded) - min(plain)) / len(config.images)
    of_bench = each_s * len(config.images) / make_plan(config, weights, load_test()[0]).bench_s
    print(
        f"fidelity {fidelity}: {min(plain):.2f} s without, {min(recorded):.2f} s with a run file: {each_s * 1e3:.1f} "
        f"ms a digit, {of_bench:.2%} of the time on a bench, {share:.0%} of the mock's"
    )
    return of_bench


def share_with_traces(weights: Weights, folder: Path) -> float:
    config, bench = settled(weights, "0:1", "pulses", traces=True)
    plan = make_plan(config, weights, load_test()[0])
    kept: list[float] = []
    with begin(folder / "traces.sqlite", config, bench.identity, {}) as run:
        real = run.add_shot

        def timed(capture: Capture) -> Future[int]:
            began = time.perf_counter()
            row = real(capture)
            row.result()
            kept.append(time.perf_counter() - began)
            return row

        run.add_shot = timed  # type: ignore[method-assign]
        list(go_on(run, config, weights, bench))
    waits_s = plan.bench_s + plan.capture_bytes / 4 * 2 / TRANSFER_BYTES_PER_S  # two channels on a real bench
    print(
        f"traces: {plan.capture_bytes / 1e6:.1f} MB of 4 channels at {SAMPLES_AN_AXON} samples an axon pulse stored in "
        f"{sum(kept):.2f} s; a bench plays them in {plan.bench_s:.2f} s and hands two channels over in "
        f"{waits_s - plan.bench_s:.1f} s"
    )
    return sum(kept) / plan.bench_s


def others(shots: list[Capture], rounds: int) -> Iterator[Capture]:
    """The same shots as of other images, round by round."""
    images = 1 + max(shot.frame.key.image for shot in shots)
    for round_ in range(rounds):
        for shot in shots:
            key = replace(shot.frame.key, image=shot.frame.key.image + round_ * images)
            yield replace(shot, frame=replace(shot.frame, key=key))


@contextmanager
def packing_times() -> Iterator[list[float]]:
    """What the recorder takes, from here on, to make the bytes of each shot; the last one last."""
    took: list[float] = []

    def timed(made: Callable[..., Any]) -> Callable[..., Any]:
        def making(*values: Any) -> Any:
            began = time.perf_counter()
            try:
                return made(*values)
            finally:
                took.append(time.perf_counter() - began)

        return making

    with (
        patch.object(runfile, "shot_values", timed(runfile.shot_values)),
        patch.object(runfile, "digest", timed(runfile.digest)),
    ):
        yield took


def beside_appending(weights: Weights, digits: str, rounds: int, folder: Path) -> bool:
    """Each shot of some digits into a run file, and as many bytes appended to a plain file, in turn.

    The bytes are those that the file's log takes for a shot in the mean, pages and their headers: measured while the
    log grows, before it is written over for the first time. A plain file is given them ready made, so what making them
    takes is told apart.
    """
    config, bench = settled(weights, digits, "counts", traces=False)
    shots: list[Capture] = []
    list(recognise_digits(config, weights, bench, Course(watch=shots.append)))
    stored = others(shots, rounds)
    took: dict[str, list[float]] = {name: [] for name in ("bytes", "commit", "append", "whole", "given", "thread")}
    path = folder / "shots.sqlite"
    log = path.with_name(path.name + "-wal")
    clock = time.perf_counter
    with begin(path, config, bench.identity, {}) as run, (folder / "plain").open("ab", buffering=0) as plain:
        run.keep_shot(next(stored))  # the file has its tables
        before = log.stat().st_size
        for shot in islice(stored, TO_WEIGH):
            run.keep_shot(shot)
        payload = bytes((log.stat().st_size - before) // TO_WEIGH)
        for here, in_thread in zip(stored, stored, strict=False):
            with packing_times() as packing:
                began = clock()
                run.keep_shot(here)
                whole_s = clock() - began
            took["whole"].append(whole_s)
            took["bytes"].append(sum(packing))
            took["commit"].append(whole_s - sum(packing))
            began = clock()
            plain.write(payload)
            os.fsync(plain.fileno())
            took["append"].append(clock() - began)
            began = clock()
            waiting = run.add_shot(in_thread)
            took["given"].append(clock() - began)
            waiting.result()
            took["thread"].append(clock() - began)
    bench_s = median(shot.bench_s for shot in shots)
    commit, append, whole = (median(took[name]) for name in ("commit", "append", "whole"))
    print(
        f"{2 * len(took['commit']):,} shots: a durable commit {told(took['commit'])} beside a plain append and fsync "
        f"of {len(payload):,} bytes, as many, {told(took['append'])}: {commit / append:.2f} times, "
        f"{min(took['commit']) / min(took['append']):.2f} times at the least\n"
        f"with the making of the bytes, {told(took['bytes'])}, {whole / append:.2f} appends, and {whole / bench_s:.2%} "
        f"of the {bench_s:.2f} s on the bench\n"
        f"in a run, where a thread waits for the disk: after {told(took['given'])} the next shot is looked at, after "
        f"{told(took['thread'])} this one is on the disk"
    )
    return commit <= MOST_APPENDS * append and whole <= MOST_OF_BENCH * bench_s


def told(times: list[float]) -> str:
    """Median and minimum."""
    return f"{median(times) * 1e3:.2f} ms (at least {min(times) * 1e3:.2f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", default="0:20", help="digits (default: 0:20)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=6, help="how often the digits' shots are stored (default: 6)")
    args = parser.parse_args()
    weights = load_weights()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        pulses = share_without_traces(weights, args.digits, "pulses", Path(folder), args.repeats)
        counts = share_without_traces(weights, args.digits, "counts", Path(folder), args.repeats)
        traces = share_with_traces(weights, Path(folder))
        soon = beside_appending(weights, args.digits, args.rounds, Path(folder))
    good = max(pulses, counts) <= MOST_OF_BENCH and traces < 1 and soon
    limits = f"{MOST_OF_BENCH:.0%} of bench time, with traces all of it, and {MOST_APPENDS} appends"
    print("good" if good else f"too slow: at most {limits} are allowed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
