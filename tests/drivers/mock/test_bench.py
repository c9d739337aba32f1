from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivers.bench import Bench
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import InputError, LimitError, UnsafeError
from drivers.mock.bench import MockBench
from drivers.signals import SlotTiming, probe_frame
from drivers.timing import shots

FILE = load_bench("mock")


def bench(device: str = "nominal", **options: object) -> MockBench:
    made = MockBench(FILE, load_device(device), **options)  # type: ignore[arg-type]
    made.set_threshold(0.7)
    return made


def play(made: MockBench, pulses: list[int], timing: SlotTiming | None = None) -> np.ndarray:
    frame = probe_frame("test", timing or SlotTiming(), pulses)
    return np.concatenate([c.spikes for c in made.play([frame])])


def test_it_is_a_bench() -> None:
    assert isinstance(bench(), Bench)


@pytest.mark.parametrize("mode", ["adaptive", "fixed"])
@pytest.mark.parametrize("fidelity", ["pulses", "counts"])
def test_ideal_counts_every_pulse(mode: str, fidelity: str) -> None:
    timing = SlotTiming(mode=mode)
    counts = [0, 1, 2, 31, 32, 0, 7]
    assert play(bench("ideal", fidelity=fidelity), counts, timing).tolist() == counts


@pytest.mark.parametrize("fidelity", ["pulses", "counts"])
def test_slots_draw_the_same_whatever_is_played_around_them(fidelity: str) -> None:
    frame = probe_frame("test", SlotTiming(), (np.arange(400) % 33).astype(np.int32))
    whole = np.concatenate([c.spikes for c in bench(fidelity=fidelity).play([frame])])
    parts = [frame.part(250, 400), frame.part(0, 250)]
    late, early = (c.spikes for c in bench(fidelity=fidelity).play(parts))
    assert np.concatenate([early, late]).tolist() == whole.tolist()


def test_another_seed_or_key_draws_otherwise() -> None:
    pulses = [20] * 200
    one = play(bench(seed=1), pulses).tolist()
    assert one == play(bench(seed=1), pulses).tolist()
    assert one != play(bench(seed=2), pulses).tolist()
    other = probe_frame("test", SlotTiming(), pulses, attempt=1)
    assert one != np.concatenate([c.spikes for c in bench(seed=1).play([other])]).tolist()


def test_a_long_frame_comes_in_shots_of_at_most_a_second() -> None:
    frame = probe_frame("test", SlotTiming(dendrite_clock_hz=1e3), [100] * 35)
    captures = list(bench().play([frame]))
    assert [len(c.frame) for c in captures] == [len(s) for s in shots(frame, 1e-6)]
    assert len(captures) > 3
    assert all(c.bench_s <= 1.001 for c in captures)
    assert sum(c.bench_s for c in captures) == pytest.approx(35 * (0.1 + 21e-6) + len(captures) * 13e-6)


def test_a_parked_threshold_and_impossible_requests_are_refused() -> None:
    parked = bench()
    parked.make_safe()
    with pytest.raises(UnsafeError, match="set_threshold"):
        play(parked, [1])
    with pytest.raises(InputError, match="5 V cannot be made"):
        parked.set_threshold(5.0)
    with pytest.raises(LimitError):
        play(bench(), [1], SlotTiming(dendrite_clock_hz=400e3, pulse_width_s=1e-6))


def test_closing_the_iterator_makes_safe() -> None:
    made = bench()
    playing = made.play(probe_frame("test", SlotTiming(), [3]) for _ in range(5))
    next(playing)
    playing.close()  # type: ignore[attr-defined]
    with pytest.raises(UnsafeError):
        play(made, [1])


def test_drift_changes_the_counts_through_pulses_before() -> None:
    device = load_device("nominal")
    worn = device.model_copy(update={"model": {**(device.model or {}), "step_drift_per_gigapulse": -500.0}})
    made = MockBench(FILE, worn, fidelity="counts")
    made.set_threshold(0.7)
    fresh = probe_frame("test", SlotTiming(), [32] * 500)
    old = probe_frame("test", SlotTiming(), [32] * 501).part(1, 501)  # 32 pulses before: no matter
    much = replace(fresh, pulses_before=1_000_000)
    new, same, less = (int(c.spikes.sum()) for c in made.play([fresh, old, much]))
    assert abs(new - same) < 100
    assert less < 0.75 * new


def test_shots_that_are_simulated_together_are_those_that_are_simulated_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where V_th is set anew between two of them, which the bench has simulated already."""
    rng = np.random.default_rng(4)
    frame = probe_frame("test", SlotTiming(dendrite_clock_hz=1e3), rng.integers(0, 400, 40).astype(np.int32))

    def played(moved: bool) -> list[tuple[int, list[int], int]]:
        made = []
        with MockBench(load_bench("mock"), load_device("nominal"), seed=5) as bench:
            bench.set_threshold(0.7)
            for i, shot in enumerate(bench.play([frame])):
                made.append((shot.frame.first_slot, shot.spikes.tolist(), shot.stray.guard))
                if moved and i == 1:
                    bench.set_threshold(0.66)
        return made

    together = [played(moved) for moved in (False, True)]
    monkeypatch.setattr("drivers.mock.bench.SIDE_BY_SIDE_PULSES", 0)
    alone = [played(moved) for moved in (False, True)]
    assert together == alone
    assert len(alone[0]) > 3
    assert alone[0][:2] == alone[1][:2]
    assert alone[0][2:] != alone[1][2:]
