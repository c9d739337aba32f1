"""Which way of playing `hil plan --optimise` chooses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import hil.commands.optimising
import hil.run.optimise
from drivers.benchfile import load_bench
from drivers.device import load_device
from hil.cli import main
from hil.network.mnist import load_test
from hil.network.weights import load_weights
from hil.run.config import RunConfig
from hil.run.optimise import Trial, chosen, faster, front, ways


@pytest.fixture
def config() -> RunConfig:
    bench = load_bench("mock")
    return RunConfig(
        command="evaluate",
        digits="0:1",
        vth_v=0.7,
        timing=bench.slot,
        bench=bench,
        device=load_device("nominal"),
        weights_digest=load_weights().digest,
        coding="whole",
    )


def trial(config: RunConfig, right: int, pulses: float, bench_s: float) -> Trial:
    return Trial(config, 1_000, right, pulses, bench_s)


def test_the_quickest_with_the_accuracy_is_chosen_and_else_the_most_accurate(config: RunConfig) -> None:
    quick, good, best, late = (
        trial(config, *found) for found in ((900, 10.0, 0.1), (980, 30.0, 0.3), (990, 90.0, 0.9), (980, 20.0, 0.4))
    )
    every = [late, best, quick, good]
    assert chosen(every, 0.97) is good
    assert chosen(every, 0.90) is quick
    assert chosen(every, 0.999) is best
    assert front(every) == [quick, late, best], "good has no more right than late, for more pulses"


def test_every_way_is_tried_that_the_layer_and_the_weights_allow(config: RunConfig) -> None:
    conv1 = ways(config.model_copy(update={"physical": "conv1"}))
    assert {(way.play, way.coding) for way in conv1} == {("all", "whole"), ("pooled", "whole"), ("pooled", "excess")}
    assert {way.helpings for way in conv1} == {(), *hil.run.optimise.HELPINGS}
    dark = ways(config.model_copy(update={"physical": "conv1"}), "on-off")
    assert {(way.play, way.coding) for way in dark} == {("all", "excess"), ("pooled", "excess")}
    signed = ways(config.model_copy(update={"physical": "conv1", "sign": "differential"}))
    assert {way.coding for way in signed} == {"whole"}
    assert {way.play for way in ways(config.model_copy(update={"physical": "fc1"}))} == {"all"}


def test_only_clocks_that_the_bench_allows_are_tried(config: RunConfig) -> None:
    clock = config.timing.dendrite_clock_hz
    most = config.bench.limits.model_copy(update={"pulse_rate_max_hz": 1.6 * clock})
    limited = config.model_copy(update={"bench": config.bench.model_copy(update={"limits": most})})
    assert [quicker.timing.dendrite_clock_hz / clock for quicker in faster(limited)] == [1.25, 1.5]


def test_what_is_chosen_is_printed_drawn_and_can_be_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = load_test()
    monkeypatch.setattr(hil.commands.optimising, "load_training", lambda *_: (images[:60], labels[:60]))
    monkeypatch.setattr(hil.commands.optimising, "FEWEST", 60)
    for name, few in (("FULL_SCALES", (8,)), ("HELPINGS", ((4, 12),)), ("FASTER", ()), ("STOP_ERROR", 0.2)):
        monkeypatch.setattr(hil.run.optimise, name, few)
    how = ["--weights", "sparing", "--physical", "conv1:0-7", "--seed", "3"]
    argv = ["plan", "--optimise", "80", "--trials-on", "60", *how, "--figure", "front.png", "--json"]
    assert main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["trials"]) == 4
    best = found["trials"][found["chosen"]]
    assert best["digits"] == 30
    assert best["accuracy"] >= 0.8
    assert best["bench_s_per_digit"] == min(t["bench_s_per_digit"] for t in found["trials"] if t["accuracy"] >= 0.8)
    assert "--coding" in found["command"]
    assert "--seed 3" in found["command"]
    with Image.open("front.png") as picture:
        assert picture.size[0] > 500
    assert main([*found["command"].split()[1:], "--digits", "30:60", "--workers", "1", "--json"]) == 0
    used = json.loads(capsys.readouterr().out)["levels"][0]
    assert used["pulses_per_digit"] == pytest.approx(best["pulses_per_digit"], rel=0.02)
    assert main(["plan", "--optimise", "99.99", "--trials-on", "60", "--physical", "fc2:0", "--noise", "90"]) == 1
    assert "none has 99.99%: the arrow is at the most accurate" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--optimise", "101"], "101: above 0 and below 100 percent"),
        (["--optimise", "98", "--full-scale", "conv1=8"], "--full-scale has no effect with --optimise"),
        (["--optimise", "98", "--coding", "whole"], "--coding has no effect with --optimise"),
        (["--optimise", "98", "--digits", "0:9"], "--digits has no effect with --optimise"),
        (["--training", "somewhere"], "--training has no effect without --optimise"),
        (["--optimise", "98", "--trials-on", "10"], "--trials-on 10: allowed 3200…5000"),
        (["--optimise", "98", "--physical", "all"], "one layer must be on the neuron, and --physical is all"),
    ],
)
def test_wrong_usage_is_named(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hil.commands.optimising, "load_training", lambda *_: load_test())
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["plan", *argv]))
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(Path().glob("*.png"))
