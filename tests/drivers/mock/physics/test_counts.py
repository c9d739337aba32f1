"""Two fidelities of one model: counts sampled from the table against neurons played pulse by pulse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from drivers.benchfile import load_bench
from drivers.device import DeviceFile, load_device
from drivers.mock.bench import MockBench
from drivers.mock.physics.counts import SpikeTable
from drivers.signals import SlotTiming, probe_frame

NOMINAL = load_device("nominal")
FALSE_ALARM = 1e-4  # of each comparison; 21 comparisons: 2.1e-3 for the whole test at a fresh seed


def device(**changes: float) -> DeviceFile:
    return NOMINAL.model_copy(update={"model": {**(NOMINAL.model or {}), **changes}})


def spikes(dev: DeviceFile, fidelity: str, vth_v: float, timing: SlotTiming, pulses: np.ndarray) -> np.ndarray:
    with MockBench(load_bench("mock"), dev, seed=11, fidelity=fidelity) as bench:  # type: ignore[arg-type]
        bench.set_threshold(vth_v)
        frame = probe_frame(f"test {fidelity}", timing, pulses.astype(np.int32))
        return np.concatenate([c.spikes for c in bench.play([frame])])


def same_distribution(a: np.ndarray, b: np.ndarray) -> float:
    """p-value of the two-sample chi-square test, rare counts pooled."""
    table = np.stack([np.bincount(x, minlength=int(max(a.max(), b.max())) + 1) for x in (a, b)])
    common = table.sum(axis=0) >= 10
    table = np.column_stack([table[:, common], table[:, ~common].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    return 1.0 if table.shape[1] < 2 else float(chi2_contingency(table).pvalue)


@pytest.mark.parametrize(
    ("dev", "vth_v", "timing"),
    [
        (NOMINAL, 0.7, SlotTiming()),
        (NOMINAL, 0.31, SlotTiming()),  # low enough that the low-resistance state fires by itself
        (NOMINAL, 1.0, SlotTiming(dendrite_clock_hz=200e3, pulse_width_s=1e-6)),
        (NOMINAL, 0.7, SlotTiming(dendrite_clock_hz=1e3)),
        (NOMINAL, 0.7, SlotTiming(mode="fixed", window_s=3.2e-3)),
        (device(jump_probability=0.3, step_spread=0.2), 0.8, SlotTiming()),
        (device(node_s=3e-6, comparator_noise_v=0.05), 0.6, SlotTiming()),
    ],
)
def test_both_fidelities_give_the_same_distribution(dev: DeviceFile, vth_v: float, timing: SlotTiming) -> None:
    """Chi-square on slots of 5, 20 and (a long train) 300 pulses, false-alarm rate as stated above."""
    pulses = np.repeat([5, 20, 300], [3_000, 3_000, 600])
    played, sampled = (spikes(dev, f, vth_v, timing, pulses) for f in ("pulses", "counts"))
    for n in (5, 20, 300):
        assert same_distribution(played[pulses == n], sampled[pulses == n]) > FALSE_ALARM


def test_the_comparison_would_notice_a_small_difference() -> None:
    """Neurons with steps 10 % larger are told apart, so that the test above can fail."""
    pulses = np.full(3_000, 20)
    a = spikes(NOMINAL, "pulses", 0.7, SlotTiming(), pulses)
    b = spikes(device(step=0.334 * 1.1), "counts", 0.7, SlotTiming(), pulses)
    assert same_distribution(a, b) < FALSE_ALARM


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 20))
def test_the_guide_changes_no_outcome(seed: int, width: int) -> None:
    """Against the definition, the number of levels that a draw has reached, at draws on and beside the levels too."""
    rng = np.random.default_rng(seed)
    cdf = np.sort(rng.random((9, width)), axis=1)
    cdf[:, -1] = 1.0
    cdf[0] = 1.0  # no pulse, no spike
    cdf[3] = np.round(cdf[3] * 64) / 64  # levels on the edges of the guide's parts
    table = SpikeTable((np.arange(9)[:, None] + cdf).ravel(), width)
    pulses = rng.integers(0, 9, 3_000).astype(np.int32)
    u = rng.random(3_000)
    u[:600] = np.clip(
        cdf[pulses[:600], rng.integers(0, width, 600)] + rng.choice([-1e-12, 0, 1e-12], 600), 1e-9, 1 - 1e-9
    )
    u[600:700] = rng.integers(1, 64, 100) / 64
    expected = (np.arange(9)[:, None] + cdf)[pulses] <= (pulses + u)[:, None]
    assert (table.sample(pulses, u) == expected.sum(axis=1)).all()
    assert (table.sample(pulses, np.full(3_000, 1.0)) <= width).all()
