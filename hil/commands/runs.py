"""List what was recorded, runs and calibrations: what, when, how far, how accurate, how large."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from drivers.errors import InputError, RunFileError
from hil.commands.calibrate import FOLDER as CALIBRATIONS
from hil.commands.runpath import run_path
from hil.run.session import RUNS, SUFFIX, config_of, results_of
from hil.store.connecting import log_of
from hil.store.frozen import NOUNS, OF_DIGITS, Kind, kind_of, raw_settings
from hil.store.locking import in_use
from hil.store.runfile import RunFile
from hil.terminal.visible import visible

WIDE = 120  # columns from which on a run is one line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil runs`."""
    parser.add_argument(
        "where", nargs="*", type=run_path, metavar="FOLDER|RUN", help="default: runs/ and calibrations/"
    )
    parser.add_argument(
        "--pack",
        type=run_path,
        metavar="RUN",
        help="bring a run that was killed, or latest, into one file to be copied",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


@dataclass(frozen=True)
class RunSummary:
    """One line of the list; `trouble` instead of everything else when the file cannot be read."""

    file: str
    trouble: str = ""
    begun: str = ""
    command: str = ""
    kind: Kind | None = None
    what: str = ""
    device: str = ""
    state: str = ""
    digits_done: int = 0
    digits: int = 0
    labelled: int = 0
    correct: int = 0
    shots: int = 0
    pulses: int = 0
    bench_s: float = 0.0
    traces_bytes: int = 0
    bytes: int = 0

    @property
    def bytes_a_digit(self) -> float | None:
        """Size on disk of each digit."""
        return self.bytes / self.digits_done if self.digits_done else None

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "bytes_a_digit": self.bytes_a_digit}


def run(args: argparse.Namespace) -> int:
    """List; returns the exit code."""
    if args.pack is not None:
        return pack(args.pack)
    where = args.where or [RUNS, CALIBRATIONS]
    found = [summarise(path) for path in files(where, given=bool(args.where))]
    if args.json:
        print(json.dumps({"runs": [item.to_dict() for item in found]}))
    elif not found:
        print(f"no runs in {visible(', '.join(map(str, where)))}; `hil run` records one")
    else:
        console = Console()
        width = console.width if console.is_terminal else WIDE
        Console(width=width).print(table(found) if width >= WIDE else narrow_table(found))
    return 0


def pack(path: Path) -> int:
    """Bring a run file and its log into one file; returns the exit code."""
    RunFile.open(path, write=True).close()
    if log_of(path).exists():
        raise RunFileError(f"run file {path} is being read by another program: close that, then pack it again")
    print(f"{visible(str(path))} is one file, {path.stat().st_size / 1e6:,.1f} MB")
    return 0


def files(where: list[Path], *, given: bool) -> list[Path]:
    """Run files in the given folders, and the given files; raises InputError when one is not there."""
    found: list[Path] = []
    for path in where:
        if path.is_dir():
            found += sorted(path.glob(f"*{SUFFIX}"))
        elif path.exists():
            found.append(path)
        elif given:
            raise InputError(f"{path} is neither a folder nor a run file")
    return found


def summarise(path: Path) -> RunSummary:
    """What a run file says of itself, or why it cannot."""
    try:
        with RunFile.open(path) as run_file:
            return _summary(run_file, kind_of(run_file))
    except RunFileError as error:
        return RunSummary(str(path), str(error))


def _summary(run_file: RunFile, kind: Kind) -> RunSummary:
    what, done, wanted, labelled, correct = _sweep(run_file, kind), 0, 0, 0, 0
    complete = run_file.count_events("complete") > 0
    if kind in OF_DIGITS:
        config, results = config_of(run_file), results_of(run_file)
        what = f"{config.physical}, digits {config.digits}, noise {','.join(map(str, config.noise))} %"
        done, wanted = len(results), len(config.images) * len(config.noise)
        labelled, correct = sum(r.labelled for r in results), sum(r.correct for r in results)
        complete = done == wanted
    totals = run_file.totals()
    return RunSummary(
        file=str(run_file.path),
        begun=run_file.fact("begun"),
        command=kind,
        kind=kind,
        what=what,
        device=run_file.fact("device"),
        state="complete" if complete else _unfinished(run_file, kind),
        digits_done=done,
        digits=wanted,
        labelled=labelled,
        correct=correct,
        shots=totals["shots"],
        pulses=totals["pulses"],
        bench_s=totals["bench_s"],
        traces_bytes=totals["trace_bytes"],
        bytes=run_file.bytes_on_disk,
    )


def _sweep(run_file: RunFile, kind: Kind) -> str:
    """What a calibration measures, or a characterization; what an import is made of."""
    if kind == "import":
        files = [one["file"] for one in raw_settings(run_file).get("recordings", ())]
        return f"{files[0]}{f' and {len(files) - 1} more' if files[1:] else ''}" if files else ""
    return ", ".join(raw_settings(run_file).get("what", ())) if kind == "calibrate" else "figure 2"


def _unfinished(run_file: RunFile, kind: Kind) -> str:
    if in_use(run_file.path):
        return "running"
    # Version 0.1.0 did not write down when a calibration or a characterization was complete.
    known = kind in OF_DIGITS or run_file.count_events("begun") > 0
    return "interrupted" if known else "not known"


def narrow_table(found: list[RunSummary]) -> Table:
    """For a terminal of 80 columns: two lines a run, its name alone on the first, so that it can be copied."""
    lines: list[tuple[Text, Text | str]] = []
    for item in found:
        name = Text(visible(Path(item.file).name), style="bold")
        if item.trouble:
            lines.append((name, Text(visible(item.trouble), style="red")))
            continue
        parts = [item.state, NOUNS[item.kind] if item.kind else "", item.what, item.device]
        parts += [f"{item.digits_done}/{item.digits} digits" if item.digits else "", _accuracy(item)]
        parts += [f"{item.bench_s:,.1f} s on the bench", f"{item.bytes / 1e6:,.1f} MB"]
        lines.append((name, Text(visible("; ".join(part for part in parts if part)))))
    made = Table.grid()
    made.add_column(overflow="fold")
    for name, said in lines:
        made.add_row(name)
        made.add_row(Padding(said, (0, 0, 0, 2)))
    return made


def table(found: list[RunSummary]) -> Table:
    """For a person with a wide terminal."""
    made = Table(box=None, pad_edge=False)
    for name, right in (
        *(("run", False), ("begun", False), ("kind", False), ("what", False), ("device", False), ("state", False)),
        *(("digits", True), ("right", True), ("bench", True), ("size", True), ("a digit", True)),
    ):
        made.add_column(name, justify="right" if right else "left", no_wrap=name != "what")
    for item in found:
        file = Text(visible(Path(item.file).name))
        if item.trouble:
            made.add_row(file, "", "", Text(visible(item.trouble), style="red"))
            continue
        when, what, device = (
            Text(visible(text)) for text in (item.begun[5:16].replace("T", " "), item.what, item.device)
        )
        made.add_row(
            *(file, when, NOUNS[item.kind] if item.kind else "", what, device, item.state),
            *(f"{item.digits_done}/{item.digits}" if item.digits else "", _accuracy(item), f"{item.bench_s:,.1f} s"),
            *(f"{item.bytes / 1e6:,.1f} MB", f"{item.bytes_a_digit / 1e3:,.0f} kB" if item.bytes_a_digit else ""),
        )
    return made


def _accuracy(item: RunSummary) -> str:
    return f"{item.correct / item.labelled:.1%}" if item.labelled else ""
