"""What a page is given of a run: plain objects for JSON, arrays as base64 of deflated bytes (RFC 1950).

The live application sends them one by one; an exported report holds them all.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import InputError, RunFileError
from drivers.signals import FrameKey
from hil.network.physical import Physical
from hil.network.source import load_digits
from hil.run.config import noisy
from hil.run.digits import Course, recognise_digits
from hil.run.session import again
from hil.store.retakes import Shot, with_retakes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.network.weights import Weights
    from hil.run.config import RunConfig
    from hil.store.runfile import RunFile

MISSING = 65_535  # of counts: a slot that was not recorded; a real count is cut off one below


def packed(values: bytes | NDArray[Any]) -> str:
    """Bytes, or an array in little-endian order, deflated and in base64."""
    raw = values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes()
    return base64.b64encode(zlib.compress(raw, 6)).decode("ascii")


def packed_json(value: Any) -> str:
    """An object as JSON, deflated and in base64."""
    return packed(json.dumps(value, separators=(",", ":")).encode())


def overview(run: RunFile, config: RunConfig, name: str) -> dict[str, Any]:
    """What does not change while a run goes on."""
    facts = run.facts
    return {
        "name": name,
        "title": f"{config.physical} on {config.bench.name}: test digits {config.digits}",
        "question": _question(config),
        "wanted": len(config.images) * len(config.noise),
        "setup": _setup(config),
        "provenance": [
            ["run file", name],
            ["begun", str(facts.get("begun", ""))],
            *([f"software: {key}", str(value)] for key, value in facts.get("software", {}).items() if value),
            *([f"bench: {key}", str(value)] for key, value in facts.get("identity", {}).items()),
            ["weights", config.weights_digest],
        ],
        "configuration": json.dumps(json.loads(config.model_dump_json(exclude={"curve"})), indent=1),
        "opened": None,
    }


def _question(config: RunConfig) -> str:
    slots = sum(part.slots for part in config.parts)
    noise = ", ".join(f"{level} %" for level in config.noise)
    if not slots:
        return f"How well does the network recognise digits in software alone, with {noise} of the pixels set to zero?"
    kind = "simulated" if config.bench.kind == "mock" else "physical"
    return (
        f"Can one {kind} memristive neuron, standing in for {slots:,} neurons one after another, recognise handwritten "
        f"digits, with {noise} of the pixels set to zero?"
    )


def _setup(config: RunConfig) -> list[list[str]]:
    slot = config.timing
    adaptive = slot.mode == "adaptive"
    pace = f"adaptive, {slot.dendrite_clock_hz:g} Hz" if adaptive else f"fixed, pulses spread over {slot.window_s:g} s"
    scales = ", ".join(f"{part.layer.name} {config.full_scale_pulses[part.layer.name]:,}" for part in config.parts)
    return [
        ["bench", f"{config.bench.name} ({config.bench.kind})"],
        ["device", f"{config.device.id} {config.device.description}"],
        ["on the neuron", config.physical if config.play == "all" else f"{config.physical}, {config.play}"],
        ["threshold", f"{config.vth_v:g} V"],
        ["slots", pace],
        ["pulse width", f"{slot.pulse_width_s * 1e6:g} µs"],
        ["full scale", f"{scales} pulses" if scales else "none"],
        ["zeroed pixels", ", ".join(f"{level} %" for level in config.noise)],
        ["calibration", config.calibration_id or "transfer curve measured as the run began"],
        ["seed", f"{config.seed}"],
    ]


def check_digit(config: RunConfig, noise: int, index: int) -> None:
    """Raise InputError when a run has no such digit."""
    if noise not in config.noise or index not in config.images:
        raise InputError(f"digit {index} at {noise} % is not part of this run: digits {config.digits}")


def part_named(config: RunConfig, layer: str) -> Physical:
    """The part of the network on the neuron with this layer's name; raises InputError."""
    for part in config.parts:
        if part.layer.name == layer:
            return part
    raise InputError(f"layer {layer!r} is not on the neuron in this run: {config.physical}")


def image_of(config: RunConfig, noise: int, index: int) -> NDArray[np.uint8]:
    """(28, 28) grey levels as the network was shown them."""
    which = np.array([index])
    shown: NDArray[np.uint8] = noisy(load_digits(config.source)[0][which], which, noise, config.seed)[0]
    return shown


def digit_view(run: RunFile, config: RunConfig, noise: int, index: int, *, pictured: bool = True) -> dict[str, Any]:
    """One digit: its image, and the pulses and spikes of every slot recorded of it so far, in all helpings together."""
    check_digit(config, noise, index)
    return {
        "noise": noise,
        "index": index,
        "image": packed(image_of(config, noise, index)) if pictured else "",
        "parts": [_part(run, config, noise, index, part) for part in config.parts],
    }


def _part(run: RunFile, config: RunConfig, noise: int, index: int, part: Physical) -> dict[str, Any]:
    pulses, spikes = np.zeros((2, part.slots), dtype=np.int64)
    known = np.zeros(part.slots, dtype=np.bool_)
    for shot in recorded_shots(run, config, noise, index, part):
        capture = shot.merged()
        first = capture.frame.first_slot
        where = slice(first, first + len(capture.frame))
        pulses[where] += capture.frame.pulses
        spikes[where] += np.where(capture.ok, capture.spikes, 0)
        known[where] |= capture.ok
    pulses, spikes = (np.where(known, np.minimum(n, MISSING - 1), MISSING).astype("<u2") for n in (pulses, spikes))
    return {
        "layer": part.layer.name,
        "start": part.channels.start,
        "stop": part.channels.stop,
        "side": part.layer.side,
        "pulses": packed(pulses),
        "spikes": packed(spikes),
    }


def recorded_shots(run: RunFile, config: RunConfig, noise: int, index: int, part: Physical) -> Iterator[Shot]:
    """The shots recorded of a digit's frames, helping by helping, each with its retakes, without traces."""
    for key in frame_keys(config, noise, index):
        for rows in with_retakes(run.shots_of(key, part.layer.index), key.attempt):
            if rows[0].stop > part.slots:
                raise RunFileError(f"run file {run.path} is damaged: shot {rows[0].id} ends at slot {rows[0].stop}")
            yield Shot([run.counts(row.id) for row in rows])


def frame_keys(config: RunConfig, noise: int, index: int) -> list[FrameKey]:
    """Of every helping that a digit may have had."""
    return [FrameKey(config.command, index, noise, helping=helping) for helping in range(max(len(config.helpings), 1))]


def maps_view(
    run: RunFile, config: RunConfig, weights: Weights, wanted: set[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """((noise, index), what every layer made of the digit) of finished digits: maps after ReLU and max-pool."""
    every = [(noise, index) for noise in config.noise for index in config.images]
    plain = config.model_copy(update={"physical": "none"})
    done = dict.fromkeys((digit for digit in every if digit not in wanted), (0, 0))
    software = {(r.noise, r.index): r.answer for r, _ in recognise_digits(plain, weights, None, Course(done=done))}
    for result, maps in again(run, config, weights, run.counts, wanted, strict=False):
        layers = {
            name: {
                "channels": len(found),
                "side": found.shape[-1] if found.ndim == 3 else 1,
                "values": packed(found.astype("<f8")),
            }
            for name, found in maps.items()
        }
        digit = result.noise, result.index
        yield digit, {"layers": layers, "software": software[digit]}
