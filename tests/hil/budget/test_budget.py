"""`hil budget`: steps that add up, each the same as what another command says of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import hil.workers.portions
from drivers.opening import drifting, make_bench
from hil.budget.exact import ExactBench, exact_curve
from hil.budget.steps import Wanted, steps
from hil.cli import main
from hil.commands.working import Shown
from hil.network.weights import load_weights
from hil.run.digits import Course, DigitResult, recognise_digits
from hil.workers.crew import Here, Watch, Work
from hil.workers.portions import Part
from tests.hil.rig import DRIFTING, measured

NAMES = ["float", "non-negative", "whole pulses", "ideal neuron", "stochastic neuron", "drift", "replayed capture"]
HOW = ["--full-scale", "conv1=1", "--play", "pooled", "--seed", "3", "--noise", "60"]
BRIEF = ["--weaker", "0.1"]  # each tenth of a percent is another table of the simulated neuron


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert main([*argv, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_steps_add_up_and_are_what_evaluate_says(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "budget.png"
    found = call(capsys, "budget", "--digits", "240:280", *HOW, *BRIEF, "--captured", "3", "--figure", str(picture))
    taken = found["steps"]
    assert [step["name"] for step in taken] == NAMES
    assert [step["digits"] for step in taken] == [40] * 6 + [3]
    assert taken[0]["lost"] == taken[0]["won"] == []
    for before, step in pairwise(taken[:-1]):
        assert step["correct"] == before["correct"] - len(step["lost"]) + len(step["won"]), step["name"]
        assert set(step["lost"] + step["won"]) <= set(range(240, 280))
        assert step["interval"][0] <= step["accuracy"] <= step["interval"][1]
    by_name = {step["name"]: step for step in taken}
    assert by_name["whole pulses"]["lost"]  # one pulse is too few
    # An ideal neuron answers every pulse: no digit may turn.
    assert by_name["ideal neuron"]["lost"] == by_name["ideal neuron"]["won"] == []
    played = taken[2:-1]
    assert len({(step["pulses_per_digit"], step["bench_s_per_digit"]) for step in played}) == 1
    assert played[0]["pulses_per_digit"] > 100
    assert picture.read_bytes().startswith(b"\x89PNG")
    for name, more in (("stochastic neuron", HOW), ("non-negative", ["--physical", "none", *HOW[4:]])):
        (level,) = call(capsys, "evaluate", "--digits", "240:280", *more)["levels"]
        assert {key: by_name[name][key] for key in ("correct", "digits", "pulses_per_digit")} == {
            key: level[key] for key in ("correct", "digits", "pulses_per_digit")
        }


def test_what_drifts_in_parts_drifts_as_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hil.workers.portions, "PART", 5)
    config = measured("0:12").model_copy(update={"fidelity": "pulses"})  # no tables, which take a while for each age
    sizes = []

    def do(name: str, work: Work[Part, DigitResult], parts: Sequence[Part]) -> list[list[DigitResult]]:
        sizes.append(len(parts))
        return Here().work_off(work, parts, Watch())

    taken = {step.name: step for step in steps(Wanted(config, config.device, 0.5, 0), do)}
    assert sizes == [3] * 6
    pulses = sum(result.pulses for result in taken["stochastic neuron"].results)
    device = drifting(config.device, -0.5, pulses)
    with make_bench(config.bench, device) as bench:
        bench.set_threshold(config.vth_v)
        together = [result for result, _ in recognise_digits(config, load_weights(), bench, Course(batch=50))]
    assert list(taken["drift"].results) == together
    fresh = [result.spikes for result in taken["stochastic neuron"].results]
    spikes = [result.spikes for result in together]
    assert sum(spikes[:3]) > 0.9 * sum(fresh[:3])
    assert sum(spikes[-3:]) < 0.75 * sum(fresh[-3:])


def test_so_many_spikes_are_just_so_many_pulses() -> None:
    config = measured("0:3")
    most = {**config.full_scale_pulses, "conv1": 65_535}
    config = config.model_copy(update={"full_scale_pulses": most, "physical": "conv1"})
    curve = exact_curve(config)
    config = config.model_copy(update={"curve": curve.to_dict()})
    fine = {**dict.fromkeys(("physical",), "none")}
    exactly = list(recognise_digits(config, load_weights(), ExactBench(config.bench.tick_s), Course()))
    software = list(recognise_digits(config.model_copy(update=fine), load_weights(), None, Course()))
    for (a, _), (b, _) in zip(exactly, software, strict=True):
        assert a.answer == b.answer
        assert a.confidence == pytest.approx(b.confidence, abs=0.02)  # what is above full scale is cut off
        assert a.spikes == a.pulses > 1_000_000


def test_any_number_of_workers_makes_the_same_budget(capsys: pytest.CaptureFixture[str]) -> None:
    how = ["budget", "--digits", "6", *HOW, *BRIEF, "--captured", "2", "--physical", "conv1:0-1"]
    one, two = (call(capsys, *how, "--workers", number)["steps"] for number in ("1", "2"))
    assert one == two


def test_a_device_that_drifts_by_itself_and_signed_weights(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "device.toml").write_text(DRIFTING)
    how = ["budget", "--device", str(tmp_path / "device.toml"), "--digits", "4", "--captured", "0"]
    found = call(capsys, *how, "--weights", "differential", "--physical", "conv1:0")
    assert found["device"] == "drifting"
    assert [step["name"] for step in found["steps"]] == [name for name in NAMES[:-1] if name != "non-negative"]
    assert found["steps"][-1]["about"].startswith("as its file says, over ")
    assert main([*how, "--weaker", "3"]) == 2
    assert "--weaker: device 'drifting' drifts by itself" in capsys.readouterr().err


@pytest.mark.parametrize(("step", "digits"), [(1, 2), (3, 1), (6, 1)])
def test_one_who_stops_is_told_what_is_known(
    step: int, digits: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after some digits of a step: what there is, and that it is not all."""
    begun = []
    real = Shown.watch

    def watch(shown: Shown, text: str, total: int) -> Watch:
        begun.append(text)
        ours = real(shown, text, total)

        def tell(done: int) -> None:
            ours.tell(done)
            if (len(begun), done) == (step + 1, digits):
                os.kill(os.getpid(), signal.SIGINT)

        return Watch(tell, ours.stopping)

    monkeypatch.setattr(Shown, "watch", watch)
    assert main(["budget", "--digits", "3", "--captured", "1", "--physical", "conv1:0", *BRIEF]) == 130
    assert begun == NAMES[: step + 1]
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("float"))
    counts = [line.split("%")[0].split()[-2] for line in lines[first : first + step + 1]]
    assert counts == ["3"] * step + [str(digits)]
    assert lines[-1] == f"stopped: {step + 1} steps, the last one perhaps not of all digits"


def test_a_step_that_has_nothing_yet_is_the_last() -> None:
    """Workers that were stopped before their first result: nothing is measured for what will not be played."""
    asked = []

    def do(name: str, work: Work[Part, DigitResult], parts: Sequence[Part]) -> list[list[DigitResult]]:
        asked.append(name)
        return Here().work_off(work, parts, Watch()) if len(asked) < 3 else [[] for _ in parts]

    config = measured("0:2")
    assert [step.name for step in steps(Wanted(config, config.device, 0.5, 1), do)] == NAMES[:2]
    assert asked == NAMES[:3]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--digits", ""], "--digits '': give how many or a:b"),
        (["--physical", "none"], "--physical none: nothing is on the neuron"),
        (["--drift", "stop"], "--drift stop has no effect"),
        (["--captured", "-1"], "--captured -1: 0 or more digits"),
        (["--weaker", "100"], "--weaker 100: above 0 and below 100 percent"),
        (["--workers", "0"], "--workers 0: at least 1"),
        (["--workers", "2", "--cluster", "tcp://a:1"], "--workers and --cluster: one or the other"),
    ],
)
def test_wrong_usage_is_one_line(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["budget", *argv]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
