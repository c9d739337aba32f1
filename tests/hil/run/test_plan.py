"""`hil plan` and `hil runs`."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from drivers.benchfile import load_bench
from drivers.ds4024.known import Known, keep
from drivers.signals import SlotTiming, probe_frame
from drivers.timing import length_ticks
from hil.cli import main
from hil.run.plan import NEURONS, shared_s
from hil.run.shares import lines, measured


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert main([*argv, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.parametrize(
    "settings",
    [
        ("--digits", "0:6"),
        ("--digits", "20:23", "--noise", "40", "--clock", "5e4"),
        ("--digits", "0:2", "--physical", "conv1:0-1", "--mode", "fixed", "--window", "1e-3"),
        ("--digits", "0:3", "--physical", "conv1:0-3,fc1:0-63", "--full-scale", "fc1=32"),
        ("--digits", "0:3", "--play", "pooled"),
        ("--digits", "0:2", "--physical", "conv1:0-3", "--helpings", "4,8", "--sure", "1"),
        ("--digits", "0:2", "--physical", "conv1:0-1", "--traces", "--full-scale", "conv1=12"),
    ],
)
def test_the_plan_is_what_the_run_takes(capsys: pytest.CaptureFixture[str], settings: tuple[str, ...]) -> None:
    """Within 5 %, and exactly for all that follows from the images alone."""
    planned = call(capsys, "plan", *settings, "--total")
    taken = call(capsys, "run", *settings, "--out", "r.sqlite")
    (listed,) = call(capsys, "runs", "r.sqlite")["runs"]
    bench_s = sum(d["bench_s"] for d in taken["digits"])
    pulses = sum(d["pulses"] for d in taken["digits"])
    assert planned["bench_s"] == pytest.approx(bench_s, rel=0.05)
    assert planned["pulses"] == pytest.approx(pulses, rel=0.05)
    if "conv1:0-3,fc1:0-63" not in settings:
        assert planned["pulses"] == pulses
        assert planned["bench_s"] == pytest.approx(bench_s, rel=1e-9)
        assert planned["shots"] == listed["shots"]
    assert planned["limit_s"] < planned["bench_s"]
    assert planned["disk_bytes"] == pytest.approx(listed["bytes"], rel=0.2, abs=50_000)
    db = sqlite3.connect("r.sqlite")
    ((resets, samples),) = db.execute(
        "SELECT (SELECT sum(resets) FROM shots), (SELECT coalesce(sum(samples), 0) FROM traces)"
    )
    db.close()
    assert planned["resets"] == pytest.approx(resets, rel=0.05)
    assert planned["capture_bytes"] == pytest.approx(samples, rel=0.05)


def test_plan_recorded_and_the_file_tell_one_size(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("--digits", "0:3", "--traces", "--physical", "conv1:0-7")
    planned = call(capsys, "plan", *settings, "--total")["disk_bytes"]
    assert main(["run", *settings, "--out", "r.sqlite"]) == 0
    said = re.search(r"recorded in r\.sqlite: ([\d.]+) MB", capsys.readouterr().out)
    assert said is not None
    made = Path("r.sqlite").stat().st_size
    assert not Path("r.sqlite-wal").exists()
    assert float(said[1]) == pytest.approx(made / 1e6, abs=0.051)
    assert call(capsys, "runs", "r.sqlite")["runs"][0]["bytes"] == made
    assert planned == pytest.approx(made, rel=0.1)


def test_differential_weights_are_planned_in_halves(
    capsys: pytest.CaptureFixture[str], differential_file: Path
) -> None:
    settings = ("--digits", "0:2", "--physical", "conv1:0-3", "--weights", str(differential_file))
    planned = call(capsys, "plan", *settings, "--total")
    taken = call(capsys, "run", *settings, "--out", "r.sqlite")
    assert planned["slots"] == 2 * 2 * 4 * 784
    assert planned["pulses"] == sum(d["pulses"] for d in taken["digits"]) > 0
    assert call(capsys, "replay", "r.sqlite")["identical"] is True
    assert main(["report", "r.sqlite", "--channel", "7", "--image", "0"]) == 0
    capsys.readouterr()
    assert main(["report", "r.sqlite", "--channel", "8"]) == 2
    assert "--channel 8: recorded are 0…7 of conv1" in capsys.readouterr().err
    assert main(["export", "r.sqlite", "--to", "hdf5", "--out", "r.h5"]) == 0
    with h5py.File("r.h5") as file:
        assert file["conv1/channel"][:].tolist() == list(range(8))
        assert file["conv1/pulses"][:].sum() == planned["pulses"]


def test_a_long_run_is_planned_from_some_of_its_digits(capsys: pytest.CaptureFixture[str]) -> None:
    """256 of 1,000 digits predict all of them; the sampling error is 2 % (1 sigma)."""
    few = ("--physical", "conv1:0-0")
    every = [call(capsys, "plan", "--digits", f"{a}:{a + 250}", *few, "--total")["pulses"] for a in range(0, 1000, 250)]
    whole = call(capsys, "plan", "--digits", "0:1000", *few, "--total")
    assert whole["pulses"] == pytest.approx(sum(every), rel=0.05)
    assert whole["frames"] == 1000


def test_a_digits_cost_is_the_totals_share(capsys: pytest.CaptureFixture[str]) -> None:
    total = call(capsys, "plan", "--digits", "0:4", "--total")
    digit = call(capsys, "plan", "--digits", "0:4")
    for key in ("bench_s", "limit_s", "frames", "pulses", "resets", "capture_bytes"):
        assert digit[key] == total[key] / 4


def test_neurons_side_by_side_share_the_slots_of_a_kernel() -> None:
    frame = probe_frame("x", SlotTiming(), np.arange(784, dtype=np.int32) % 7)
    tick_s = load_bench("mock").tick_s
    lengths = length_ticks(frame, tick_s)
    shared = shared_s(frame, tick_s)
    assert shared[0] == pytest.approx(lengths.sum() * tick_s)
    assert shared[-1] == pytest.approx(lengths.max() * tick_s)
    two = max(lengths[0::2].sum(), lengths[1::2].sum()) * tick_s
    assert shared[NEURONS.index(2)] == pytest.approx(two)
    assert (np.diff(shared) <= 0).all()


def test_fixed_slots_speed_up_in_proportion(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("--digits", "0:1", "--physical", "conv1:0-0", "--mode", "fixed")
    speeds = {row["neurons"]: row["digits_per_s"] for row in call(capsys, "plan", *settings)["neurons"]}
    assert list(speeds) == list(NEURONS)
    for n in (2, 4, 8, 16, 784):
        assert speeds[n] == pytest.approx(n * speeds[1])


def test_the_plan_is_shown_and_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["plan", "--digits", "0:2", "--figure", "t.png"]) == 0
    out = capsys.readouterr().out
    assert "physical neurons" in out
    assert "wear, pulses of the device's budget" in out
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert main(["plan", "--digits", "0:1", "--physical", "none", "--figure", "t.png"]) == 2
    assert "nothing is played on the neuron" in capsys.readouterr().err


def test_what_exceeds_a_limit_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["plan", "--clock", "3e5"]) == 1
    assert "pulse rate = 333333 Hz (300000 Hz in steps of 1e-06 s) exceeds the limit" in capsys.readouterr().err
    Path("d.toml").write_text('id = "worn"\nendurance_pulses = 10_000_000\nendurance_resets = 10\n')
    assert main(["plan", "--digits", "0:1", "--device", "d.toml"]) == 1
    assert "resets; device 'worn' has 10 left of its budget of 10" in capsys.readouterr().err
    monkeypatch.setattr("hil.commands.plan.free_bytes", lambda _: 1000)
    assert main(["plan", "--digits", "0:1"]) == 1
    assert "MB of disk; 0.0 MB are free" in capsys.readouterr().err


def test_runs_lists_what_is_there_and_what_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert "no runs in runs, calibrations; `hil run` records one" in capsys.readouterr().out
    assert main(["runs", "nowhere"]) == 2
    assert "nowhere is neither a folder nor a run file" in capsys.readouterr().err
    call(capsys, "run", "--digits", "0:2", "--physical", "conv1:0-1")
    Path("runs/broken.sqlite").write_text("no")
    good, broken = sorted(call(capsys, "runs")["runs"], key=lambda r: r["trouble"])
    assert (good["state"], good["digits_done"], good["digits"], good["correct"]) == ("complete", 2, 2, 2)
    assert good["bytes_a_digit"] == good["bytes"] / 2 > 0
    assert "is not a run file" in broken["trouble"]
    assert main(["runs"]) == 0
    out = capsys.readouterr().out
    assert "2/2" in out
    assert "broken.sqlite" in out


WIRED = """
name = "planned"
kind = "pi"
pulse_source = "pigpio"
axon_reader = {reader}
passports = "known"
[wiring]
dendrite = 17
reset = 27
sync = 22
select = [23, 24, 25, 12]
[board]
addresses = 4
[scope]
resource = "TCPIP0::192.0.2.10::INSTR"
[gpio]
[pico]
[threshold]
source = "pico"
"""


PICO_WIRING = """[wiring]
dendrite = 2
reset = 3
sync = 4
select = [5, 6, 7, 8]
"""


def wired(capsys: pytest.CaptureFixture[str], reader: str) -> dict[str, Any]:
    Path("bench.toml").write_text(WIRED.format(reader=reader))
    return call(capsys, "plan", "--bench", "bench.toml", "--digits", "0:2", "--total")


def test_a_plan_knows_what_is_proven_of_the_oscilloscope_and_how_fast_its_link_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unknown = wired(capsys, '"scope"')
    known = Known(serial="DS4A1", resource="TCPIP0::192.0.2.10::INSTR", bytes_per_s=0.3e6, sparse=True, vernier=True)
    keep(known, Path("known"))
    slow = wired(capsys, '"scope"')
    keep(known.model_copy(update={"bytes_per_s": 1.7e6}), Path("known"))
    fast = wired(capsys, '"scope"')
    assert unknown["wall_s"] > 2 * slow["wall_s"] > 4 * fast["wall_s"]
    assert unknown["capture_bytes"] > 3 * slow["capture_bytes"]
    for plan in (unknown, slow, fast):
        assert plan["wall_s"] == pytest.approx(plan["bench_s"] + sum(plan["parts_s"].values()))
        assert plan["utilisation"] == pytest.approx(plan["bench_s"] / plan["wall_s"])
        assert max(plan["parts_s"], key=plan["parts_s"].__getitem__) == "transfer"
    audited = wired(capsys, '["gpio", "scope"]')
    assert audited["wall_s"] > wired(capsys, '"gpio"')["wall_s"]


@pytest.mark.parametrize(
    ("reader", "full_scale", "told"),
    [
        ('"scope"', 32, "(transfer, %): hil doctor --loopback, which proves"),
        ('"pico"', 32, "(playing, %): fewer pulses"),
        ('"pico"', 4, "(reading, %): count with the Pi itself"),
        ('["gpio", "pico"]', 4, "(reading, %): audit fewer shots: audit_every = 10"),
        ('["gpio", "scope"]', 32, "(transfer, %): audit fewer shots: audit_every = 10"),
        ('"gpio"', 4, "(starting, %): more digits in one run"),
        ('"gpio"', 32, "(playing, %): fewer pulses"),
    ],
)
def test_a_plan_says_what_would_help_most(
    capsys: pytest.CaptureFixture[str], reader: str, full_scale: int, told: str
) -> None:
    Path("bench.toml").write_text(WIRED.format(reader=reader))
    fewer = ["--play", "pooled", "--full-scale", f"conv1={full_scale}"] if full_scale < 32 else []
    assert main(["plan", "--bench", "bench.toml", "--digits", "0:1", *fewer]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "what would help most" in line]
    assert told in re.sub(r"\d+%", "%", line)


def test_where_a_pico_makes_the_pulses_nobody_is_told_to_count_with_the_pi(capsys: pytest.CaptureFixture[str]) -> None:
    made_by_pico = WIRED.format(reader='"scope"').replace('pulse_source = "pigpio"', 'pulse_source = "pico"')
    Path("bench.toml").write_text(re.sub(r"\[wiring\]\n(.+\n){4}", PICO_WIRING, made_by_pico))
    assert main(["plan", "--bench", "bench.toml", "--digits", "0:1"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "what would help most" in line]
    assert line.endswith('count with a Pico (axon_reader = ["pico", "scope"], audit_every = 20)')


def test_a_simulated_bench_is_planned_without_utilisation(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "plan", "--digits", "0:1")["utilisation"] is None
    assert main(["plan", "--digits", "0:1"]) == 0
    assert "utilisation" not in capsys.readouterr().out


def test_what_no_part_spent_was_spent_between_shots() -> None:
    spent = {"compiling": 0.3, "arming": 0.1, "playing": 0.8, "reading": 0.0, "transfer": 0.5}
    parts = measured(2.0, 1.0, spent)
    assert parts == pytest.approx({"arming": 0.1, "transfer": 0.5, "starting": 0.4})
    said = lines(1.0, parts, {"transfer": "a faster link", "playing": "fewer pulses"})
    assert said[0].split() == ["playing", "1.000", "s", "50.0%"]
    assert said[-1] == "  what would help most (transfer, 25%): a faster link"
