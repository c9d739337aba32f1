from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

from calibration.figure2 import CONDITIONS, measure_firing, measure_gaps, measure_panel
from calibration.fit.firing import histogram
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.mock.bench import MockBench
from drivers.signals import SlotTiming
from hil.cli import main
from tests.hil.run.test_resume import stop_after


def test_the_panels_show_what_the_paper_describes() -> None:
    """Fewer spikes at higher thresholds, more at higher clocks: differences of many standard errors on 600 pulses."""
    with MockBench(load_bench("mock"), load_device("nominal"), seed=3) as bench:
        a, b, c, d, e, f = (measure_panel(bench, SlotTiming(), *condition, ()) for condition in CONDITIONS)
    assert a.per_second > b.per_second > c.per_second > 0
    assert d.per_second < e.per_second < f.per_second
    assert e.per_pulse < f.per_pulse


def test_on_the_device_of_the_figure_the_thresholds_differ_clearly() -> None:
    """In 3,000 pulses at each: means of 30.9, 14.7 and 9.7 spikes a second; false alarm below one in 1,000."""
    spikes = np.zeros(3)
    for seed in range(5):
        with MockBench(load_bench("mock"), load_device("figure2"), seed=seed) as bench:
            spikes += [measure_panel(bench, SlotTiming(), *condition, ()).spikes for condition in CONDITIONS[:3]]
    assert spikes[0] / spikes[1] > 1.2
    assert spikes[1] / spikes[2] > 1.2


def test_the_devices_differ_by_their_leak_alone() -> None:
    nominal, figure2 = (load_device(name).model for name in ("nominal", "figure2"))
    assert nominal is not None
    assert figure2 is not None
    assert {name for name in nominal if nominal[name] != figure2[name]} == {"leak_s"}


def test_firing_is_counted_by_the_length_of_the_train() -> None:
    with MockBench(load_bench("mock"), load_device("ideal")) as bench:
        counts = measure_firing(bench, SlotTiming())
    assert (counts.mean_spikes == counts.pulses).all()
    with MockBench(load_bench("mock"), load_device("nominal")) as bench:
        counts = measure_firing(bench, SlotTiming())
    shares = counts.fired / counts.slots
    assert 0.05 < shares[0] < 0.3
    assert shares[-1] > 0.95


def test_an_oscilloscope_shows_pulses_to_fire_one_by_one() -> None:
    with MockBench(load_bench("mock"), load_device("ideal"), traces=True) as bench:
        assert measure_gaps(bench, SlotTiming()).tolist() == [1] * 600
    with MockBench(load_bench("mock"), load_device("nominal")) as bench:
        assert len(measure_gaps(bench, SlotTiming())) == 0


def test_counts_and_spike_times_tell_the_same_histogram() -> None:
    """Chi-square of 8 classes at one in 10,000, the counted histogram being as exact as it says."""
    with MockBench(load_bench("mock"), load_device("nominal"), seed=2) as bench:
        counted = histogram(measure_firing(bench, SlotTiming()), 24)
    with MockBench(load_bench("mock"), load_device("nominal"), seed=2, traces=True) as bench:
        gaps = measure_gaps(bench, SlotTiming())
    seen = np.bincount(np.minimum(gaps, 8), minlength=9)[1:]
    share = np.append(counted.share[:7], 1 - counted.share[:7].sum())
    error = np.append((counted.hi - counted.lo)[:7] / 3.92, 0.01)
    variance = len(gaps) * share * (1 - share) + (len(gaps) * error) ** 2
    assert ((seen - len(gaps) * share) ** 2 / variance).sum() < chi2.isf(1e-4, 8)


def test_characterize_writes_figure_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["characterize", "--replicates", "5", "--out", str(tmp_path / "f"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [p["panel"] for p in result["panels"]] == list("abcdef")
    assert len(result["fits"]) >= 3
    assert min(result["fits"], key=lambda fit: fit["aic"]) == result["fits"][0]
    drawn = (tmp_path / "f.svg").read_text()
    assert drawn.startswith("<?xml")
    for panel in result["panels"]:  # the threshold is named, and text is text
        assert f">V_th {panel['vth_v']:g} V</text>" in drawn
    for fit in result["fits"]:
        assert f">{fit['model']}, p = {fit['p_value']:.2g}</text>" in drawn
    assert drawn.count("membrane, V</text>") == 6
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "f.json").read_text()) == result
    again = [
        "characterize",
        "--replicates",
        "5",
        "--replay",
        result["run_file"],
        "--out",
        str(tmp_path / "g"),
        "--json",
    ]
    assert main(again) == 0
    replayed = json.loads(capsys.readouterr().out)
    assert (replayed["panels"], replayed["fits"]) == (result["panels"], result["fits"])
    assert (tmp_path / "g.png").read_bytes() == (tmp_path / "f.png").read_bytes()
    assert main(["characterize", "--replicates", "0"]) == 2


def test_a_characterization_that_was_stopped_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["characterize", "--replicates", "1", "--seed", "3", "--json", "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    whole = json.loads(capsys.readouterr().out)
    with monkeypatch.context() as patch:
        stop_after(12, patch)
        assert main([*command, str(tmp_path / "part")]) == 130
    run = str(tmp_path / "part.sqlite")
    assert f"go on: hil resume {run}" in capsys.readouterr().err
    assert main(["characterize", "--replicates", "1", "--replay", run]) == 1
    assert "complete it: hil resume" in capsys.readouterr().err
    assert main([*command[:3], "--json", "--out", str(tmp_path / "part"), "--resume", run]) == 0
    resumed = json.loads(capsys.readouterr().out)
    assert (resumed["panels"], resumed["fits"]) == (whole["panels"], whole["fits"])
