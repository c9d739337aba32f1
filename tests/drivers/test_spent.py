"""Where a bench of real parts says that its time went, on a clock that parts advance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.parts.assembly import Parts
from drivers.pi import PiBench
from drivers.signals import Capture, SlotTiming, probe_frame
from tests.drivers.wear.test_account import Silent

SLOW = SlotTiming(dendrite_clock_hz=1e3)


class Slow(Silent):
    """Takes `take_s` to read what has to be read before the next shot, and `rest_s` for what has not."""

    def __init__(self, take_s: float, rest_s: float) -> None:
        super().__init__()
        self.take_s, self.rest_s, self.now_s = take_s, rest_s, 0.0

    @property
    def spent_s(self) -> dict[str, float]:  # type: ignore[override]
        return {"transfer": self.take_s * len(self.left), "beside": self.rest_s * len(self.left)}

    def take(self) -> Callable[[], Capture]:
        capture = self.read()
        self.now_s += self.take_s

        def rest() -> Capture:
            self.now_s += self.rest_s
            return capture

        return rest


@pytest.mark.parametrize(
    ("rest_s", "reading_s", "beside_s"),
    [(0.25, 0.25, 2 * 0.25), (2.0, 2.0 + 2 * 1.0, 2 * 1.0)],  # three shots of a second; nothing plays beside the last
)
def test_what_is_read_while_the_next_shot_plays_is_waited_for_only_as_far_as_it_takes_longer(
    rest_s: float, reading_s: float, beside_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Slow(0.5, rest_s)
    monkeypatch.setattr("drivers.pi.time.monotonic", lambda: parts.now_s)
    file = load_bench("mock").model_copy(update={"kind": "pi", "passports": str(tmp_path)})
    with PiBench(file, load_device("nominal"), parts=Parts(parts, parts, parts)) as bench:
        bench.set_threshold(0.7)
        assert len(list(bench.play([probe_frame("test", SLOW, [980] * 3)]))) == 3
        spent = bench.spent_s
    assert spent["transfer"] == pytest.approx(3 * 0.5)
    assert spent["reading"] == pytest.approx(reading_s, rel=0.05)
    assert spent["beside"] == pytest.approx(beside_s, rel=0.05)
