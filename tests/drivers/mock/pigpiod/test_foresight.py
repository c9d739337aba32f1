from __future__ import annotations

import numpy as np
import pytest

from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.pigpiod.header import OUTPUT, Pins
from drivers.mock.roughness import roughness
from drivers.settings import BoardSettings, Wiring

WIRING = Wiring(dendrite=17, reset=27, sync=22, select=(9,))
AXON = 5
FREE = (18, 24)  # outputs with nothing on them
NS = 1_000
ON = {name: 1 << pin for name, pin in (("dendrite", 17), ("reset", 27), ("sync", 22), ("select", 9))}


class Clock:
    ns = 0

    def __call__(self) -> int:
        return self.ns


def slots(start_us: int, pulses: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A wave of slots: when it sets what and clears what."""
    rows: list[tuple[int, int, int]] = []
    at = start_us
    for count in pulses:
        rows += [(at, ON["sync"], ON["select"]), (at + 2, ON["select"], 0), (at + 5, ON["reset"], 0)]
        rows += [(at + 10, 0, ON["reset"]), (at + 13, 0, ON["sync"])]
        for k in range(count):
            rows += [(at + 14 + 10 * k, ON["dendrite"], 0), (at + 16 + 10 * k, 0, ON["dendrite"])]
        at += 24 + 10 * count
    t, on, off = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return t * NS, on, off


def header(*, foresight: bool, rough: float) -> tuple[Pins, Board, Clock]:
    clock = Clock()
    board = Board(load_device("nominal"), BoardSettings(addresses=1), clock=clock, rough=roughness(rough), seed=3)
    pins = Pins(board, WIRING, axon_pin=AXON)
    board.set_threshold(0.7)
    for line in WIRING.lines():
        pins.set_mode(line.pin, OUTPUT)
    for pin in FREE:
        pins.set_mode(pin, OUTPUT)
    if not foresight:
        pins._settled_ns = lambda at_ns: at_ns  # type: ignore[method-assign]
        pins._ahead._settled_ns = pins._settled_ns
    return pins, board, clock


def shown(pins: Pins, t0_ns: int, t1_ns: int) -> tuple[np.ndarray, np.ndarray]:
    return pins.seen(t0_ns, t1_ns).part(t0_ns, t1_ns)


def looked(*, foresight: bool, rough: float, step_us: int) -> list[tuple[int, int]]:
    """All that is seen of a queue that is added to, touched, stopped and begun again, looked at every so often."""
    pins, board, clock = header(foresight=foresight, rough=rough)
    rng = np.random.default_rng(7)
    deeds = {
        500: lambda: pins.play(*slots(600, rng.integers(0, 30, 12).tolist())),
        1_500: lambda: pins.play(*slots(5_000, rng.integers(0, 30, 12).tolist())),
        2_700: lambda: board.set_threshold(0.6),
        3_600: lambda: pins.set_pull(3, 0),
        6_200: lambda: pins.write(1 << FREE[1], 1, clock.ns),
        7_000: lambda: pins.halt(clock.ns),
        7_500: lambda: pins.write(sum(ON.values()), 0, clock.ns),
        8_000: lambda: pins.play(*slots(8_100, [40, 0, 3, 40])),
        8_400: lambda: pins.begin_train(FREE[0], 200 * NS, 50 * NS),
        9_000: lambda: pins.end_train(FREE[0]),
    }
    seen: list[tuple[int, int]] = []
    last_ns = 0

    def look(until_ns: int) -> None:
        nonlocal last_ns
        seen.extend(zip(*(part.tolist() for part in shown(pins, last_ns, until_ns)), strict=True))
        last_ns = until_ns

    for us in range(step_us, 11_000, step_us):
        for at in sorted(at for at in deeds if at <= us):
            clock.ns = at * NS
            look(at * NS - 1)
            deeds.pop(at)()
            if foresight:
                board.foresee()
        clock.ns = us * NS
        look(us * NS)
        if foresight:
            pins.foresee(us * NS, (us + 700) * NS)
        assert not seen or pins.seen_levels(us * NS) == seen[-1][1]
    board.misuse.take()
    return seen


@pytest.mark.parametrize("rough", [0.0, 1.0])
@pytest.mark.parametrize("step_us", [100, 1_000, 5_000])
def test_what_was_foreseen_is_what_is_seen(rough: float, step_us: int) -> None:
    """Whatever is done to the queue meanwhile."""
    found = looked(foresight=True, rough=rough, step_us=step_us)
    assert found == looked(foresight=False, rough=rough, step_us=step_us)
    assert len(found) > 500
    assert any(word >> AXON & 1 for _, word in found)


def test_a_settled_queue_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pins, board, clock = header(foresight=True, rough=0.0)
    pins.play(*slots(100, [20] * 40))
    asked = []
    work_out = pins._ahead._changes

    def noted(t0_ns: int, t1_ns: int) -> tuple[np.ndarray, np.ndarray]:
        asked.append((t0_ns, t1_ns))
        return work_out(t0_ns, t1_ns)

    monkeypatch.setattr(pins._ahead, "_changes", noted)
    for us in range(0, 8_000, 100):
        clock.ns = us * NS
        pins.seen(max(0, us - 100) * NS, us * NS)
        pins.foresee(us * NS, (us + 500) * NS)
    assert len(asked) <= 2
    board.misuse.take()


@pytest.mark.parametrize("foresight", [True, False])
def test_a_look_before_the_first_reset_after_a_rest_hides_no_spike(foresight: bool) -> None:
    """A neuron that has rested for long is worked out apart from what is queued."""
    pins, board, clock = header(foresight=foresight, rough=0.0)
    clock.ns = 5_000 * NS
    pins.seen(0, clock.ns)
    clock.ns += 1_000 * NS
    pins.seen(5_000 * NS, clock.ns)
    pins.play(*slots(6_010, [20] * 10))
    clock.ns = 6_012 * NS
    pins.seen(6_000 * NS, clock.ns)
    clock.ns = 7_000 * NS
    _, words = shown(pins, 6_012 * NS, clock.ns)
    assert (np.diff(words >> AXON & 1) == 1).sum() > 10
    board.misuse.take()


def test_what_is_seen_beforehand_of_a_queue_behind_a_rest_is_what_comes() -> None:
    """The look itself ends the rest, which is worked out apart; what is queued behind it follows all the same."""
    pins, board, clock = header(foresight=True, rough=0.0)
    clock.ns = 6_000 * NS  # long at rest, and nobody has looked
    pins.play(*slots(6_010, [20] * 10))
    ahead = board.past(clock.ns, 9_000 * NS).axon(clock.ns, 9_000 * NS)
    clock.ns = 12_000 * NS
    came = board.past(6_000 * NS, 9_000 * NS).axon(6_000 * NS, 9_000 * NS)
    assert len(ahead[0]) > 10
    assert ahead[0].tolist() == came[0].tolist()
    board.misuse.take()
