"""Lines that are bad in ways that give a plausible count: each ends in the right count, or in slots that are not ok.

Forty spikes, two in each of twenty slots. What is only doubtful must never be counted as if it were sound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.decode.spikes import decode
from drivers.errors import CaptureError
from drivers.mock import defects
from drivers.mock.defects import Wire
from drivers.settings import BoardSettings, SpikeSettings
from drivers.signals import Capture, SlotTiming, Trace
from tests.drivers.synthetic import TICK_S, Shot, shot_of

SLOTS = 20
Defect = Callable[[Wire, Shot], Wire]
NOISES = [None, 20.0]  # dB; None is the oscilloscope's own half a code


def known_shot(seed: int, axon_s: float = 2e-6, slots: int = SLOTS) -> tuple[Shot, NDArray[np.int64]]:
    """Two spikes a slot, each up to 3 µs after one of its pulses has had its effect."""
    rng = np.random.default_rng(seed)
    board = BoardSettings(axon_width_s=axon_s)
    shot = shot_of([8] * slots, SlotTiming(settle_s=board.settle_s))
    apart = int(np.ceil((axon_s * 1e9 + 4_300) / 10_000))
    for slot in range(slots):
        first = int(rng.integers(0, 8 - apart))
        for pulse in (first, int(rng.integers(first + apart, 8))):
            shot.spike(slot, pulse * 10_000 + 3_300 + int(rng.integers(0, 3_000)))
    return shot, np.full(slots, 2)


def captured(
    defect: Defect,
    seed: int,
    snr_db: float | None,
    *,
    axon_s: float = 2e-6,
    settings: SpikeSettings | None = None,
    volts_per_div: float = 0.5,
    both: bool = False,
    slots: int = SLOTS,
) -> Capture:
    shot, _ = known_shot(seed, axon_s, slots)
    board = BoardSettings(axon_width_s=axon_s)
    wires = shot.wires(round(axon_s * 1e9))
    for name in ("axon", "sync") if both else ("axon",):
        wires[name] = defect(wires[name], shot)
    step_s = board.sampling_s(shot.frame.timing, 5)
    traces = shot.seen(
        wires, step_s=step_s, seed=seed, phase_ns=97 * seed % 400, snr_db=snr_db, volts_per_div=volts_per_div
    )
    return decode(shot.frame, traces, settings or SpikeSettings(), board, TICK_S, 0.1)


def read(shot: Shot, traces: list[Trace], settings: SpikeSettings | None = None) -> Capture:
    return decode(shot.frame, traces, settings or SpikeSettings(), BoardSettings(), TICK_S, 0.1)


def assert_right(capture: Capture, refused: int = 0) -> None:
    """All slots right, but for some that may be refused."""
    assert np.count_nonzero(~capture.ok) <= refused, capture.notes
    assert capture.spikes[capture.ok].tolist() == [2] * int(capture.ok.sum())


def middle(shot: Shot) -> int:
    return int(shot.edges_ns[len(shot.edges_ns) // 2])


RIGHT: dict[str, tuple[Defect, dict[str, object]]] = {
    "none": (lambda w, _: w, {}),
    "rest at 0.4 V under a threshold of 0.5 V": (
        lambda w, _: defects.raised_rest(w, 0.4),
        {"settings": SpikeSettings(threshold_v=0.5)},
    ),
    "half of the spikes at 1.9 V": (lambda w, _: defects.runts(w, 1.9 / 3.3, 0.5), {}),
    "all but a few at 1.9 V": (lambda w, _: defects.runts(w, 1.9 / 3.3, 0.96), {}),
    "slow edges": (lambda w, _: defects.slow_edges(w, 2e-6), {}),
    "slow edges on both lines": (lambda w, _: defects.slow_edges(w, 2e-6), {"both": True}),
    "drift by 1.5 V": (lambda w, s: defects.drift(w, 1.5, 0, s.end_ns), {}),
    "drift by -1.5 V on both lines": (
        lambda w, s: defects.drift(w, -1.5, 0, s.end_ns),
        {"both": True, "volts_per_div": 1.0},
    ),
    "hum of 1.5 V": (lambda w, _: defects.hum(w, 1.5, 50.0), {"volts_per_div": 1.0}),
    "hum of 1.5 V on both lines": (
        lambda w, _: defects.hum(w, 1.5, 120.0),
        {"both": True, "volts_per_div": 1.0},
    ),
    "notches of 0.2 µs": (lambda w, _: defects.notches(w, 900, 200), {}),
    "glitches of 0.3 µs": (lambda w, _: defects.glitches(w, 300, 130_000, 3.3), {}),
    "hum of 1 V at 400 Hz": (lambda w, _: defects.hum(w, 1.0, 400.0), {"volts_per_div": 1.0}),
    "notches of 0.5 µs on both lines": (lambda w, _: defects.notches(w, 900, 500), {"both": True}),
    "an axon of 50 µs": (lambda w, _: w, {"axon_s": 50e-6}),
    "an axon of 20 µs with glitches of 1 µs": (
        lambda w, _: defects.glitches(w, 1_000, 130_000, 3.3),
        {"axon_s": 20e-6},
    ),
}


@pytest.mark.parametrize("snr_db", NOISES)
@pytest.mark.parametrize("name", RIGHT)
def test_bad_lines_that_are_read_rightly(name: str, snr_db: float | None) -> None:
    """Seeds are fixed: of the slowest edges in the noise of 20 dB one slot in 20,000 is refused."""
    defect, more = RIGHT[name]
    for seed, slots in ((0, SLOTS), (1, SLOTS), (2, 200)):
        capture = captured(defect, seed, snr_db, slots=slots, **more)  # type: ignore[arg-type]
        assert_right(capture, refused=4 if snr_db and "notches of 0.5" in name else 0)


REFUSED: dict[str, tuple[Defect, str]] = {
    "stuck at 3.3 V from the middle on": (lambda w, s: defects.sticks(w, 3.3, middle(s)), "none is trusted"),
    "stuck half-way from the middle on": (lambda w, s: defects.sticks(w, 1.65, middle(s)), "none is trusted"),
    "flat at 1 V from the middle on": (lambda w, s: defects.sticks(w, 1.0, middle(s)), "at a shifted rest level"),
    "half of the spikes at 1.2 V": (lambda w, _: defects.runts(w, 1.2 / 3.3, 0.5), "faint, lower than any that counts"),
    "an echo of 2.1 V": (lambda w, _: defects.echo(w, 2.1 / 3.3, 5_000), "echoes of another"),
    "an echo of 2.1 V soon after": (lambda w, _: defects.echo(w, 2.1 / 3.3, 2_600), "echoes of another"),
    "pulses a fifth as wide": (lambda w, _: defects.narrow(w, 400), "narrower than board.axon_width_s = 2e-06"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_lines_that_are_not_trusted(name: str) -> None:
    defect, note = REFUSED[name]
    for seed in range(3):
        capture = captured(defect, seed, None)
        assert not capture.ok.all()
        assert any(note in text for text in capture.notes), capture.notes
        assert_right(capture, refused=SLOTS)


HARD: dict[str, tuple[Defect, int, int, bool]] = {
    "hum of 1.5 V at 400 Hz for less than a period of it": (lambda w, _: defects.hum(w, 1.5, 400.0), 46, SLOTS, True),
    "sync with the slowest edges": (lambda w, _: defects.slow_edges(w, 2e-6), 42, SLOTS, True),
    "a spike with the slowest edges kept up by noise": (lambda w, _: defects.slow_edges(w, 2e-6), 41, SLOTS, True),
    "noise before a torn pulse": (lambda w, _: defects.notches(w, 900, 200), 106, SLOTS, False),
    "drift within the noise of one sample": (lambda w, s: defects.drift(w, 0.5, 0, s.end_ns), 101, 500, True),
}


@pytest.mark.parametrize("name", HARD)
def test_what_noise_of_20_db_makes_look_bad_is_read_rightly(name: str) -> None:
    defect, seed, slots, both = HARD[name]
    assert_right(captured(defect, seed, 20.0, slots=slots, both=both, volts_per_div=1.0))


@pytest.mark.parametrize("seed", [60, 162])
def test_echoes_among_many_real_neighbours_are_told_by_being_lower(seed: int) -> None:
    """Few of them stand alone, so that delays tell little."""
    capture = captured(lambda w, _: defects.echo(w, 2.8 / 3.3, 5_000), seed, None)
    assert not (capture.ok & (capture.spikes != 2)).any()


def test_a_glitch_in_noise_is_no_low_pulse() -> None:
    """A sample of full height, beside others that noise has raised, is on average as high as a low pulse is."""
    shot, _ = known_shot(3)
    traces = shot.seen(shot.wires(), step_s=400e-9, seed=3)
    axon = next(trace for trace in traces if trace.name == "axon")
    top, rest = int(axon.codes.max()), int(np.median(axon.codes))
    start = round(((int(shot.edges_ns[5]) + shot.lead_ns + 85_500) * 1e-9 - axon.x_origin_s) / axon.x_increment_s)
    codes = axon.codes.copy()
    codes[start : start + 5] = rest + np.rint(np.array([0.3, 1.0, 0.22, 0.35, 0.3]) * (top - rest)).astype(np.uint8)
    capture = read(shot, [replace(axon, codes=codes) if trace is axon else trace for trace in traces])
    assert np.flatnonzero(~capture.ok).tolist() == [5]


def test_a_wider_pulse_than_the_board_makes_is_named() -> None:
    shot, _ = known_shot(1, 20e-6)
    capture = read(shot, shot.seen(shot.wires(20_000)))
    assert not capture.ok.any()
    assert "not board.axon_width_s = 2e-06" in capture.notes[-1]


@pytest.mark.parametrize("seed", [100, 101, 112, 116, 127, 129])
def test_a_line_whose_every_pulse_is_a_runt_is_not_taken_for_silence(seed: int) -> None:
    """None passes the threshold, so that no pulse tells what others must look like."""
    try:
        capture = captured(lambda w, _: defects.runts(w, 1.0 / 3.3, 1.0), seed, 26.0)
    except CaptureError:
        return
    assert not (capture.ok & (capture.spikes != 2)).any()


def test_a_doubtful_slot_costs_itself_only() -> None:
    """One spike in slot 7 is followed by half a pulse."""
    shot, _ = known_shot(2)
    wires = shot.wires()
    start = int(shot.edges_ns[7]) + shot.lead_ns + 86_000
    wires["axon"] = wires["axon"].changed(
        lambda t: np.maximum(shot.wires()["axon"].volts(t), np.where((t >= start) & (t < start + 750), 3.3, 0.0))
    )
    capture = read(shot, shot.seen(wires))
    assert np.flatnonzero(~capture.ok).tolist() == [7]
    assert "1 slots doubtful, first slot 7 of the shot: axon pulses 1 too low" in capture.notes


def test_noise_without_spikes_is_a_measurement() -> None:
    """More than 0.2 V of noise on a quiet axon: what threshold sweeps see. By chance in less than 1e-6 of shots."""
    shot = shot_of([8] * SLOTS)
    for seed in range(5):
        capture = decode(
            shot.frame, shot.seen(shot.wires(), seed=seed, snr_db=20), SpikeSettings(), BoardSettings(), TICK_S, 0.1
        )
        assert capture.ok.all(), capture.notes
        assert capture.spikes.sum() == 0


def test_crosstalk_without_spikes_is_a_measurement() -> None:
    shot = shot_of([8] * SLOTS)
    wires = shot.wires()
    wires["axon"] = defects.glitches(wires["axon"], 400, 20_000, 0.8)
    capture = read(shot, shot.seen(wires))
    assert capture.ok.all(), capture.notes
    assert capture.spikes.sum() == 0


@pytest.mark.parametrize(
    ("high_v", "low_v", "settings"),
    [
        (14.0, 0.0, SpikeSettings(threshold_v=7, hysteresis_v=2, sync_threshold_v=1.65, sync_hysteresis_v=0.6)),
        (5.0, -5.0, SpikeSettings(threshold_v=0, sync_threshold_v=1.65)),
    ],
)
def test_lines_of_different_voltages_are_read(high_v: float, low_v: float, settings: SpikeSettings) -> None:
    """An axon of 14 V beside a sync of 3.3 V; an axon that rests below zero."""
    shot, truth = known_shot(3)
    wires = shot.wires()
    logic = wires["axon"].volts
    wires["axon"] = wires["axon"].changed(
        lambda t: low_v + (high_v - low_v) / 3.3 * logic(t) - settings.threshold_v + 1.65
    )
    axon = shot.seen(wires, volts_per_div=2.0)[0]  # the picture is centred on 1.65 V
    shift = round((settings.threshold_v - 1.65) / axon.y_increment_v)
    axon = replace(axon, y_origin=axon.y_origin - shift)
    traces = [axon, shot.seen(wires)[1]]
    capture = read(shot, traces, settings)
    assert capture.ok.all(), capture.notes
    assert capture.spikes.tolist() == truth.tolist()
    with pytest.raises(CaptureError, match=r"'sync' shows .* its trigger levels are"):
        read(shot, traces, settings.model_copy(update={"sync_threshold_v": 14.0}))


def test_codes_that_count_downwards_are_read_as_they_are() -> None:
    shot, truth = known_shot(4)
    upside_down = [
        replace(
            t,
            codes=255 - t.codes,
            y_increment_v=-t.y_increment_v,
            y_reference=255 - t.y_reference,
            y_origin=-t.y_origin,
        )
        for t in shot.seen(shot.wires())
    ]
    capture = read(shot, upside_down)
    assert capture.ok.all()
    assert capture.spikes.tolist() == truth.tolist()
    nothing = [replace(t, y_increment_v=0.0) for t in upside_down]
    with pytest.raises(CaptureError, match="it has no scale"):
        read(shot, nothing)


def scaled(trace: Trace, gain: float, about_v: float) -> Trace:
    """As an input stage with too much gain would have shown it."""
    centre = about_v / trace.y_increment_v + trace.y_origin + trace.y_reference
    codes = np.clip(np.rint((trace.codes - centre) * gain + centre), 0, 255)
    return replace(trace, codes=codes.astype(np.uint8))


@pytest.mark.parametrize("rc_s", [0.0, 0.3e-6])
@pytest.mark.parametrize(("gain", "about_v", "edge"), [(1.3, 0.0, "top"), (3.0, 0.0, "top"), (1.4, 3.3, "bottom")])
def test_a_saturated_trace_is_clipped(gain: float, about_v: float, edge: str, rc_s: float) -> None:
    """Square pulses and slow ones, by little and by much."""
    shot, _ = known_shot(5)
    wires = shot.wires()
    if rc_s:
        wires["axon"] = defects.slow_edges(wires["axon"], rc_s)
    axon, sync = shot.seen(wires)
    with pytest.raises(CaptureError, match=f"'axon' is clipped at the {edge}"):
        read(shot, [scaled(axon, gain, about_v), sync])


def test_a_rail_touched_by_ringing_is_no_clipping() -> None:
    shot, truth = known_shot(6)
    wires = shot.wires()

    def ringing(t: NDArray[np.int64]) -> NDArray[np.float64]:
        _, since = wires["axon"].since_rise_ns(t, 4_000)
        ring = 1.5 * np.exp(-since / 200) * np.cos(since / 60)
        return shot.wires()["axon"].volts(t) + np.where((since >= 0) & (since < 2_000), ring, 0.0)

    axon, sync = shot.seen({**wires, "axon": wires["axon"].changed(ringing)})
    assert axon.codes.max() >= 254
    capture = read(shot, [axon, sync])
    assert capture.ok.all()
    assert capture.spikes.tolist() == truth.tolist()
