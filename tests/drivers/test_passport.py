from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.bench import Bench
from drivers.benchfile import load_bench
from drivers.counted import CountedBench
from drivers.device import DeviceFile, load_device
from drivers.errors import InputError, LimitError
from drivers.mock.bench import MockBench
from drivers.passport import Passport, load_passport, mark_drifted, passport_file, save_passport
from drivers.signals import Frame, SlotTiming, probe_frame

SLOW = SlotTiming(dendrite_clock_hz=1e3)


def device(**changes: int) -> DeviceFile:
    return load_device("nominal").model_copy(update=changes)


def counted(folder: Path, dev: DeviceFile | None = None) -> CountedBench:
    made = CountedBench(MockBench(load_bench("mock"), dev or device()), dev or device(), folder)
    made.set_threshold(0.7)
    return made


def test_every_pulse_and_reset_is_counted_for_good(tmp_path: Path) -> None:
    bench = counted(tmp_path)
    assert isinstance(bench, Bench)
    list(bench.play([probe_frame("test", SLOW, [600, 0, 700, 800])]))
    list(bench.play([probe_frame("test", SlotTiming(mode="fixed"), [3, 0])]))
    passport = load_passport("nominal", tmp_path)
    assert (passport.pulses, passport.resets, passport.in_hand) == (2_103, 5, 0)
    assert passport.played_s > 2.1


def test_a_frame_beyond_the_endurance_is_refused_before_it_is_played(tmp_path: Path) -> None:
    bench = counted(tmp_path, device(endurance_pulses=1_000))
    list(bench.play([probe_frame("test", SlotTiming(), [900])]))
    with pytest.raises(
        LimitError, match="has had 900 pulses and would get 200 more; its file allows 1,000 in its life"
    ):
        list(bench.play([probe_frame("test", SlotTiming(), [200])]))
    assert load_passport("nominal", tmp_path).pulses == 900
    few = counted(tmp_path / "resets", device(endurance_resets=2))
    with pytest.raises(LimitError, match="0 resets and would get 3 more"):
        list(few.play([probe_frame("test", SlotTiming(), [1, 1, 1])]))


def test_what_may_have_been_played_when_stopped_counts(tmp_path: Path) -> None:
    bench = counted(tmp_path)
    playing = bench.play([probe_frame("test", SLOW, [900] * 10)])
    next(playing)
    playing.close()  # type: ignore[attr-defined]
    found = load_passport("nominal", tmp_path)
    assert found.pulses == 900 + 2_000  # one captured, and two seconds of what was queued at most
    assert found.in_hand == 0


def test_a_killed_program_leaves_its_shot_in_hand(tmp_path: Path) -> None:
    bench = counted(tmp_path)

    def frames() -> Iterator[Frame]:
        yield probe_frame("test", SlotTiming(), [50])

    playing = bench.play(frames())
    next(playing)
    on_disk = Passport.model_validate_json(passport_file("nominal", tmp_path).read_text())
    assert (on_disk.pulses, on_disk.in_hand) == (50, 50)  # as a kill would leave it here
    assert load_passport("nominal", tmp_path).pulses == 100
    list(playing)
    assert load_passport("nominal", tmp_path).pulses == 50


def test_a_passport_that_cannot_be_trusted_is_named(tmp_path: Path) -> None:
    save_passport(Passport(device="a", pulses=5), tmp_path)
    passport_file("a", tmp_path).write_text('{"device": "a", "pulses": -5}')
    with pytest.raises(InputError, match=r"a.json: pulses = -5: .*restore it from a backup"):
        load_passport("a", tmp_path)


def test_a_calibration_that_drifted_is_remembered_once(tmp_path: Path) -> None:
    list(counted(tmp_path).play([probe_frame("test", SlotTiming(), [5])]))
    for _ in range(2):
        mark_drifted("nominal", "abc", tmp_path)
    list(counted(tmp_path).play([probe_frame("test", SlotTiming(), [5])]))
    found = load_passport("nominal", tmp_path)
    assert (found.drifted, found.pulses) == (("abc",), 10)
