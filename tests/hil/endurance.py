"""A device with a small endurance, and a random walk over what could let it have more: kills, resumes, lost links, two
programs at once, two homes, and passports and ledgers that are zeroed, deleted or put back as they were.

The twin's own count of what reached the board is held against the passport after every step. The bench file names no
witness, so that everything looks as it does on hardware.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from drivers.wear.ledger import Wear, to_line
from drivers.wear.passport import Passport, load_passport
from drivers.witness import ask

ROOT = Path(__file__).parents[2]
HIL = [sys.executable, "-m", "hil"]
PULSES, RESETS = 60_000, 12_000
DEVICE = "short"
LIMIT = re.compile(r"left of its budget|its file allows")
STOPPED = re.compile(r"stopped; ([\d,]+) pulses, ([\d,]+) resets")
CRASH = "Traceback"


@dataclass(frozen=True)
class End:
    """How a command ended, and what it said."""

    code: int
    err: str


@dataclass
class Walk:
    """The walk in a folder: `step` takes one and looks. Close it to stop the server.

    `most_over` is by how many pulses the passport overstated at most, `behind` and `behind_resets` by how many pulses
    and resets it fell behind the board, which only files that were put back from before may bring about: each time by
    what was queued when a run was killed, of which its run file knows nothing. `refused` counts plays that the budget
    stopped.
    """

    folder: Path
    seed: int
    source: str
    most_over: int = 0
    behind: int = 0
    behind_resets: int = 0
    refused: int = 0
    _past: Wear = field(default_factory=Wear)  # what servers before the present one have seen
    _restless: bool = False
    _server: subprocess.Popen[str] | None = None
    _kept: list[Path] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._rng = random.Random(f"endurance {self.source} {self.seed}")
        text = (ROOT / "drivers/mock/devices/ideal.toml").read_text(encoding="utf-8")
        text = re.sub(r"(?m)^endurance_pulses = .*", f"endurance_pulses = {PULSES}", text)
        text = re.sub(r"(?m)^endurance_resets = .*", f"endurance_resets = {RESETS}", text)
        (self.folder / f"{DEVICE}.toml").write_text(text.replace('"ideal"', f'"{DEVICE}"'), encoding="utf-8")
        for home in ("one", "other"):
            (self.folder / home).mkdir()
        self._start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop()

    # ---- the twin -------------------------------------------------------------------------------------------------

    def _start(self, *faults: str) -> None:
        file = self.folder / "served.toml"
        file.unlink(missing_ok=True)
        argv = ["mock", "serve", "--device", f"{DEVICE}.toml", "--source", self.source, "--reader", "pico"]
        more = [word for fault in faults for word in ("--fault", fault)]
        self._server = self._popen([*argv, *more, "--out", file.name])
        while not file.exists():
            assert self._server.poll() is None, self._server.communicate()[1]
            time.sleep(0.02)
        text = file.read_text(encoding="utf-8")
        found = re.search(r'(?m)^witness = "(.*)"$', text)
        assert found is not None
        self._witness = found[1]
        record = self.folder / "calibration.json"  # the first server's, so that runs go on with the next one
        if not record.exists():
            shutil.copyfile(self.folder / "served.calibration.json", record)
        text = text.replace(found[0] + "\n", "").replace(str(self.folder / "served.calibration.json"), str(record))
        stated = text.replace('passports = "served.passports"', 'passports = "passports"')
        (self.folder / "bench.toml").write_text(stated, encoding="utf-8")
        unstated = text.replace('passports = "served.passports"\n', "")
        (self.folder / "unstated.toml").write_text(unstated, encoding="utf-8")

    def _stop(self) -> None:
        """End the server; what it saw until its end is remembered."""
        assert self._server is not None
        self._server.send_signal(signal.SIGINT)
        _, err = self._server.communicate(timeout=60)
        found = STOPPED.search(err)
        assert found is not None, err
        pulses, resets = (int(number.replace(",", "")) for number in found.groups())
        self._past = self._past.plus(pulses, resets)

    def board(self) -> Wear:
        """What the board has had, once it is at rest: a daemon goes on playing what a killed program has queued."""
        same, before = 0, None
        while same < (10 if self._restless else 1):
            if before is not None:
                time.sleep(0.1)
            status = ask(self._witness)
            now = (status["pulses"], status["resets"])
            same, before = (same + 1 if now == before and status["lines"] == 0 else 0), now
        self._restless = False
        return self._past.plus(*now)

    # ---- commands -------------------------------------------------------------------------------------------------

    def _popen(self, argv: list[str], home: str = "one", **more: str) -> subprocess.Popen[str]:
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        there = {key: value for key, value in os.environ.items() if key not in ("HIL_PASSPORTS", "XDG_DATA_HOME")}
        env = {**there, "PYTHONPATH": paths, "HOME": str(self.folder / home), **more}
        return subprocess.Popen(
            [*HIL, *argv], cwd=self.folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def _run(self, bench: str = "bench.toml", most: int = 4) -> list[str]:
        """A command that plays."""
        rng = self._rng
        parts, full = rng.choice(["conv1:0", "conv1:0-1"]), rng.choice([4, 8, 16])
        what = ["--digits", f"0:{rng.randint(1, most)}", "--physical", parts, "--full-scale", f"conv1={full}"]
        return ["run", *what, "--bench", bench, "--json"]

    def _end(self, process: subprocess.Popen[str]) -> End:
        _, err = process.communicate(timeout=120)
        assert CRASH not in err or err.rstrip().endswith("KeyboardInterrupt"), err
        return End(process.returncode, err.strip().splitlines()[-1] if err.strip() else "")

    def _whole(self, argv: list[str], home: str = "one", **more: str) -> End:
        return self._end(self._popen(argv, home, **more))

    def _cut(self, argv: list[str], how: signal.Signals) -> End:
        process = self._popen(argv)
        self._meanwhile(process)
        process.send_signal(how)
        self._restless = True
        return self._end(process)

    def _meanwhile(self, process: subprocess.Popen[str]) -> None:
        """Wait until any moment of a command, twice in three of its playing."""
        rng, ledger = self._rng, self.folder / "passports" / f"{DEVICE}.wear"
        if rng.random() < 1 / 3:
            with suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0, 2))
            return
        had = ledger.read_bytes() if ledger.exists() else b""
        until = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < until:
            if ledger.exists() and ledger.read_bytes() != had:
                break
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.25))

    def _last(self) -> str | None:
        runs = sorted((self.folder / "runs").glob("*.sqlite"), key=lambda path: path.stat().st_mtime)
        return f"runs/{self._rng.choice(runs[-3:]).name}" if runs else None

    # ---- steps ----------------------------------------------------------------------------------------------------

    def step(self, kind: str | None = None) -> str:
        """One step, a random one unless named; raises AssertionError where the passport or the budget was got past.

        Returns what became of it.
        """
        before, behind = self.board(), (self.behind, self.behind_resets)
        kind = kind or (self._rng.choice(list(KINDS)) if before.pulses else "played")
        if kind in NEEDS_A_COPY and not self._kept:
            kind = "copied"
        said = KINDS[kind](self)
        after, had = self.board(), self.passport()
        fell = max(0, after.pulses - had.pulses), max(0, after.resets - had.resets)
        line = (
            f"{kind:16} board {before.pulses:6,} → {after.pulses:6,} pulses, {after.resets:6,} resets; "
            f"passport {had.pulses:6,}, {had.resets:6,}; {said}"
        )
        assert kind in PUT_BACK or (fell[0] <= behind[0] and fell[1] <= behind[1]), line
        self.behind, self.behind_resets = max(behind[0], fell[0]), max(behind[1], fell[1])
        assert after.pulses <= PULSES + self.behind, line
        assert after.resets <= RESETS + self.behind_resets, line
        self.most_over = max(self.most_over, had.pulses - after.pulses)
        self.refused += LIMIT.search(said) is not None
        return line

    def passport(self) -> Passport:
        """As it is kept."""
        return load_passport(DEVICE, self.folder / "passports")

    def _played(self) -> str:
        return _told(self._whole(self._run(), self._rng.choice(["one", "other"])))

    def _killed(self) -> str:
        return _told(self._cut(self._run(), self._rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])))

    def _resumed(self) -> str:
        last = self._last()
        if last is None:
            return "nothing to resume"
        return _told(self._whole(["resume", last, "--bench", "bench.toml", "--json"]))

    def _resume_killed(self) -> str:
        last = self._last()
        if last is None:
            return "nothing to resume"
        how = self._rng.choice([signal.SIGKILL, signal.SIGTERM])
        return _told(self._cut(["resume", last, "--bench", "bench.toml", "--json"], how))

    def _link_lost(self) -> str:
        """The server is stopped in the middle, and another takes its place."""
        process = self._popen(self._run())
        self._meanwhile(process)
        self._stop()
        end = self._end(process)
        self._start()
        return _told(end)

    def _faulty(self) -> str:
        fault = self._rng.choice(["dies_in_shot"] if self.source == "pigpio" else ["reboot", "unplugged"])
        self._stop()
        self._start(fault)
        end = self._whole(self._run())
        self._stop()
        self._start()
        return f"{fault}: {_told(end)}"

    def _two_at_once(self) -> str:
        both = [self._popen(self._run(), home) for home in ("one", "other")]
        return "; ".join(_told(self._end(process)) for process in both)

    def _by_environment(self) -> str:
        """Another home, and a bench file that states no folder: $HIL_PASSPORTS does."""
        return _told(self._whole(self._run("unstated.toml"), "other", HIL_PASSPORTS=str(self.folder / "passports")))

    def _nowhere(self) -> str:
        """Neither a bench file nor the environment says where passports are, and the system's place is not there."""
        before = self.board()
        end = self._whole(self._run("unstated.toml"), "other")
        assert end.code == 2, end
        assert self.board() == before
        return _told(end)

    def _another_folder(self) -> str:
        """The environment names a folder that knows of no such device, though runs lie here that do."""
        had = self.passport()
        known = any((self.folder / "runs").glob("*.sqlite")) and had.pulses > 0
        before = self.board()
        (self.folder / "elsewhere").mkdir(exist_ok=True)
        end = self._whole(self._run("unstated.toml"), "other", HIL_PASSPORTS=str(self.folder / "elsewhere"))
        shutil.rmtree(self.folder / "elsewhere")
        return self._refused_unless(not known, end, before, had)

    # ---- files that were spoilt -----------------------------------------------------------------------------------

    def _spoilt(self, spoil: Callable[[Path, Path], None]) -> str:
        """Something plays with spoilt files: it is refused by name, and nothing reaches the board."""
        folder, before = self.folder / "passports", self.board()
        passport, ledger = folder / f"{DEVICE}.json", folder / f"{DEVICE}.wear"
        if not ledger.exists() or self.passport().pulses == 0:
            return "nothing to spoil"
        kept, had = shutil.copytree(folder, self.folder / "kept"), self.passport()
        known = any((self.folder / "runs").glob("*.sqlite"))
        spoil(passport, ledger)
        argv = self._run() if self._rng.random() < 0.7 or (last := self._last()) is None else ["resume", last]
        argv = argv if argv[0] == "run" else [*argv, "--bench", "bench.toml", "--json"]
        end = self._whole(argv)
        told = self._refused_unless(not known, end, before, had)
        shutil.rmtree(folder)
        kept.rename(folder)
        return told

    def _refused_unless(self, may_play: bool, end: End, before: Wear, had: Passport) -> str:
        """Refused, or a run that was complete; what reached the board since is of a killed one, and was counted."""
        if not may_play:
            assert end.code in {0, 1, 2}, end
            now = self.board()
            assert now == before or (end.code == 2 and now.pulses <= had.pulses and now.resets <= had.resets), end
        return _told(end)

    def _passport_zeroed(self) -> str:
        def spoil(passport: Path, ledger: Path) -> None:
            passport.write_bytes(b"" if self._rng.random() < 0.5 else bytes(passport.stat().st_size))

        return self._spoilt(spoil)

    def _ledger_zeroed(self) -> str:
        def spoil(passport: Path, ledger: Path) -> None:
            size = ledger.stat().st_size
            ledger.write_bytes(self._rng.choice([b"", bytes(size), to_line(Wear()).encode()]))

        return self._spoilt(spoil)

    def _both_zeroed(self) -> str:
        """As of a device that was never played."""

        def spoil(passport: Path, ledger: Path) -> None:
            data: dict[str, Any] = json.loads(passport.read_text(encoding="utf-8"))
            passport.write_text(json.dumps({**data, "pulses": 0, "resets": 0}), encoding="utf-8")
            ledger.write_text(to_line(Wear()), encoding="ascii")

        return self._spoilt(spoil)

    def _one_deleted(self) -> str:
        return self._spoilt(lambda passport, ledger: self._rng.choice([passport, ledger]).unlink())

    def _both_deleted(self) -> str:
        def spoil(passport: Path, ledger: Path) -> None:
            passport.unlink()
            ledger.unlink()

        return self._spoilt(spoil)

    def _kept_copy(self) -> str:
        """Copy the files as they are now, for later."""
        folder = self.folder / "passports"
        if not folder.exists():
            return "nothing to copy"
        self._kept.append(shutil.copytree(folder, self.folder / f"copy{len(self._kept)}"))
        return f"copied at {self.passport().pulses:,} pulses"

    def _put_back(self, *names: str) -> str:
        """What was copied takes the place of what there is, and something plays; what was refused is mended after."""
        if not self._kept:
            return "nothing to put back"
        folder, before, copy = self.folder / "passports", self.board(), self._rng.choice(self._kept)
        kept = shutil.copytree(folder, self.folder / "kept")
        for name in names:
            shutil.copyfile(copy / name, folder / name)
        end = self._whole(self._run())
        if self.board() == before:
            shutil.rmtree(folder)
            kept.rename(folder)
            return _told(end)
        shutil.rmtree(kept)
        return f"TAKEN: {_told(end)}"

    def _all_put_back(self) -> str:
        return self._put_back(f"{DEVICE}.json", f"{DEVICE}.wear")

    def _killed_and_put_back(self) -> str:
        """What was copied just before a kill takes the place of what it left."""
        self._kept = [shutil.copytree(self.folder / "passports", self.folder / f"before{time.monotonic_ns()}")]
        killed = self._cut(self._run(), signal.SIGKILL)
        return f"{_told(killed)}, then {self._all_put_back()}"

    def _passport_put_back(self) -> str:
        return self._put_back(f"{DEVICE}.json")

    def _ledger_put_back(self) -> str:
        return self._put_back(f"{DEVICE}.wear")


def _told(end: End) -> str:
    return f"code {end.code}" + (f": {end.err}" if end.code not in (0, -9) else "")


KINDS: dict[str, Callable[[Walk], str]] = {
    "played": Walk._played,
    "killed": Walk._killed,
    "killed again": Walk._killed,
    "and again": Walk._killed,
    "resumed": Walk._resumed,
    "resume killed": Walk._resume_killed,
    "link lost": Walk._link_lost,
    "faulty": Walk._faulty,
    "two at once": Walk._two_at_once,
    "by environment": Walk._by_environment,
    "nowhere": Walk._nowhere,
    "another folder": Walk._another_folder,
    "passport zeroed": Walk._passport_zeroed,
    "ledger zeroed": Walk._ledger_zeroed,
    "both zeroed": Walk._both_zeroed,
    "one deleted": Walk._one_deleted,
    "both deleted": Walk._both_deleted,
    "copied": Walk._kept_copy,
    "all put back": Walk._all_put_back,
    "killed, put back": Walk._killed_and_put_back,
    "passport back": Walk._passport_put_back,
    "ledger back": Walk._ledger_put_back,
}
NEEDS_A_COPY = ("all put back", "passport back", "ledger back")
PUT_BACK = (*NEEDS_A_COPY, "killed, put back")
