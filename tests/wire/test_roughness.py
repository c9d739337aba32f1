"""Reading rules bear an ordinary bench: at roughness 1 no count is wrong and hardly a slot is retaken."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.signals import SlotTiming, probe_frame
from tests.wire.twin import twin_bench

pytestmark = pytest.mark.wire


@pytest.mark.parametrize(
    ("source", "reader"), [("pigpio", "scope"), ("pigpio", "pico"), ("pico", "scope"), ("pigpio", "gpio")]
)
def test_an_ordinary_bench_is_read_right(source: str, reader: str) -> None:
    counts = np.random.default_rng(7).integers(0, 4, 400).astype(np.int32)
    with twin_bench(source, reader, "ideal", rough=1.0, seed=7) as (bench, board):
        bench.set_threshold(0.7)
        captures = list(bench.play([probe_frame("rough", SlotTiming(), counts)]))
        if (source, reader) == (
            "pigpio",
            "pico",
        ):  # without slack for DMA many would be refused
            planned = np.concatenate([c.slot_s for c in captures])[counts == 1]
            assert (np.abs(planned - np.median(planned)) > 0.01 * np.median(planned)).mean() > 0.1
    assert board.misuse.count == 0
    ok = np.concatenate([c.ok for c in captures])
    spikes = np.concatenate([c.spikes for c in captures])
    assert (spikes[ok] == counts[ok]).all()
    assert (~ok).sum() <= 0.02 * (counts > 0).sum()
