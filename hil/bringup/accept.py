"""What proves a bench, step by step: each is a command that a person could type, or a shot played and judged here.

A step is done and ok, done and failed, or not done, with the reason; nothing is said of a bench that was not seen.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binomtest

from drivers.benchfile import BenchFile
from drivers.checks import PULSES, ROUNDS
from drivers.device import load_device
from drivers.errors import EmergencyStopError, HilError
from drivers.opening import make_bench
from drivers.signals import probe_frame
from drivers.timing import length_ticks
from hil.bringup.done import Done
from hil.bringup.picoproof import pico_steps, pulses_of
from hil.store.history import known_passport

if TYPE_CHECKING:
    from drivers.bench import Bench

KNOWN = (1, 2, 4, 8, 16, 32)  # pulses of the known slots
REPEATS = 16  # of each, at every address
SETTLES_S = 2.5  # after a kill: no queue holds more than 2 s
WAITS_S = 60.0  # for a hand
AS_PLANNED_LEAST = 0.99  # of the known slots; a run takes late ones again
GUESSING_MOST = 0.01  # chance of as many right answers by guessing
CALIBRATING = 510_000  # pulses of threshold and transfer: measured on the simulated device `nominal`
USUAL_S = {  # of each step that is told as it begins: with a simulated Pico paced to real time, and three digits
    "doctor and loopback": 2.0,
    "slot timing and known pulses": 1.0,
    "thresholds and transfer": 17.0,
    "digits": 6.0,
    "replay": 2.0,
    "host killed": 10.0,
    "what a Pico does by itself": 20.0,
}


def left_s(step: str, elapsed_s: float) -> float:
    """About how long it still takes when this step begins: as usual, or slower by as much as it was until now."""
    names = list(USUAL_S)
    usual = list(USUAL_S.values())
    at = names.index(step)
    before = sum(usual[:at])
    return sum(usual[at:]) * (max(1.0, elapsed_s / before) if before else 1.0)


@dataclass(frozen=True)
class Acceptance:
    """What is accepted: the bench as the user calls it, its file, the digits, and the folder for all results."""

    bench: str
    file: BenchFile
    digits: str
    folder: Path
    device: str | None = None
    locks: tuple[int, ...] = ()  # descriptors of what is held throughout, for the programs that are started
    begin: Callable[[str], None] = lambda _: None  # told each step as it begins
    ask: Callable[[str], bool] | None = None  # where there is a person: told what to do, answers whether it was done

    def steps(self) -> Iterator[Done]:
        """Do everything in order, and go on after a step that failed unless nothing can follow."""
        doctor = self._doctor()
        yield doctor
        if doctor.state == "failed":
            return
        yield self._known_slots()
        calibrated = self._calibrated()
        yield calibrated
        if calibrated.state == "ok":
            digits = self._digits()
            yield digits
            if self._run.exists() and digits.figures:
                yield self._replayed()
                yield from self._killed()
        self.begin("what a Pico does by itself")
        yield from pico_steps(self.file, self.device)
        yield self._stopped()

    def pulses(self) -> int:
        """About how many dendrite pulses it takes; raises HilError where the digits cannot be planned."""
        planned = self._hil("plan", "--digits", self.digits, "--total")
        addresses = max(1, self.file.board.addresses)
        loopback = 3 * PULSES * ROUNDS * addresses
        known = sum(KNOWN) * REPEATS * addresses
        return round(loopback + known + CALIBRATING + 2 * float(planned["pulses"]) + pulses_of(self.file))

    def _doctor(self) -> Done:
        self.begin("doctor and loopback")
        found = self._hil("doctor", "--loopback", fails=True)
        wrong = [check for check in found["checks"] if not check["ok"]]
        said = "; ".join(f"{check['name']}: {check['detail']}" for check in wrong)
        return Done(
            "doctor and loopback", "failed" if wrong else "ok", said or f"{len(found['checks'])} rows ok", found
        )

    def _opened(self) -> AbstractContextManager[Bench]:
        """The bench, of a device whose wear is known; raises HilError."""
        device = load_device(self.device or self.file.device)
        known_passport(self.file, device)
        return make_bench(self.file, device)

    def _known_slots(self) -> Done:
        """Slot lengths against the plan, and what known pulses bring at each address."""
        file, name = self.file, "slot timing and known pulses"
        self.begin(name)
        addresses = max(1, file.board.addresses)
        counts = np.repeat(np.tile(KNOWN, REPEATS), addresses)
        try:
            with self._opened() as bench:
                bench.set_threshold(file.vth_v)
                captures = list(bench.play([probe_frame("accept", file.slot, counts.tolist())]))
                bench.make_safe()
        except HilError as error:
            return Done(name, "failed", str(error))
        spikes = np.concatenate([c.spikes for c in captures])
        slot_s = np.concatenate([c.slot_s for c in captures])
        ok = np.concatenate([c.ok for c in captures])
        planned_s = np.concatenate([length_ticks(c.frame, file.tick_s) * file.tick_s for c in captures])
        off = np.abs(slot_s[ok] / planned_s[ok] - 1)
        where = np.arange(len(counts)) % addresses
        by_address = [int(spikes[where == a].sum()) for a in range(addresses)]
        by_pulses = [float(spikes[counts == n].mean()) for n in KNOWN]
        figures = {
            "slots": len(counts),
            "late_or_missing": int((~ok).sum()),
            "length_off_most": float(off.max(initial=0.0)),
            "spikes_by_address": by_address,
            "spikes_by_pulses": dict(zip(KNOWN, by_pulses, strict=True)),
        }
        rising = np.diff(by_pulses) >= 0
        good = float(ok.mean()) >= AS_PLANNED_LEAST and min(by_address) > 0 and bool(rising.all())
        detail = (
            f"{len(counts) - int((~ok).sum())} of {len(counts)} slots as planned, within {off.max(initial=0.0):.2%}; "
            f"spikes by address {by_address}"
        )
        return Done(name, "ok" if good else "failed", detail, figures)

    def _calibrated(self) -> Done:
        self.begin("thresholds and transfer")
        found = self._hil("calibrate", "threshold", "transfer", "--out", str(self._record), fails=True)
        if "vth_v" not in found:
            return Done("thresholds and transfer", "failed", found.get("error", "no calibration"))
        window = " … ".join(f"{volts:.3f}" for volts in found["window_v"])
        detail = f"window {window} V; V_th {found['vth_v']:.4g} V for {found['gain']['value']:.2f} pulses a spike"
        pictures = tuple(sorted(self.folder.glob(f"{self._record.stem}-*.png")))
        return Done("thresholds and transfer", "ok", detail, found, pictures)

    def _digits(self) -> Done:
        self.begin("digits")
        picture = self.folder / "digit.png"
        run = ["run", "--digits", self.digits, "--calibration", str(self._record), "--out", str(self._run)]
        found = self._hil(*run, "--figure", str(picture), fails=True)
        if "digits" not in found:
            return Done("digits", "failed", found.get("error", "no digits"))
        right, of = sum(d["answer"] == d["label"] for d in found["digits"]), len(found["digits"])
        chance = float(binomtest(right, of, 0.1, "greater").pvalue)  # of so many by guessing
        share = found["utilisation"]
        detail = f"{right} of {of} right (by guessing: {chance:.2g})"
        detail += f", utilisation {share:.0%}" if share is not None else ""
        good = chance <= GUESSING_MOST
        return Done("digits", "ok" if good else "failed", detail, found, (picture,) if picture.exists() else ())

    def _replayed(self) -> Done:
        self.begin("replay")
        found = self._hil("replay", str(self._run), fails=True, on_bench=False)
        same = bool(found.get("identical"))
        return Done("replay", "ok" if same else "failed", "identical" if same else str(found), found)

    def _killed(self) -> Iterator[Done]:
        """SIGKILL in the middle of a run: the bench comes to rest by itself, and the run goes on."""
        self.begin("host killed")
        path = self.folder / "killed.sqlite"
        words = ["run", "--digits", self.digits, "--calibration", str(self._record), "--out", str(path)]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "pass_fds": self.locks}
        with subprocess.Popen(self._command(*words), **quiet) as child:
            while child.poll() is None and not _has_digits(path):
                time.sleep(0.02)
            if child.poll() is not None:
                yield Done("host killed", "not done", "the run had ended before it could be killed: give more --digits")
                return
            os.kill(child.pid, signal.SIGKILL)
        if self.file.kind == "mock":
            yield Done("at rest after a kill", "not done", "the simulated bench died with its host: nothing to look at")
        else:
            time.sleep(SETTLES_S)
            rest = self._hil("doctor", fails=True)
            wrong = "; ".join(f"{check['name']}: {check['detail']}" for check in rest["checks"] if not check["ok"])
            yield Done("at rest after a kill", "failed" if wrong else "ok", wrong or "every row of doctor ok", rest)
        resumed = self._hil("resume", str(path), fails=True, on_bench=False)
        done = len(resumed.get("digits", []))
        yield Done("host killed", "ok" if done else "failed", f"the run went on to {done} digits", resumed)

    def _stopped(self) -> Done:
        """A hand presses the stop while slots without pulses are played."""
        file, name = self.file, "emergency stop"
        if file.panel is None and (file.pico is None or file.pico.estop_pin is None):
            return Done(name, "not done", "no stop is wired")
        if self.ask is None:
            return Done(name, "not done", "it needs a hand at the bench and a terminal")
        if not self.ask(f"press the stop within {WAITS_S:g} s of answering yes; ready?"):
            return Done(name, "not done", "nobody was ready")
        empty = probe_frame("accept stop", file.slot.model_copy(update={"mode": "fixed"}), [0] * 64)
        began = time.monotonic()
        try:
            with self._opened() as bench:
                bench.set_threshold(file.vth_v)
                while time.monotonic() < began + WAITS_S:
                    list(bench.play([empty]))
        except EmergencyStopError as error:
            return Done(name, "ok", f"after {time.monotonic() - began:.1f} s: {error}")
        except HilError as error:
            return Done(name, "failed", f"something else ended it: {error}")
        return Done(name, "failed", f"nothing stopped the bench in {WAITS_S:g} s")

    @property
    def _record(self) -> Path:
        return self.folder / "calibration.json"

    @property
    def _run(self) -> Path:
        return self.folder / "digits.sqlite"

    def _command(self, *words: str, on_bench: bool = True) -> list[str]:
        device = ["--device", self.device] if self.device else []
        where = ["--bench", self.bench, *device] if on_bench else []
        return [sys.executable, "-m", "hil", *words, *where]

    def _hil(self, *words: str, fails: bool = False, on_bench: bool = True) -> dict[str, Any]:
        """The JSON object of a command; one that prints none gives its reason as `error`, or raises HilError."""
        command = [*self._command(*words, on_bench=on_bench), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=self.locks)
        try:
            found: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            reason = done.stderr.strip().splitlines()[-1:] or [f"`hil {words[0]}` ended with code {done.returncode}"]
            if not fails:
                raise HilError(reason[0]) from None
            return {"error": reason[0], "checks": [{"name": words[0], "ok": False, "detail": reason[0]}]}
        return found


def _has_digits(path: Path) -> bool:
    """Whether a run file that is being written holds a digit yet."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0.1)) as db:
            return bool(db.execute("SELECT COUNT(*) FROM results").fetchone()[0])
    except sqlite3.Error:
        return False  # not made yet
