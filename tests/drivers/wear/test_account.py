"""A bench of real parts accounts for what its device gets; here over parts that do nothing but fail when asked to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from drivers.benchfile import load_bench
from drivers.device import DeviceFile, load_device
from drivers.errors import BusyError, CaptureError, HilWarning, LimitError
from drivers.parts.assembly import Parts
from drivers.pi import PiBench
from drivers.signals import Capture, Frame, SlotTiming, probe_frame
from drivers.timing import length_ticks, seconds
from drivers.wear.account import Account
from drivers.wear.ledger import read_ledger
from drivers.wear.passport import ledger_file, load_passport

SLOW = SlotTiming(dendrite_clock_hz=1e3)


class Silent:
    """Source, reader and threshold of a bench on which nothing ever fires; `look` is called as a shot leaves."""

    tick_s = 1e-6
    most_slots = most_pulses = None
    gapless = False
    identity: dict[str, str] = {}  # noqa: RUF012 (as the protocol has it)
    spent_s: dict[str, float] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.look: Callable[[], None] = lambda: None
        self.left: list[Frame] = []
        self.fail_reads = False
        self._loaded: list[Frame] = []

    def prepare(self) -> None: ...
    def close(self) -> None: ...
    def stop(self) -> None: ...
    def park(self) -> None: ...
    def wait(self) -> None: ...
    def arm(self, frame: Frame) -> None: ...

    def set_threshold(self, volts: float) -> float:
        return volts

    def load(self, frame: Frame) -> None:
        self._loaded.append(frame)

    def start(self) -> None:
        self.left.append(self._loaded.pop(0))
        self.look()

    def read(self) -> Capture:
        if self.fail_reads:
            raise CaptureError("unreadable")
        shot = self.left[-1]
        slot_s = seconds(length_ticks(shot, 1e-6), 1e-6)
        ok = np.ones(len(shot), dtype=np.bool_)
        return Capture(shot, np.zeros(len(shot), dtype=np.int32), slot_s, ok, bench_s=float(slot_s.sum()))


def device(**changes: int) -> DeviceFile:
    return load_device("nominal").model_copy(update=changes)


def bench(folder: Path, parts: Silent, dev: DeviceFile | None = None) -> PiBench:
    file = load_bench("mock").model_copy(update={"kind": "pi", "passports": str(folder)})
    made = PiBench(file, dev or device(), parts=Parts(parts, parts, parts))
    made.set_threshold(0.7)
    return made


def test_every_pulse_and_reset_is_counted_for_good(tmp_path: Path) -> None:
    with bench(tmp_path, Silent()) as one:
        list(one.play([probe_frame("test", SLOW, [600, 0, 700, 800])]))
        list(one.play([probe_frame("test", SlotTiming(mode="fixed"), [3, 0])]))
    passport = load_passport("nominal", tmp_path)
    assert (passport.pulses, passport.resets) == (2_103, 5)
    assert passport.played_s > 2.1


def test_a_shot_is_on_the_disk_before_it_leaves(tmp_path: Path) -> None:
    parts = Silent()
    seen: list[bool] = []

    def look() -> None:
        wear = read_ledger(ledger_file("nominal", tmp_path))
        left = sum(shot.total_pulses for shot in parts.left)
        assert wear is not None
        seen.append(wear.pulses >= left and wear.resets >= len(parts.left))

    parts.look = look
    with bench(tmp_path, parts) as one:
        list(one.play([probe_frame("test", SLOW, [900] * 4)]))
    assert seen == [True] * 4


def test_a_frame_whose_read_fails_is_counted(tmp_path: Path) -> None:
    parts = Silent()
    parts.fail_reads = True
    with bench(tmp_path, parts) as one, pytest.raises(CaptureError):
        list(one.play([probe_frame("test", SlotTiming(), [960] * 100)]))
    assert load_passport("nominal", tmp_path).pulses == sum(shot.total_pulses for shot in parts.left) == 96_000


def test_what_was_queued_and_never_left_is_taken_back(tmp_path: Path) -> None:
    parts = Silent()
    with bench(tmp_path, parts) as one:
        playing = one.play([probe_frame("test", SLOW, [900] * 10)])
        next(playing)
        playing.close()  # type: ignore[attr-defined]
        left = sum(shot.total_pulses for shot in parts.left)
        assert one.account.wear.pulses == left == 1_800
    assert load_passport("nominal", tmp_path).pulses == left


@pytest.mark.parametrize(
    ("limits", "pulses", "message"),
    [
        (
            {"endurance_pulses": 1_000},
            [[900], [200]],
            "has had 900 pulses and would get 200 more; .* 1,000",
        ),
        ({"endurance_resets": 2}, [[1, 1, 1]], "0 resets and would get 3 more"),
    ],
)
def test_a_frame_beyond_the_endurance_is_refused_before_it_is_played(
    tmp_path: Path, limits: dict[str, int], pulses: list[list[int]], message: str
) -> None:
    parts = Silent()
    played = (probe_frame("test", SlotTiming(), slots) for slots in pulses)
    with bench(tmp_path, parts, device(**limits)) as one, pytest.raises(LimitError, match=message):
        list(one.play(played))
    assert len(parts.left) == len(pulses) - 1
    assert load_passport("nominal", tmp_path).pulses == sum(shot.total_pulses for shot in parts.left)


def test_one_device_has_one_master(tmp_path: Path) -> None:
    with bench(tmp_path, Silent()), pytest.raises(BusyError, match=r"device nominal of .* is in use by bench 'mock'"):
        bench(tmp_path, Silent())
    bench(tmp_path, Silent()).__exit__()


def test_a_bench_that_cannot_open_lets_go_of_its_device(tmp_path: Path) -> None:
    class Broken(Silent):
        def prepare(self) -> None:
            raise CaptureError("broken")

    for _ in range(2):
        with pytest.raises(CaptureError):
            bench(tmp_path, Broken())


def test_an_old_passport_goes_on(tmp_path: Path) -> None:
    (tmp_path / "nominal.json").write_text('{"device": "nominal", "pulses": 50, "resets": 5, "in_hand": 20}')
    for _ in range(2):
        with Account(device(), tmp_path, "test") as account:
            assert (account.wear.pulses, account.wear.resets) == (70, 5)


def test_two_devices_of_one_id_are_told(tmp_path: Path) -> None:
    """They share a life: nothing else than what their files say can tell them apart."""
    ours, other = device(), device().model_copy(update={"description": "die 9"})
    with bench(tmp_path, Silent(), ours) as one:
        list(one.play([probe_frame("test", SLOW, [5])]))
    bench(tmp_path, Silent(), ours).__exit__()
    with pytest.warns(HilWarning, match=r"device 'nominal' was .* and is 'die 9' .*give one of them another id"):
        bench(tmp_path, Silent(), other).__exit__()
    bench(tmp_path, Silent(), other).__exit__()
    with pytest.warns(HilWarning, match=r"was 'die 9' .* and is .*another id"):
        bench(tmp_path, Silent(), ours).__exit__()
    assert load_passport("nominal", tmp_path).pulses == 5
