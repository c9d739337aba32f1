"""The host loop against the network in software, on the mock bench."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.transfer import measure_transfer
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import CaptureError
from drivers.mock.bench import MockBench
from drivers.signals import Capture, Frame, SlotTiming
from hil.network.helpings import Helpings
from hil.network.layers import LAYERS, activations, as_maps, drives, halves, subtracted
from hil.network.mnist import load_test
from hil.network.physical import parse_physical
from hil.network.pooled import Play
from hil.network.walk import walk
from hil.network.weights import Weights, load_weights
from hil.run.loop import Answer, Odometer, Recogniser

IMAGES = load_test()[0]
FULL_SCALE = {"conv1": 32, "conv2": 32, "fc1": 64, "fc2": 256}


def bench(device: str, seed: int = 0, fidelity: str = "pulses") -> MockBench:
    made = MockBench(load_bench("mock"), load_device(device), seed=seed, fidelity=fidelity)  # type: ignore[arg-type]
    made.set_threshold(0.7)
    return made


def recogniser(weights: Weights, physical: str, device: str, timing: SlotTiming | None = None) -> Recogniser:
    slots = timing or SlotTiming()
    parts = parse_physical(physical)
    most = max((FULL_SCALE[p.layer.name] for p in parts), default=1)
    curve = measure_transfer(bench(device), slots, 0.7, full_scale=most)
    return Recogniser(weights, parts, slots, curve, FULL_SCALE, Odometer(), keep=True)


def batches(index: list[int], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(index), size):
        chosen = np.array(index[start : start + size])
        yield chosen, IMAGES[chosen]


def answers(host: Recogniser, device: str, index: list[int], size: int = 1, **options: object) -> list[Answer]:
    return list(host.answers(bench(device, **options), batches(index, size)))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["adaptive", "fixed"])
@pytest.mark.parametrize("physical", ["conv1", "conv2:3-9", "fc1", "fc2"])
def test_with_an_ideal_neuron_every_drive_is_within_half_a_pulse(shipped: Weights, mode: str, physical: str) -> None:
    """Equations (2)-(4) are the reference; above full scale a drive is cut off, and that is counted."""
    timing = SlotTiming(mode=mode, window_s=5e-3)
    (part,) = parse_physical(physical)
    (answer,) = answers(recogniser(shipped, physical, "ideal", timing), "ideal", [0])
    maps = as_maps(IMAGES[:1])
    for layer, weights in zip(LAYERS[: part.layer.index + 1], shipped.layers, strict=False):
        drive = drives(layer, weights, maps)
        if layer is part.layer:
            full_scale = weights.full_scale[part.start : part.stop, None]
            saturated = drive[0, part.start : part.stop] > full_scale * (1 + 0.5 / FULL_SCALE[layer.name])
            assert answer.spent.saturated == saturated.sum()
            pulse = weights.full_scale[:, None] / FULL_SCALE[layer.name]
            limited = drive.copy()
            limited[0, part.start : part.stop] = np.minimum(drive[0, part.start : part.stop], full_scale)
            reference = activations(layer, weights, limited)
            found = answer.kept[layer.name]
            assert (np.abs(found - reference[0]) <= 0.5001 * pulse[:, :, None] + 1e-4).all()
        maps = activations(layer, weights, drive)


@pytest.mark.parametrize("mode", ["adaptive", "fixed"])
@pytest.mark.parametrize("physical", ["conv1", "conv1,conv2:3-9", "fc1"])
def test_playing_the_largest_of_a_block_changes_nothing_for_an_ideal_neuron(
    shipped: Weights, physical: str, mode: str
) -> None:
    """Bit by bit in every layer's maps, for at most two thirds of the pulses where there is a pool."""
    host = recogniser(shipped, physical, "ideal", SlotTiming(mode=mode, window_s=5e-3))
    every = answers(host, "ideal", [0, 7], size=2)
    pooled = answers(replace(host, play="pooled"), "ideal", [0, 7], size=2)
    for a, b in zip(every, pooled, strict=True):
        assert all((a.kept[layer.name] == b.kept[layer.name]).all() for layer in LAYERS)
        assert b.spent.pulses < a.spent.pulses / 1.5 if "conv" in physical else b.spent.pulses == a.spent.pulses


def test_a_neuron_answers_alike_whether_or_not_its_neighbours_are_played(shipped: Weights) -> None:
    """What is played under `pooled` is, slot by slot, what `all` would have played there."""
    host = recogniser(shipped, "conv1", "nominal")
    shots: dict[Play, list[Capture]] = {"all": [], "pooled": []}
    for play, seen in shots.items():
        answers(replace(host, odometer=Odometer(), play=play, watch=seen.append), "nominal", [4])
    every, pooled = (
        (np.concatenate([c.frame.pulses for c in seen]), np.concatenate([c.spikes for c in seen]))
        for seen in shots.values()
    )
    there = pooled[0] > 0
    assert 0 < there.sum() <= 32 * 196
    assert (pooled[0][there] == every[0][there]).all()
    assert (pooled[1][there] == every[1][there]).all()
    assert not pooled[1][~there].any()


@pytest.mark.parametrize("play", ["all", "pooled"])
@pytest.mark.parametrize("physical", ["conv1", "conv2:3-9", "fc1", "fc2:2-5"])
def test_differential_units_are_played_in_halves_and_subtracted(
    differential_file: Path, physical: str, play: Play
) -> None:
    """With an ideal neuron each half is within half a pulse, so their difference is within half a pulse of each."""
    weights = load_weights(differential_file)
    (part,) = parse_physical(physical, 2)
    host = replace(recogniser(weights, physical, "ideal"), physical=(part,), play=play)
    (answer,) = answers(host, "ideal", [0])
    assert answer.spent.spikes > 0
    maps = as_maps(IMAGES[:1])
    for passed in walk(weights.layers, maps, stop=part.layer.index):
        maps = passed.maps
    layer_weights = weights.layers[part.layer.index]
    scale = layer_weights.full_scale[:, None]
    limited = subtracted(np.minimum(halves(part.layer, layer_weights, maps), scale))
    expected = drives(part.layer, layer_weights, maps)
    expected[:, part.start : part.stop] = limited[:, part.start : part.stop]
    reference = activations(part.layer, layer_weights, expected)[0]
    pulse = scale.reshape(-1, 2).sum(axis=1, keepdims=True) / FULL_SCALE[part.layer.name]
    if part.layer.is_convolution:  # whatever else is pooled, one of its block was played
        pulse = pulse[:, :, None]
        assert answer.kept[part.layer.name].any()
    off = np.abs(answer.kept[part.layer.name] - reference)
    assert (off <= 0.5001 * pulse.reshape(-1, *[1] * (off.ndim - 1)) + 1e-4).all()


def test_only_digits_in_doubt_have_another_helping(shipped: Weights) -> None:
    host = replace(
        recogniser(shipped, "conv1:0-7", "nominal"), full_scale_pulses=FULL_SCALE, helpings=Helpings((8, 24))
    )
    index = list(range(8))
    never = answers(replace(host, sure=2.0, odometer=Odometer()), "nominal", index, size=8)
    assert all(a.spent.frames == 2 and len(a.earlier) == 1 for a in never)
    assert [a.index for a in never] == index
    sure = float(np.median([a.earlier[0][1] for a in never]))
    some = answers(replace(host, sure=sure, odometer=Odometer()), "nominal", index, size=3)
    assert 0 < sum(a.spent.frames == 2 for a in some) < 8
    for a, b in zip(never, some, strict=True):
        if b.spent.frames == 1:
            assert (b.answer, b.confidence) == a.earlier[0]
            assert b.spent.pulses < a.spent.pulses / 3
        else:
            assert a.earlier[0][1] < sure
            assert (b.answer, b.confidence, b.spent.pulses) == (a.answer, a.confidence, a.spent.pulses)


def test_in_two_helpings_an_ideal_neuron_gets_the_same_pulses(shipped: Weights) -> None:
    """And about as many spikes: only what is left of a spike when a helping ends is lost."""
    host = recogniser(shipped, "conv1:0-3", "ideal")
    (one,) = answers(host, "ideal", [2])
    (two,) = answers(replace(host, helpings=Helpings((16, 16)), sure=2.0), "ideal", [2])
    assert two.spent.pulses == one.spent.pulses
    assert two.spent.saturated == one.spent.saturated
    assert two.spent.spikes == pytest.approx(one.spent.spikes, rel=0.2)


def test_units_not_on_the_neuron_are_exactly_those_of_software(shipped: Weights) -> None:
    (answer,) = answers(recogniser(shipped, "conv1:4-7", "nominal"), "nominal", [3])
    software = activations(LAYERS[0], shipped.layers[0], drives(LAYERS[0], shipped.layers[0], as_maps(IMAGES[3:4])))[0]
    same = [(answer.kept["conv1"][k] == software[k]).all() for k in range(32)]
    assert same == [not 4 <= k <= 7 for k in range(32)]


@pytest.mark.parametrize("fidelity", ["pulses", "counts"])
def test_order_and_parts_do_not_matter(shipped: Weights, fidelity: str) -> None:
    host = recogniser(shipped, "conv1", "nominal")
    whole = answers(host, "nominal", [0, 1, 2, 3, 4], size=5, fidelity=fidelity)
    again = answers(host, "nominal", [4, 2, 0], fidelity=fidelity) + answers(host, "nominal", [1, 3], fidelity=fidelity)
    by_index = {a.index: a for a in again}
    for a in whole:
        b = by_index[a.index]
        assert (a.spent.spikes, a.spent.pulses) == (b.spent.spikes, b.spent.pulses)
        assert (a.kept["conv1"] == b.kept["conv1"]).all()


def test_digits_are_recognised_through_the_neuron(shipped: Weights) -> None:
    index = list(range(20))
    labels = load_test()[1][:20]
    right = sum(a.answer == labels[a.index] for a in answers(recogniser(shipped, "conv1", "nominal"), "nominal", index))
    assert right >= 18


def test_several_layers_on_the_neuron(shipped: Weights) -> None:
    host = recogniser(shipped, "conv1:0-3,fc2", "nominal")
    found = answers(host, "nominal", [0, 1], size=2)
    assert [a.index for a in found] == [0, 1]
    assert all(a.spent.frames == 2 for a in found)
    assert host.odometer.pulses == sum(a.spent.pulses for a in found)


def test_a_bench_that_loses_a_shot_is_not_believed(shipped: Weights) -> None:
    class Lossy(MockBench):
        def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
            captures = list(super().play(frames))
            yield from captures[1:]

    lossy = Lossy(load_bench("mock"), load_device("ideal"))
    lossy.set_threshold(0.7)
    host = recogniser(shipped, "conv1", "ideal", SlotTiming(dendrite_clock_hz=20e3))
    with pytest.raises(CaptureError, match="missing or not trusted"):
        list(host.answers(lossy, batches([0], 1)))
