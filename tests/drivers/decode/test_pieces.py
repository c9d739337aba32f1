"""Long traces are read in pieces: whatever the pieces, what comes out is what the trace says when it is read whole."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from drivers.decode import axon, schmitt, spikes
from drivers.decode.levels import Levels, Thresholds
from drivers.decode.lines import Line, in_pieces, read_line
from drivers.decode.measured import Reading
from drivers.decode.pieces import Quiet, pieces
from drivers.decode.schmitt import Edges, pulses_at, upright
from drivers.decode.spikes import decode
from drivers.errors import CaptureError
from drivers.settings import BoardSettings, SpikeSettings
from drivers.signals import Capture, Trace
from tests.drivers.decode.test_defects import RIGHT, SLOTS, known_shot
from tests.drivers.decode.test_schmitt import stepwise, trace_of
from tests.drivers.synthetic import TICK_S, Shot

ADVERSE = st.lists(st.sampled_from([0, 60, 90, 100, 110, 140, 255]), min_size=1, max_size=80)
QUIET = Quiet(after_rise_s=7, after_fall_s=4)


def levels(count: int, block: int) -> Thresholds:
    """Levels of 80 and 120 codes, or as much above a rest that moves from block to block."""
    if not block:
        return Thresholds(count, 80.0, 120.0)
    rest = np.asarray(15 * (np.arange(-(-count // block)) % 2), dtype=np.float64)
    return Levels(block, rest, noise=0.3, swing=100.0).above_rest(80.0, 120.0, count, steady=False)


@settings(derandomize=True, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(codes=ADVERSE, block=st.integers(1, 20), low=st.floats(50, 150), span=st.floats(1, 80))
def test_edges_are_the_same_wherever_blocks_end(
    codes: list[int], block: int, low: float, span: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schmitt, "_BLOCK", block)
    trace = trace_of(codes)
    found = pulses_at(trace, upright(trace), Thresholds(len(codes), low, low + span))
    changes = stepwise(codes, low, low + span)
    assert np.ceil(found.rise_s).astype(int).tolist() == [at for at, up in changes if up]
    falls = [at for at, up in changes if not up][int(found.starts_high) :]
    assert np.ceil(found.fall_s[np.isfinite(found.fall_s)]).astype(int).tolist() == falls


@settings(derandomize=True, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    codes=st.lists(st.sampled_from([0, 79, 80, 81, 99, 100, 101, 119, 120, 121, 255]), min_size=1, max_size=80),
    block=st.integers(1, 20),
    span=st.sampled_from([1, 20, 40]),
    flipped=st.booleans(),
)
def test_codes_at_the_very_levels_decide_wherever_blocks_end(
    codes: list[int], block: int, span: int, flipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code on a level has reached it; between them the state stays what it was."""
    monkeypatch.setattr(schmitt, "_BLOCK", block)
    low, high = 120.0 - span, 120.0
    trace = trace_of([255 - code for code in codes] if flipped else codes)
    found = pulses_at(trace, upright(trace, inverted=flipped), Thresholds(len(codes), low, high))
    changes = stepwise(codes, low, high)
    assert np.ceil(found.rise_s).astype(int).tolist() == [at for at, up in changes if up]
    falls = [at for at, up in changes if not up][int(found.starts_high) :]
    assert np.ceil(found.fall_s[np.isfinite(found.fall_s)]).astype(int).tolist() == falls
    assert found.ends_high == (changes[-1][1] if changes else found.starts_high)


@settings(derandomize=True, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    codes=ADVERSE,
    rest=st.lists(st.sampled_from([0.0, 4.5, 15.0, 40.0]), min_size=80, max_size=80),
    rows=st.integers(1, 24),
    block=st.integers(1, 40),
)
def test_edges_between_levels_that_move_are_those_of_a_loop(
    codes: list[int], rest: list[float], rows: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schmitt, "_BLOCK", block)
    trace = trace_of(codes)
    moving = Thresholds(rows, 80.0, 120.0, Levels(rows, np.asarray(rest), noise=0.3, swing=100.0))
    found = pulses_at(trace, upright(trace), moving)
    low, high = (np.repeat(each, rows) for each in moving.of(0, -(-len(codes) // rows)))
    state, changes = found.starts_high, []
    for i, code in enumerate(codes):
        if (code >= high[i]) if not state else (code <= low[i]):
            state = not state
            changes.append(i)
    edges = np.concatenate([[found.begins_low_s] if found.starts_high else [], found.rise_s, found.fall_s])
    assert np.ceil(np.sort(edges[np.isfinite(edges)])).astype(int).tolist() == changes
    assert found.ends_high == state


@settings(derandomize=True, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(codes=ADVERSE, block=st.integers(1, 20), size=st.integers(1, 40), rows=st.sampled_from([0, 1, 5, 24, 128]))
def test_pieces_hold_all_pulses_and_are_cut_where_it_is_quiet(
    codes: list[int], block: int, size: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace, thresholds = trace_of(codes), levels(len(codes), rows)
    whole = pulses_at(trace, upright(trace), thresholds)
    monkeypatch.setattr(schmitt, "_BLOCK", block)
    found = list(pieces(Edges(trace, upright(trace), thresholds), trace, QUIET, size))
    assert np.concatenate([piece.pulses.rise_s for piece in found]).tolist() == whole.rise_s.tolist()
    assert np.concatenate([piece.pulses.fall_s for piece in found]).tolist() == whole.fall_s.tolist()
    assert [found[0].pulses.starts_high, found[0].pulses.begins_low_s] == [whole.starts_high, whole.begins_low_s]
    assert found[-1].pulses.ends_high == whole.ends_high
    assert not any(piece.pulses.starts_high for piece in found[1:])
    assert [piece.start for piece in found] == [0, *(piece.stop for piece in found[:-1])]
    assert found[-1].stop == len(codes)
    ends = np.concatenate([[whole.begins_low_s], whole.fall_s])
    for piece in found[:-1]:
        after = int(np.searchsorted(whole.rise_s, piece.stop))
        assert np.all(piece.stop - ends[: after + 1] >= QUIET.after_fall_s / 2 - 1)
        assert np.all(whole.rise_s[after:] - piece.stop >= QUIET.after_fall_s / 2)


def captured(shot: Shot, traces: list[Trace], settings_: SpikeSettings, axon_s: float) -> Capture | str:
    try:
        return decode(shot.frame, traces, settings_, BoardSettings(axon_width_s=axon_s), TICK_S, 0.1)
    except CaptureError as error:
        return str(error)


@pytest.mark.parametrize(("size", "block"), [(64, 97), (701, 256)])
@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("name", RIGHT)
def test_a_shot_is_judged_alike_in_pieces(
    name: str, network: bool, size: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines with every defect, in the noise of 18 dB, where pulses are doubtful, torn and beside glitches."""
    defect, more = RIGHT[name]
    axon_s, wanted = float(str(more.get("axon_s", 2e-6))), more.get("settings", SpikeSettings())
    assert isinstance(wanted, SpikeSettings)
    shot, _ = known_shot(5, axon_s, SLOTS)
    if network:
        shot.frame = replace(shot.frame, layer=np.zeros_like(shot.frame.layer))
    wires = shot.wires(round(axon_s * 1e9))
    wires["axon"] = defect(wires["axon"], shot)
    step_s = BoardSettings(axon_width_s=axon_s).sampling_s(shot.frame.timing, 5)
    traces = shot.seen(wires, step_s=step_s, seed=5, snr_db=18.0, volts_per_div=1.0)
    whole = captured(shot, traces, wanted, axon_s)

    counted = []

    def partly(reading: Reading, line: Line, quiet: Quiet, _size: int) -> list[Reading]:
        counted.append(list(in_pieces(reading, line, quiet, size)))
        return counted[-1]

    def sample(trace: Trace, line: Line, most: int | None = None) -> Reading:
        return replace(read_line(trace, line), whole=most is None)

    monkeypatch.setattr(schmitt, "_BLOCK", block)
    monkeypatch.setattr(axon, "in_pieces", partly)
    monkeypatch.setattr(spikes, "read_line", sample)
    found = captured(shot, traces, wanted, axon_s)
    if isinstance(whole, str) or isinstance(found, str):
        assert found == whole
        return
    assert len(counted[0]) > (3 if axon_s < 5e-6 else 0)
    assert found.spikes.tolist() == whole.spikes.tolist()
    assert found.ok.tolist() == whole.ok.tolist()
    assert found.stray == whole.stray
    assert found.notes == whole.notes


def long_shot(slots: int, spikes_of: NDArray[np.intp]) -> tuple[Shot, list[Trace]]:
    """Slots of eight pulses, each with spikes at these samples after the fall of sync, at five samples a spike."""
    shot = Shot(known_shot(0, slots=slots)[0].frame)
    for after in spikes_of.tolist():
        shot.axon_ns += (shot.edges_ns[:-1] + shot.lead_ns + 400 * after).tolist()
    return shot, shot.traces(seed=3)


def test_a_long_trace_is_told_by_a_sample_in_little_memory() -> None:
    """Eight spikes in every slot, two million samples; what is held of them is the length of slots and levels."""
    shot, traces = long_shot(8_000, 10 + 25 * np.arange(8))
    assert len(traces[0].codes) > axon.LONG
    assert not read_line(
        traces[0], spikes.expected_lines(SpikeSettings(), BoardSettings(), 1e-5)["axon"], axon.LONG
    ).whole
    tracemalloc.start()
    capture = decode(shot.frame, traces, SpikeSettings(), BoardSettings(), TICK_S, 0.1)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert capture.ok.all(), capture.notes
    assert (capture.spikes == 8).all()
    assert most < 2 * len(traces[0].codes)


def test_a_sample_that_met_few_spikes_is_not_believed() -> None:
    """Spikes in the last tenth of the slots only: all pulses tell then what pulses are like."""
    shot, traces = long_shot(5_000, np.empty(0, dtype=np.intp))
    shot.axon_ns = [int(edge) + shot.lead_ns + 4_000 for edge in shot.edges_ns[-501:-1]]
    traces = shot.traces(seed=4)
    assert len(traces[0].codes) > axon.LONG
    capture = decode(shot.frame, traces, SpikeSettings(), BoardSettings(), TICK_S, 0.1)
    assert capture.ok.all(), capture.notes
    assert capture.spikes.tolist() == [0] * 4_500 + [1] * 500
