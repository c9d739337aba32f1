from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from drivers.device import load_device
from drivers.errors import InputError, TwinError
from drivers.mock.board import Board
from drivers.mock.physics.neuron import fire
from drivers.mock.roughness import LOGIC_V
from drivers.settings import BoardSettings

FOUR = BoardSettings(addresses=4)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


def slot(pulses: int, select: int) -> list[tuple[int, int]]:
    lead = [(0, 4), (2_000, 4 | select), (5_000, 6 | select), (10_000, 4 | select), (13_000, select)]
    train = [(13_000 + 10_000 * k + edge, select | (edge == 0)) for k in range(pulses) for edge in (0, 2_000)]
    return [*lead, *train]


def sequence(counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    events, start = [], 0
    for i, n in enumerate(counts):
        events += [(start + t, level) for t, level in slot(n, 8 << i % 4)]
        start += 21_000 + 10_000 * n
    events += [(start, 4), (start + 13_000, 0)]
    return np.array([t for t, _ in events]), np.array([level for _, level in events], dtype=np.uint32)


def playing(device: str, counts: list[int], **options: object) -> tuple[Board, Clock]:
    clock = Clock()
    board = Board(load_device(device), FOUR, clock=clock, **options)  # type: ignore[arg-type]
    board.set_threshold(0.7)
    t, levels = sequence(counts)
    board.play(1_000, t, levels)
    return board, clock


def test_ideal_answers_every_pulse_after_it_and_nothing_before() -> None:
    board, clock = playing("ideal", [3, 0, 5])
    clock.ns = board.busy_until_ns() + 1
    rise, fall = board.axon(0, clock.ns)
    assert len(rise) == 8
    assert (fall - rise == 2_000).all()
    assert board.axon(0, int(rise[3]))[0].tolist() == rise[:3].tolist()
    board.set_threshold(0.8)  # closes the segment in hand
    assert (board.pulses_total, board.resets_total) == (8, 3)


def test_looking_often_changes_nothing() -> None:
    board, clock = playing("nominal", [20] * 30)
    clock.ns = board.busy_until_ns() + 1
    whole = board.axon(0, clock.ns)[0]
    watched, clock = playing("nominal", [20] * 30)
    seen, last = [], 0
    for now in [*range(0, watched.busy_until_ns(), 7_777), watched.busy_until_ns() + 1]:
        clock.ns = now
        seen.append(watched.axon(last, now)[0])
        last = now
    assert len(whole) > 100
    assert np.concatenate(seen).tolist() == whole.tolist()


def test_what_was_worked_out_ahead_is_forgotten_where_the_queue_or_vth_changes() -> None:
    counts = [20] * 30
    halfway = sum(21_000 + 10_000 * n for n in counts[:15]) + 40_000

    def changed(look: bool, volts: float | None) -> list[int]:
        board, clock = playing("nominal", counts)
        if look:
            clock.ns = 300_000
            board.axon(0, clock.ns)
        clock.ns = halfway
        if volts is not None:
            board.set_threshold(volts)
        else:
            board.halt()
            t, levels = sequence([7] * 10)
            board.play(clock.ns + 20_000, t, levels)
        clock.ns = board.busy_until_ns() + 1
        return [int(at) for at in board.axon(0, clock.ns)[0]]

    for volts in (None, 0.9):
        assert changed(True, volts) == changed(False, volts)
    assert changed(True, 0.9) != changed(True, 0.7)


def test_what_is_worked_out_beside_counts_only_while_things_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """V_th changes while the neuron is worked out for the one before."""
    counts = [40] * 30
    board, clock = playing("nominal", counts)
    clock.ns = 2_000

    def interrupted(*args: object) -> object:
        monkeypatch.setattr("drivers.mock.physics.response.fire", fire)
        found = fire(*args)  # type: ignore[arg-type]
        board.set_threshold(0.5)
        return found

    monkeypatch.setattr("drivers.mock.physics.response.fire", interrupted)
    board.foresee()
    plain, other = playing("nominal", counts)
    other.ns = 2_000
    plain.set_threshold(0.5)
    clock.ns = other.ns = board.busy_until_ns() + 1
    found, wanted = board.axon(0, clock.ns), plain.axon(0, clock.ns)
    assert len(found[0]) == len(wanted[0]) > 300
    assert (found[0] == wanted[0]).all()


def test_halt_forgets_what_is_queued_and_leaves_the_lines() -> None:
    board, clock = playing("ideal", [3, 3])
    clock.ns = 1_000 + 13_000 + 1_000  # within the first dendrite pulse
    board.halt()
    assert board.levels() == 8 | 1
    board.write(1, high=False, at_ns=clock.ns + 1_000)
    clock.ns += 1_000_000
    assert board.levels() == 8
    assert len(board.axon(0, clock.ns)[0]) == 1


def test_probes_see_logic_levels_and_the_membrane() -> None:
    board, clock = playing("ideal", [2])
    clock.ns = board.busy_until_ns() + 1
    t = np.arange(0, clock.ns, 100)
    rise, _ = board.axon(0, clock.ns)
    for name in ("axon", "sync", "dendrite", "reset", "select0"):
        volts = board.volts(name, t)
        assert set(np.unique(volts)) == {0.0, LOGIC_V}
    membrane = board.volts("membrane", t)
    assert membrane.max() == pytest.approx(7e-6 * 40e3 * np.exp(1.5), rel=0.05)  # the axon ends its rise
    during = (board.volts("dendrite", t) > 0) | (board.volts("axon", t) > 0)
    assert membrane[np.roll(during, 15) & during].max() < 0.1  # grounded, after three node time constants
    fired = np.interp(rise - 1_300, t, membrane)  # the comparator's delay before the axon
    assert fired == pytest.approx(0.7, abs=0.15)
    with pytest.raises(InputError, match="no signal 'soma'"):
        board.volts("soma", t)


MISUSE: list[tuple[str, Callable[[], tuple[list[int], list[int]]]]] = [
    ("two select addresses are closed at once", lambda: ([0, 5_000], [8, 24])),
    ("make before break", lambda: ([0, 5_000], [8, 16])),
    ("before the last one has opened", lambda: ([0, 5_000, 5_100], [8, 0, 16])),
    ("no select address is closed", lambda: ([0, 2_000], [1, 0])),
    ("dendrite and reset are high together", lambda: ([0, 2_000], [8, 11])),
    ("not wired", lambda: ([0], [8 << 4])),
    ("dendrite pulse of 100 ns", lambda: ([0, 1_000, 1_100], [8, 9, 8])),
    ("gap between dendrite pulses of 200 ns", lambda: ([0, 1_000, 2_000, 2_200, 3_200], [8, 9, 8, 9, 8])),
    ("reset pulse of 500 ns", lambda: ([0, 1_000, 1_500], [8, 10, 8])),
]


@pytest.mark.parametrize(("message", "make"), MISUSE)
def test_misuse_raises(message: str, make: Callable[[], tuple[list[int], list[int]]]) -> None:
    t, levels = make()
    board = Board(load_device("ideal"), FOUR, clock=Clock())
    with pytest.raises(TwinError, match=message):
        board.play(0, np.array(t), np.array(levels, dtype=np.uint32))


def test_driving_lines_that_are_queued_raises() -> None:
    board, _ = playing("ideal", [3])
    t, levels = sequence([1])
    with pytest.raises(TwinError, match="while a queue runs"):
        board.play(5_000, t, levels)


@pytest.mark.parametrize(
    ("fault", "pulses_seen"), [("stuck_axon_low", 0), ("stuck_axon_high", 1), ("wrong_address", 6), ("", 8)]
)
def test_board_faults_show_at_the_axon_pin(fault: str, pulses_seen: int) -> None:
    board, clock = playing("ideal", [2, 2, 2, 2], faults=[fault] if fault else [])
    clock.ns = board.busy_until_ns() + 1
    assert len(board.axon(0, clock.ns)[0]) == pulses_seen


def test_swapped_missing_and_inverted_signals() -> None:
    def volts(signal: str, *faults: str) -> np.ndarray:
        board, clock = playing("ideal", [2, 2], faults=faults)
        clock.ns = board.busy_until_ns() + 1
        return np.asarray(board.volts(signal, np.arange(0, clock.ns, 200)))

    assert (volts("sync", "sync_missing") == 0).all()
    assert volts("axon", "sync_axon_swapped").tolist() == volts("sync").tolist()
    assert volts("axon", "inverted_comparator").tolist() == (LOGIC_V - volts("axon")).tolist()
    with pytest.raises(InputError, match="unknown board fault nonsense"):
        playing("ideal", [1], faults=["nonsense"])


def test_old_history_is_forgotten_and_asking_for_it_is_misuse() -> None:
    board, clock = playing("ideal", [2, 2])
    clock.ns = board.busy_until_ns() + 1
    assert len(board.axon(0, clock.ns)[0]) == 4
    t, levels = sequence([1])
    clock.ns += 200_000_000_000
    board.play(clock.ns, t, levels)
    clock.ns += 1_000_000
    assert len(board.axon(clock.ns - 1_000_000, clock.ns)[0]) == 1
    with pytest.raises(TwinError, match="has forgotten what was at 0 ns"):
        board.axon(0, clock.ns)
