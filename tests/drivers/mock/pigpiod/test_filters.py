"""Filters of reports, against what the daemon does sample by sample (`alertGlitchFilter`, `alertNoiseFilter`)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.mock.pigpiod.filters import Change, Glitch, Noise

SAMPLE_NS = 5_000
LEVELS = st.lists(st.booleans(), min_size=1, max_size=60)
CUTS = st.lists(st.integers(1, 59), max_size=5)


def glitches_by_sample(levels: list[bool], steady_us: int) -> list[bool]:
    reported = last = levels[0]
    changed_us = 0
    shown = []
    for k, level in enumerate(levels):
        if level != last:
            changed_us, last = 5 * k, level
        if level != reported and 5 * k - changed_us >= steady_us:
            reported = level
        shown.append(reported)
    return shown


def noise_by_sample(levels: list[bool], steady_us: int, active_us: int) -> list[bool]:
    quiet_us = until_us = 0
    active = held = last = False
    shown = []
    for k, level in enumerate(levels):
        now_us = 5 * k
        if active:
            if now_us >= until_us:
                active, quiet_us = False, now_us
        elif level != last:
            passed, quiet_us = now_us - quiet_us, now_us
            if passed >= steady_us:
                held, active, until_us = last, True, now_us + active_us
        shown.append(level if active else held)
        last = level
    return shown


def run(stage: Glitch | Noise, levels: list[bool], cuts: list[int]) -> list[bool]:
    """What a filter shows at each sample, when it is given them in pieces."""
    edges: list[Change] = [(k * SAMPLE_NS, levels[k]) for k in range(1, len(levels)) if levels[k] != levels[k - 1]]
    found: list[Change] = []
    ends = sorted({0, *(c for c in cuts if c < len(levels)), len(levels) - 1})
    for first, last in zip(ends, ends[1:] or ends, strict=False):
        inside = [(t, v) for t, v in edges if first * SAMPLE_NS < t <= last * SAMPLE_NS]
        found += stage.run(levels[first], first * SAMPLE_NS, inside, last * SAMPLE_NS)
    assert found == sorted(found)
    shown = []
    for k in range(len(levels)):
        so_far = [v for t, v in found if t <= k * SAMPLE_NS]
        shown.append(so_far[-1] if so_far else levels[0] if isinstance(stage, Glitch) else False)
    return shown


@given(LEVELS, CUTS, st.integers(1, 60))
def test_a_glitch_filter_shows_what_the_daemon_s_does(levels: list[bool], cuts: list[int], steady_us: int) -> None:
    assert run(Glitch(steady_us * 1000, SAMPLE_NS), levels, cuts) == glitches_by_sample(levels, steady_us)


@given(LEVELS, CUTS, st.integers(1, 60), st.integers(0, 100))
def test_a_noise_filter_shows_what_the_daemon_s_does(
    levels: list[bool], cuts: list[int], steady_us: int, active_us: int
) -> None:
    stage = Noise(steady_us * 1000, active_us * 1000, SAMPLE_NS, 0)
    assert run(stage, levels, cuts) == noise_by_sample(levels, steady_us, active_us)
