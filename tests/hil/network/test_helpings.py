"""Pulses in helpings: what is sent adds up, and counts are turned back by what the measured curve says of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.transfer import TransferCurve, measure_transfer
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import InputError
from drivers.mock.bench import MockBench
from drivers.signals import SlotTiming, probe_frame
from hil.network.helpings import Helpings, parse_helpings


@settings(deadline=None)
@given(pulses=st.lists(st.integers(1, 300), min_size=1, max_size=5))
def test_helpings_add_up_and_none_takes_back(pulses: list[int]) -> None:
    helpings = Helpings(tuple(pulses))
    wanted = np.arange(helpings.total + 1, dtype=np.int32)
    sent = np.array([helpings.sent(wanted, number) for number in range(len(pulses))])
    assert (sent >= 0).all()
    assert (sent.sum(axis=0) == wanted).all()
    assert sent[:, -1].tolist() == pulses
    assert (np.abs(sent[0] - wanted * pulses[0] / helpings.total) <= 0.5).all()


@pytest.fixture(scope="module")
def bench() -> MockBench:
    made = MockBench(load_bench("mock"), load_device("nominal"), seed=2, fidelity="counts")
    made.set_threshold(0.7)
    return made


@pytest.fixture(scope="module")
def curve(bench: MockBench) -> TransferCurve:
    return measure_transfer(bench, SlotTiming(), 0.7, full_scale=32)


@pytest.mark.parametrize("number", [0, 1])
def test_the_curve_of_helpings_is_what_two_fresh_starts_give(
    bench: MockBench, curve: TransferCurve, number: int
) -> None:
    """Played on the bench, 4,000 slots a count: means within 5 standard errors of both measurements."""
    helpings = Helpings((8, 24))
    made = helpings.curve(curve, number)
    for wanted in (3, 16, 32):
        total = np.zeros(4_000)
        for helping in range(number + 1):
            sent = int(helpings.sent(np.array([wanted], dtype=np.int32), helping)[0])
            frame = probe_frame("test", SlotTiming(), np.full(4_000, sent, dtype=np.int32), image=wanted)
            total += np.concatenate([c.spikes for c in bench.play([frame_of(frame, helping)])])
        error = made.sd_spikes[wanted] * np.sqrt(1 / 4_000 + 2 / curve.slots.min()) + 1e-3
        assert total.mean() == pytest.approx(made.mean_spikes[wanted], abs=5 * error)
        assert total.std() == pytest.approx(made.sd_spikes[wanted], rel=0.15, abs=0.05)


def frame_of(frame, helping: int):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(frame, key=replace(frame.key, helping=helping))


def test_counts_of_all_helpings_come_back_as_the_pulses_wanted(curve: TransferCurve) -> None:
    """The inverse at the mean counts, from where the neuron fires at all; a third of full scale alone tells less."""
    helpings = Helpings((8, 24))
    whole = helpings.curve(curve, 1)
    x, y = whole.monotone
    back = np.interp(whole.mean_spikes[8:], x, y)
    np.testing.assert_allclose(back, np.arange(8, 33), atol=1.6)
    first = helpings.curve(curve, 0)
    assert first.decode(np.array([0, 2])).tolist()[0] == 0
    assert first.decode(np.array([2]))[0] == pytest.approx(32, abs=6)


def test_another_helping_is_another_draw(bench: MockBench) -> None:
    frame = probe_frame("test", SlotTiming(), np.full(500, 16, dtype=np.int32))
    first, again, second = (
        np.concatenate([c.spikes for c in bench.play([frame_of(frame, helping)])]) for helping in (0, 0, 1)
    )
    assert (first == again).all()
    assert 0.3 < (first != second).mean() < 0.95


@pytest.mark.parametrize("text", ["8", "8,0", "8,x", "", "1,2,3,4,5,6,7,8,9", "8,-1"])
def test_what_is_no_list_of_helpings_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--helpings"):
        parse_helpings(text)
    assert parse_helpings("8, 24").pulses == (8, 24)
