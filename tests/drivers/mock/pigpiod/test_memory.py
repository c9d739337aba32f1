from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drivers.mock.pigpiod.waves.memory import Pulses, WaveMemory, merge, parse

pulses = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 5)), max_size=12).map(
    lambda rows: Pulses(*np.array(rows or np.empty((0, 3)), dtype=np.int64).reshape(-1, 3).T)
)


def events(waveform: Pulses) -> dict[int, tuple[int, int]]:
    """What is set and cleared at each time, whatever pulses it takes."""
    found: dict[int, tuple[int, int]] = {}
    times = np.cumsum(waveform.delay_us) - waveform.delay_us
    for t, on, off in zip(times.tolist(), waveform.on.tolist(), waveform.off.tolist(), strict=True):
        before = found.get(t, (0, 0))
        found[t] = (before[0] | on, before[1] | off)
    return found


@given(pulses, pulses)
def test_merged_waveforms_do_all_that_either_did_at_the_same_times(a: Pulses, b: Pulses) -> None:
    both = merge(a, b)
    expected = events(a)
    for t, (on, off) in events(b).items():
        before = expected.get(t, (0, 0))
        expected[t] = (before[0] | on, before[1] | off)
    assert events(both) == expected
    assert both.delay_us.sum() == max(a.delay_us.sum(), b.delay_us.sum())
    assert len(both) <= len(a) + len(b)


@given(st.binary(max_size=60))
def test_any_extension_is_parsed_as_whole_pulses(extension: bytes) -> None:
    waveform = parse(extension)
    assert len(waveform) == len(extension) // 12
    words = np.frombuffer(extension[: len(waveform) * 12], dtype="<u4").reshape(-1, 3)
    assert (np.stack([waveform.on, waveform.off, waveform.delay_us], axis=1) == words).all()


def test_a_wave_that_fills_its_padding_loses_its_end() -> None:
    """The daemon ends a padded wave with one more block, and puts it on the last one even if that is taken."""
    room = 23_836 * 50 // 100
    told: list[str] = []
    memory = WaveMemory(told.append)
    memory.add(Pulses(*np.array([(1 << 5, 0, 1)] * ((room - 1) // 2) + [(0, 0, 1)], dtype=np.int64).T))
    assert memory.create((50, 100, 0)) == 0
    assert "fills its padding" in told[0]
