"""Seconds a digit over the wire, for every composition of parts: the table of README.md.

    python -m benchmarks.wire_table [--only gpio] [--rounds 2]

The twin with realistic latencies is a process of its own and paced to real time; the bench plays the first layer of
the digits 0:2 (1.067 s of bench time each) at 100 kHz, adaptive, and records the run as `hil run` does. Wall time is
from when the first frame is asked for to when the last count is there, divided by the digits. The twin needs a
processor for what a bench does by itself; what it cannot work out beforehand its clock stands still for, and it tells
by how much it was late so (`hil mock status`). Judged is the wall time. Less that lateness it has a column of its own,
which is compared with the plan, since no bench is late so: an estimate in favour of the driver, which may have gone on
meanwhile. Of several rounds the best is told, since whatever else the machine does only adds. Beside it stand what the
plan said, where the time went, and the processor seconds of this program and of the twin.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from drivers.errors import HilError
from drivers.witness import ask

if TYPE_CHECKING:
    from drivers.pi import PiBench
    from drivers.signals import Capture, Frame

DIGITS = 2


@dataclass(frozen=True)
class Row:
    """A composition: what `hil mock serve` is told, and what a digit may take, s."""

    title: str
    source: str
    reader: str
    limit_s: float
    more: tuple[str, ...] = ()


ROWS = (
    Row("pigpio + gpio (1 µs)", "pigpio", "gpio", 1.5),
    Row("pigpio + gpio, scope auditing 1 shot in 20", "pigpio", "gpio+scope", 2.5, ("--audit-every", "20")),
    Row("pigpio + DS4024 at 0.3 MB/s", "pigpio", "scope", 6.0, ("--scope-rate", "0.3")),
    Row("pigpio + DS4024 at 1.7 MB/s", "pigpio", "scope", 2.5, ("--scope-rate", "1.7")),
    Row("pigpio + Pico", "pigpio", "pico", 1.5),
    Row("Pico + Pico", "pico", "pico", 1.1),
)


@dataclass
class Watched:
    """A bench that notes when its first frame was asked for and when its last capture came; else the bench inside."""

    inner: PiBench
    first_s: float = 0.0
    last_s: float = 0.0
    before: dict[str, float] = field(default_factory=dict)
    first_late_s: float = 0.0  # the twin, by then
    last_late_s: float = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
        """As the bench inside."""
        if not self.first_s:
            self.first_late_s, self.first_s = self._late_s(), time.perf_counter()
        self.before = self.before or dict(self.inner.spent_s)
        for capture in self.inner.play(frames):
            self.last_s = time.perf_counter()
            yield capture
        self.last_late_s = self._late_s()

    def _late_s(self) -> float:
        return float(ask(self.inner.file.witness)["late_s"])


@dataclass(frozen=True)
class Took:
    """What a digit took, s: wall time, by how much the twin was late itself, bench time, processor time of this program
    and of the twin; parts by name.
    """

    wall_s: float
    late_s: float  # of the twin, in that time
    bench_s: float
    own_s: float
    twin_s: float
    retaken: int
    parts_s: dict[str, float]
    planned_s: float | None

    @property
    def net_s(self) -> float:
        """Without what the twin was late itself."""
        return self.wall_s - self.late_s


def cpu_s(pid: int) -> float:
    """Processor time of a process and of those that it has waited for (proc(5): fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def family_cpu_s(pid: int) -> float:
    """Processor time of a process and its children: the twin's Pico is a program of its own."""
    total = cpu_s(pid)
    for task in Path(f"/proc/{pid}/task").iterdir():
        children = (task / "children").read_text(encoding="ascii").split()
        total += sum(family_cpu_s(int(child)) for child in children)
    return total


@contextmanager
def twin(folder: Path, row: Row) -> Iterator[int]:
    """The simulated bench, served by a process of its own; yields its number."""
    argv = ["mock", "serve", "--profile", "realistic", "--source", row.source, "--reader", row.reader, *row.more]
    process = subprocess.Popen(
        [sys.executable, "-m", "hil.cli", *argv, "--out", str(folder / "twin.toml")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if not any("wrote" in line for line in process.stdout):
            raise HilError("hil mock serve ended at once")
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def measure(folder: Path, row: Row) -> Took:
    """Serve, open, play, record."""
    from hil.commands.options import settle
    from hil.network.source import load_digits
    from hil.run.opening import open_measured
    from hil.run.plan import make_plan
    from hil.run.session import begin, go_on

    args = _arguments(folder / "twin.toml")
    with twin(folder, row) as pid, ExitStack() as stack:
        prove(folder / "twin.toml")
        config, weights = settle(args, "run", f"0:{DIGITS}", (0,), "pulses", False)
        bench, config = open_measured(config, stack, None, lambda _done, _of: None)
        assert bench is not None
        plan = make_plan(config, weights, load_digits(config.source)[0])
        planned_s = getattr(plan, "wall_s", None)
        watched = Watched(bench)
        sources = {"bench": args.bench, "device": config.bench.device, "calibration": None}
        run = stack.enter_context(begin(folder / "run.sqlite", config, bench.identity, sources))
        own, its = _own_cpu_s(), family_cpu_s(pid)
        results = [result for result, _ in go_on(run, config, weights, watched)]  # type: ignore[arg-type]
        own, its = _own_cpu_s() - own, family_cpu_s(pid) - its
        parts = {part: seconds - watched.before.get(part, 0.0) for part, seconds in bench.spent_s.items()}
    return Took(
        (watched.last_s - watched.first_s) / DIGITS,
        (watched.last_late_s - watched.first_late_s) / DIGITS,
        sum(result.bench_s for result in results) / DIGITS,
        own / DIGITS,
        its / DIGITS,
        sum(result.retaken_shots for result in results),
        {part: seconds / DIGITS for part, seconds in parts.items()},
        None if planned_s is None else planned_s / DIGITS,
    )


def prove(bench: Path) -> None:
    """What `hil doctor --loopback` does once for a bench: faster ways of reading are proven, and kept."""
    from drivers.opening import open_bench
    from drivers.pi import PiBench

    with open_bench(str(bench)) as opened:
        assert isinstance(opened, PiBench)
        for check in opened.prove():
            print(f"{check.name}: {check.detail}", file=sys.stderr)


def _arguments(bench: Path) -> SimpleNamespace:
    from hil.commands.run import add_arguments

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return SimpleNamespace(**vars(parser.parse_args(["--bench", str(bench)])))


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def told(row: Row, took: Took) -> str:
    """One line of the table."""
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in took.parts_s.items())
    plan = "–" if took.planned_s is None else f"{took.planned_s:.2f} ({took.net_s / took.planned_s - 1:+.0%})"
    retaken = f", {took.retaken} shots retaken" if took.retaken else ""
    verdict = "yes" if took.wall_s <= row.limit_s else "NO"
    return (
        f"| {row.title} | {took.wall_s:.2f} | {took.net_s:.2f} | {row.limit_s:g} | {verdict} "
        f"| {took.bench_s / took.wall_s:.0%} | {plan} "
        f"| {took.own_s:.2f} + {took.twin_s:.2f} | {parts}{retaken} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose title holds this")
    parser.add_argument("--rounds", type=int, default=1, help="of each row; the best is told")
    args = parser.parse_args()
    missed = 0
    print(
        "| pulses + reader | s a digit | less the twin's lateness | allowed | within | utilisation | planned "
        "| CPU here + twin | where |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in (row for row in ROWS if re.search(args.only, row.title)):
        rounds = []
        for _ in range(args.rounds):
            with tempfile.TemporaryDirectory() as folder:
                os.environ["HIL_PASSPORTS"] = folder  # what is played here wears nobody's device
                rounds.append(measure(Path(folder), row))
        best = min(rounds, key=lambda took: took.wall_s)
        print(told(row, best), flush=True)
        missed += best.wall_s > row.limit_s
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HilError as error:
        sys.exit(str(error))
