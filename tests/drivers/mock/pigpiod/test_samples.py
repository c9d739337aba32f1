"""What samples show, against the same looked at sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm

from drivers.mock.pigpiod.foresight import Stretch
from drivers.mock.pigpiod.samples import OFF_MOST, Samples

SIGMAS = 5.0  # one false alarm in 1.7 million, each


def stretch(t_ns: NDArray[np.int64], words: NDArray[np.int64], before: int = 0) -> Stretch:
    return Stretch(0, int(t_ns[-1]) + 10_000_000 if len(t_ns) else 10_000_000, before, t_ns, words, (0, 0))


def looked(samples: Samples, whole: Stretch, looks_ns: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All that is shown where somebody looks at these times."""
    found, since, known = [], 0, whole.before
    samples.begin(whole.before)
    for now in looks_ns:
        t, words = samples.shown(since, now, lambda _since, _now: whole, known)
        since, known = now, int(words[-1]) if len(words) else known
        found.append((t, words))
    t, words = (np.concatenate(column) for column in zip(*found, strict=True))
    return t, words


def pulses(rises: NDArray[np.int64], width_ns: int) -> Stretch:
    t = np.stack([rises, rises + width_ns], axis=1).ravel()
    return stretch(t, np.tile([1, 0], len(rises)).astype(np.int64))


def test_short_pulses_are_seen_only_where_a_sample_falls_on_them() -> None:
    """Of 200 edges of pulses of 1 µs every 7.3 µs the real daemon reports about 40 at its 5 µs."""
    whole = pulses(np.arange(100) * 7_300 + 300, 1_000)
    _, words = looked(Samples(5), whole, [1_000_000])
    assert 30 <= np.count_nonzero(np.diff(words, prepend=0)) <= 50


@pytest.mark.parametrize("sample_us", [1, 5])
def test_what_lasts_two_samples_is_never_missed_however_rough(sample_us: int) -> None:
    """Samples come off by contention, but their pacing catches up: every pulse is seen, of any phase."""
    rises = np.arange(20_000) * (10_037 * sample_us) + 1_000_000
    whole = pulses(rises, 1_700 * sample_us)  # less the 150 ns pull-up, thrice
    samples = Samples(sample_us, 600e-9, seed=7)
    step_ns = 1_000_000 * sample_us
    _, words = looked(samples, whole, list(range(step_ns, int(rises[-1]) + 2 * step_ns, step_ns)))
    assert np.count_nonzero(np.diff(words, prepend=0) == 1) == len(rises)


GAPS = st.lists(st.integers(1, 9_000), max_size=60)
CUTS = st.sets(st.integers(1, 399), max_size=8)


@given(GAPS, CUTS, st.sampled_from([1, 2, 5]))
def test_however_often_somebody_looks_the_samples_are_the_same(gaps: list[int], cuts: set[int], sample_us: int) -> None:
    """Exact samples, against the level at each of them; short pulses fall between two of them."""
    t = np.cumsum(gaps, dtype=np.int64)
    words = np.arange(1, len(t) + 1, dtype=np.int64) & 1
    step_ns = sample_us * 1_000
    seen_t, seen = looked(Samples(sample_us), stretch(t, words), [step_ns * k for k in [*sorted(cuts), 600]])
    samples_ns = np.arange(step_ns, step_ns * 601, step_ns)
    there = np.append(0, words)[np.searchsorted(t, samples_ns, side="right")]
    shown = np.append(0, seen)[np.searchsorted(seen_t, samples_ns, side="right")]
    assert shown.tolist() == there.tolist()
    assert (seen_t % step_ns == 0).all()


@given(st.integers(0, 1_000), CUTS)
def test_what_is_off_its_time_is_off_by_the_same_whoever_looks_when(seed: int, cuts: set[int]) -> None:
    """But for what is just about to be seen at a look, which belongs to it."""
    whole = pulses(np.arange(50) * 7_777 + 1_013, 2_000)
    looks = [*range(1_000, 400_000, 1_000)], [1_000 * k for k in [*sorted(cuts), 400]]
    (many_t, many), (few_t, few) = (looked(Samples(1, 200e-9, seed), whole, times) for times in looks)
    assert many.tolist() == few.tolist()
    assert (np.abs(many_t - few_t) <= 1_000).all()


def test_samples_are_off_normally_and_each_by_its_own() -> None:
    """20,000 edges each some time before a sample: how many the next one shows, and no two of them together."""
    sigma_ns, count = 150, 20_000
    for before_ns in (0, 60, 150, 220):
        t = np.arange(1, count + 1, dtype=np.int64) * 10_000 - before_ns
        words = np.arange(1, count + 1, dtype=np.int64) & 1
        seen_t, seen = looked(Samples(1, sigma_ns * 1e-9, seed=3), stretch(t, words), [(count + 1) * 10_000])
        assert len(seen) == count
        late = seen_t - (t + before_ns)
        assert set(late.tolist()) <= {0, 1_000}
        share, due = float((late > 0).mean()), norm.sf(before_ns / sigma_ns)
        assert (
            abs(share - due) < SIGMAS * np.sqrt(due * (1 - due) / count) + 0.01
        )  # whole ns, and 0 belongs to one side
        together = np.corrcoef(late[1:] > 0, late[:-1] > 0)[0, 1]
        assert abs(together) < SIGMAS / np.sqrt(count)
    t = np.arange(1, count + 1, dtype=np.int64) * 10_000 - round(OFF_MOST * 1_000) - 1
    seen_t, _ = looked(Samples(1, 1e-6, seed=3), stretch(t, np.arange(1, count + 1) & 1), [(count + 1) * 10_000])
    assert (seen_t == np.arange(1, count + 1) * 10_000).all()  # never by more than a quarter


def test_another_seed_is_off_otherwise() -> None:
    whole = pulses(np.arange(2_000) * 7_777 + 1_013, 2_000)
    one, other, again = (looked(Samples(1, 200e-9, seed), whole, [16_000_000])[0] for seed in (1, 2, 1))
    assert one.tolist() == again.tolist()
    assert one.tolist() != other.tolist()
