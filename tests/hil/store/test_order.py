"""What came first, where the clock of the computer jumps."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

import hil.store.frozen
from drivers.benchfile import load_bench
from drivers.device import load_device
from hil.calibrate.characterization import CharacterizeConfig
from hil.cli import main
from hil.commands.runpath import run_path
from hil.run.session import RUNS
from hil.store.frozen import begin
from hil.store.order import Begun, in_order
from hil.store.runfile import RunFile

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PI = Path(__file__).parents[3] / "examples" / "benches" / "pigpio-scope.toml"


def at(hours: float, boot: str, since_s: float, device: str = "", pulses: int = 0) -> Begun:
    return Begun(NOW + timedelta(hours=hours), boot, since_s, device, pulses)


@pytest.mark.parametrize(
    "in_this_order",
    [
        [at(1, "a", 10), at(-500_000, "a", 20), at(0, "a", 30)],  # the clock goes back, and comes again
        [at(-500_000, "a", 10), at(1, "a", 20), at(2, "b", 5)],  # begun before the network told the time
        [at(5, "a", 10, "die7", 100), at(-9, "b", 5, "die7", 200), at(-8, "b", 9)],  # a clock that lost hours
        [at(5, "a", 10, "die7", 100), at(6, "b", 5, "die7", 100), at(7, "c", 5, "die8", 0)],
        [at(1, "", 0), at(2, " ", 0), at(3, "a", 1)],  # files that do not tell of a start
    ],
)
def test_counters_come_before_the_clock(in_this_order: list[Begun]) -> None:
    for mixed in permutations(enumerate(in_this_order)):
        assert in_order((begun, i) for i, begun in mixed) == [0, 1, 2]


def test_latest_is_the_run_begun_last_whatever_the_clock_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--physical", "none"]
    assert main(["run", "--digits", "0", *few, "--out", "runs/first.sqlite"]) == 0

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Wrong:  # noqa: ARG003
            return cls(1999, 1, 1, tzinfo=UTC)

    with monkeypatch.context() as patch:
        patch.setattr(hil.store.frozen, "datetime", Wrong)
        assert main(["run", "--digits", "0", *few, "--out", "runs/second.sqlite"]) == 0
    capsys.readouterr()
    assert run_path("latest") == RUNS / "second.sqlite"


def test_between_starts_the_device_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The clock said a day later for the first: it was wrong then, or it is now."""
    monkeypatch.chdir(tmp_path)
    device = load_device(str(PI.parent.parent / "devices" / "example.toml"))
    settings = CharacterizeConfig(bench=load_bench(str(PI)), device=device)
    for name, pulses, start, day in (("a", 100, "one", 2), ("b", 900, "two", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(hil.store.frozen, "boot", lambda start=start: {"id": start, "since_s": 5.0})
            with begin(RUNS / f"{name}.sqlite", "characterize", settings, {}, odometer=pulses) as run:
                path = run.path
        with closing(sqlite3.connect(path)) as db, db:
            from hil.store.rows import digest

            text = f'"2026-06-0{day}T12:00:00+00:00"'
            db.execute("UPDATE run SET value = ?, digest = ? WHERE key = 'begun'", (text, digest(("begun", text))))
    assert run_path("latest") == RUNS / "b.sqlite"


def test_events_are_in_the_order_of_their_recording(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with RunFile.create(tmp_path / "r.sqlite", {}) as run:
        for time, kind in (("2026-06-01", "first"), ("1970-01-01", "second"), ("2026-06-02", "third")):
            monkeypatch.setattr("hil.store.runfile.now_utc", lambda time=time: f"{time}T00:00:00.000+00:00")
            run.add_event(kind, "")
        assert [kind for _, kind, _ in run.events()] == ["first", "second", "third"]
