"""Commands that are ended in the middle, by every signal a process can get; and what is left of their work.

What was told to be safe is there, what is not whole is not there, going on gives what an undisturbed one gives, the
passport knows of every pulse that reached the board, a bench that could be brought to rest is at rest, no process is
left behind, and nobody sees a traceback.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from drivers.wear.passport import load_passport
from drivers.witness import ask
from hil.cli import main
from hil.store.runfile import RunFile

ROOT = Path(__file__).parents[2]
HIL = [sys.executable, "-m", "hil"]
SIGNALS = {
    "TERM": (signal.SIGTERM,),
    "HUP": (signal.SIGHUP,),
    "KILL": (signal.SIGKILL,),
    "INT twice": (signal.SIGINT, signal.SIGINT),
}
COMMANDS = ("run", "evaluate", "calibrate", "resume", "export")
BENCHES = {"mock": None, "pico": "pico", "pigpio": "pigpio"}  # name: pulse source of a served bench; a Pico counts
FEW = ("--digits", "0:4", "--physical", "conv1:0-1", "--json")
ASKED_TO_STOP = 130
PARKED_V = 2.0
QUEUED_S = 2.0  # no queue holds more
CLOCK_HZ = 100_000  # of dendrite pulses, the bench's default
TABLES = ("digits", "slots", "events")
CONCLUDED = ("index", "noise", "label", "answer", "confidence", "logits", "maps")


def argv_of(command: str, bench: str, made: Path, whole: Path) -> list[str]:
    """A command that leaves what it makes at `made`; an export is of the run in `whole`."""
    where = ["--device", "ideal"] if bench == "mock" else ["--bench", f"{bench}.toml"]
    match command:
        case "run":
            return ["run", *FEW, *where, "--out", f"{made}.sqlite"]
        case "evaluate":
            return ["evaluate", *FEW, *where, "--out", f"{made}.sqlite"]
        case "calibrate":
            return ["calibrate", "transfer", "--full-scale", "1", *where, "--out", f"{made}.json", "--json"]
        case "resume":
            return ["resume", f"{made}.sqlite", "--json"]
        case _:
            return ["export", str(whole), "--to", "csv", "--out", str(made)]


def finish(*argv: str) -> dict[str, Any]:
    """One command to its end, in this process; returns its JSON object."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(argv))
    assert code == 0, (argv, err.getvalue())
    answer: dict[str, Any] = json.loads(out.getvalue()) if "--json" in argv else {}
    return answer


@dataclass
class Killing:
    """Kills commands in a folder and looks at what is left. Whole ones are made once; close it to stop the servers.

    `most_over` is by how many pulses a passport overstated at most after one end.
    """

    folder: Path
    benches: Collection[str] = tuple(BENCHES)
    most_over: int = 0
    _lasts_s: dict[tuple[str, str], float] = field(default_factory=dict)
    _over: dict[str, int] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(contextlib.chdir(self.folder))
            for bench in self.benches:
                if (source := BENCHES[bench]) is not None:
                    stack.enter_context(_served(bench, source))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def once(self, command: str, how: str, bench: str, seed: int) -> str:
        """One command, one end; raises AssertionError where something is lost. Returns how it ended."""
        rng = random.Random(f"{command} {how} {bench} {seed}")
        made = self.folder / f"{command}-{how.split(maxsplit=1)[0]}-{bench}-{seed}"
        lasts_s = self._lasted_s(command, bench)
        if command == "resume":
            shutil.copyfile(self._part(bench), f"{made}.sqlite")
        argv = argv_of(command, bench, made, self._whole("run", bench))
        with _Ended(argv, how, rng.uniform(0, 1.1) * lasts_s, rng.uniform(0, 0.3)) as ended:
            self._look_at_board(bench, ended)
            if command == "export":
                self._look_at_export(made, ended, bench)
            else:
                self._look_at_run(command, bench, made, ended)
        for file in self.folder.glob(f"{made.name}*"):
            file.unlink()
        return "complete" if ended.code == 0 else f"code {ended.code}"

    # ---- what undisturbed commands make -------------------------------------------------------------------------

    def _whole(self, command: str, bench: str) -> Path:
        """What a command makes that nobody disturbs."""
        made = self.folder / f"whole-{command}-{bench}"
        path = made.with_suffix(".json" if command == "calibrate" else ".sqlite")
        if not path.exists():
            finish(*argv_of(command, bench, made, path))
        return path

    def _part(self, bench: str) -> Path:
        """A run that was stopped in the middle, as one file."""
        path = self.folder / f"part-{bench}.sqlite"
        while not path.exists():
            with subprocess.Popen(
                [*HIL, *argv_of("run", bench, path.with_suffix(""), path)], **_streams(subprocess.DEVNULL)
            ) as process:
                log = path.with_name(path.name + "-wal")
                while process.poll() is None and not (log.exists() and log.stat().st_size > 40_000):
                    time.sleep(0.005)
                process.send_signal(signal.SIGTERM)
            if process.returncode == 0:
                path.unlink()
        return path

    def _lasted_s(self, command: str, bench: str) -> float:
        """How long a command takes here that nobody disturbs, its start included."""
        if (command, bench) not in self._lasts_s:
            made = self.folder / f"lasts-{command}-{bench}"
            if command == "resume":
                shutil.copyfile(self._part(bench), f"{made}.sqlite")
            argv = argv_of(command, bench, made, self._whole("run", bench))
            began = time.monotonic()
            subprocess.run([*HIL, *argv], check=True, **_streams(subprocess.DEVNULL))
            self._lasts_s[command, bench] = time.monotonic() - began
        return self._lasts_s[command, bench]

    # ---- what is left of disturbed ones --------------------------------------------------------------------------

    def _look_at_board(self, bench: str, ended: _Ended) -> None:
        if bench == "mock":
            return
        settings = tomllib.loads((self.folder / f"{bench}.toml").read_text(encoding="utf-8"))
        status = ask(settings["witness"])
        had = load_passport(settings["device"], self.folder / settings["passports"])
        assert had.pulses >= status["pulses"], (had, status)
        assert had.resets >= status["resets"], (had, status)
        over = had.pulses - status["pulses"]
        more, self._over[bench] = over - self._over.get(bench, 0), over
        assert more <= QUEUED_S * CLOCK_HZ
        self.most_over = max(self.most_over, more)
        assert status["misuse"] == 0, status["latest"]
        if ended.code >= 0:
            assert status["lines"] == 0
            assert status["vth_v"] >= PARKED_V

    def _look_at_run(self, command: str, bench: str, made: Path, ended: _Ended) -> None:
        path, record = Path(f"{made}.sqlite"), Path(f"{made}.json")
        if not path.exists():
            assert ended.code != 0
            assert not record.exists()
            return
        before = recorded(path)
        if ended.code == ASKED_TO_STOP and (command != "resume" or before != recorded(self._part(bench))):
            assert f"hil resume {path}" in ended.err, ended.err
        finish("resume", str(path), "--json")
        after, whole = recorded(path), self._whole("run" if command == "resume" else command, bench)
        assert before.results == after.results[: len(before.results)]
        assert before.slots.items() <= after.slots.items()
        if command == "calibrate":
            assert _curves(record) == _curves(whole)
            whole = whole.with_suffix(".sqlite")
        assert after == recorded(whole)

    def _look_at_export(self, made: Path, ended: _Ended, bench: str) -> None:
        whole = self.folder / f"lasts-export-{bench}"
        files = {what: Path(f"{made}-{what}.csv") for what in TABLES}
        for what, file in files.items():
            assert file.exists() or ended.code != 0
            assert not file.exists() or file.read_bytes() == Path(f"{whole}-{what}.csv").read_bytes()
        if ended.code >= 0:  # nobody tidies up after a signal that nobody heard
            assert set(self.folder.glob(f"{made.name}*")) <= set(files.values())


def _streams(where: int) -> dict[str, Any]:
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **{"text": True, "stdout": where, "stderr": where, "start_new_session": True},
        "env": {**os.environ, "PYTHONPATH": paths},
    }


@contextlib.contextmanager
def _served(bench: str, source: str) -> Iterator[None]:
    """A simulated bench behind its wires in a process of its own, its bench file in the working folder."""
    argv = ["mock", "serve", "--device", "ideal", "--source", source, "--reader", "pico", "--out", f"{bench}.toml"]
    with subprocess.Popen([*HIL, *argv], **_streams(subprocess.DEVNULL)) as process:
        try:
            while not Path(f"{bench}.toml").exists():
                assert process.poll() is None, f"hil {' '.join(argv)} ended"
                time.sleep(0.02)
            yield
        finally:
            process.send_signal(signal.SIGINT)


class _Ended:
    """A command that was ended by signals after a while, and how: a context, within which nothing of it runs."""

    def __init__(self, argv: list[str], how: str, after_s: float, apart_s: float) -> None:
        process = subprocess.Popen([*HIL, *argv], **_streams(subprocess.PIPE))
        with suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
        for number in SIGNALS[how]:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(apart_s)
        self.out, self.err = process.communicate(timeout=100)
        self.code = process.returncode
        if _before_our_first_line(self.err):
            self.code = -signal.SIGINT
        else:
            assert "Traceback" not in self.err, self.err
        if self.code == -signal.SIGINT and "hil: interrupted" in self.err:
            self.code = ASKED_TO_STOP  # CPython ends itself so where an interrupt ever passed through an exec()
        # Before Python has begun to listen, the system ends a process by itself.
        assert self.code in {0, ASKED_TO_STOP, *(-number for number in SIGNALS[how])}, (self.code, self.err)
        self._group = process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        until = time.monotonic() + 30
        with suppress(ProcessLookupError):
            while True:
                os.killpg(self._group, 0)
                assert time.monotonic() < until, "processes of the command are left"
                time.sleep(0.02)


Slot = tuple[str, int, int, int, int]  # purpose, image, noise, layer, place in the frame


def _before_our_first_line(err: str) -> bool:
    """Whether Python itself was interrupted, while it was starting: what it says then is no program's to change."""
    return err.rstrip().endswith("\nKeyboardInterrupt") and "/hil/__main__.py" not in err and "hil:" not in err


@dataclass(frozen=True)
class Recorded:
    """What a run file holds: accepted slots with their pulses and spikes, and what was made of them."""

    slots: dict[Slot, tuple[int, int]]
    results: list[dict[str, Any]]


def recorded(path: Path) -> Recorded:
    """What a run file holds; fails unless it is whole and has no slot twice."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)  # its log is left for `hil resume`
    try:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM shots WHERE damaged").fetchone() == (0,)
        details = [row[0] for row in db.execute("SELECT detail FROM results ORDER BY noise, image")]
    finally:
        db.close()
    slots: dict[Slot, tuple[int, int]] = {}
    with RunFile.open(path) as run:
        for shot in run.shot_ids():
            capture = run.load(shot)
            frame, key = capture.frame, capture.frame.key
            for i in np.flatnonzero(capture.ok & frame.played).tolist():
                slot = (key.purpose, key.image, key.noise, int(frame.layer[i]), frame.first_slot + i)
                assert slot not in slots, f"{slot} was accepted twice"
                slots[slot] = (int(frame.pulses[i]), int(capture.spikes[i]))
    return Recorded(slots, [{key: row[key] for key in CONCLUDED} for row in map(json.loads, details)])


def _curves(record: Path) -> Any:
    return json.loads(record.read_text(encoding="utf-8"))["curves"]
