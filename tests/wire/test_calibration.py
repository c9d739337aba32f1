"""The threshold calibration over the wire: the same sweep through pigpio and the Pico."""

from __future__ import annotations

import pytest

from calibration.sweep import Sweep
from calibration.threshold import measure_threshold
from tests.wire.twin import twin_bench

pytestmark = pytest.mark.wire


@pytest.mark.parametrize(("source", "reader"), [("pico", "pico"), ("pigpio", "pico")])
def test_the_threshold_is_found_over_the_wire(source: str, reader: str) -> None:
    """The true gain at 0.703 V is 4: the interval misses it in one of 20 fresh cases, twice its width in one of 10⁴."""
    with twin_bench(source, reader, "nominal") as (bench, board):
        limits = (bench.file.limits.vth_min_v, bench.file.limits.vth_max_v)
        found = measure_threshold(Sweep(bench, bench.file.slot, "wire"), limits, most_pulses=9_000)
        assert 0 <= found.pulses_spent - board.pulses_total <= 32  # the board counts a slot when the next one begins
    lo, hi = found.asked_v.lo or 0.0, found.asked_v.hi or 9.0
    assert lo - (hi - lo) / 2 < 0.703 < hi + (hi - lo) / 2
    assert found.window.lower_v.value == pytest.approx(0.397, rel=0.04)
    assert found.window.upper_v.value == pytest.approx(1.528, rel=0.01)
