"""PIO programs run cycle by cycle in pioemu, with DMA that keeps the TX FIFO full and empties the RX FIFO."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pioemu import State, emulate


def run_sequencer(program: Any, words: Sequence[int], selects: int, *, most: int = 400_000) -> list[tuple[int, int]]:
    """Level changes of a shot: (cycle, levels), until the machine rests again with no word left."""
    changes: list[tuple[int, int]] = []
    last = 0
    for cycle, (before, after) in enumerate(_sequencer(program, words, selects)):
        assert cycle < most, "the sequencer does not come to rest"
        if after.pin_values != last:
            changes.append((before.clock, after.pin_values))
            last = after.pin_values
    return changes


def _sequencer(program: Any, words: Sequence[int], selects: int) -> Iterator[tuple[Any, Any]]:
    rest = program.wrap_target
    start = State(transmit_fifo=deque(words), pin_directions=(1 << 3 + selects) - 1)
    steps: Iterator[tuple[Any, Any]] = emulate(
        list(program.words),
        stop_when=lambda _, state: not state.transmit_fifo and state.program_counter == rest,
        initial_state=start,
        shift_osr_right=program.out_right,
        out_base=3,
        out_count=selects,
        side_set_base=0,
        side_set_count=program.side_count,
        wrap_target=program.wrap_target,
        wrap_top=program.wrap,
    )
    return steps


def taken_at(program: Any, words: Sequence[int], selects: int) -> list[int]:
    """The cycle in which each word is pulled."""
    pulled: list[int] = []
    for before, after in _sequencer(program, words, selects):
        pulled += [before.clock] * (len(before.transmit_fifo) - len(after.transmit_fifo))
    return pulled


def run_listener(program: Any, pins: Callable[[int], int], cycles: int, *words: int) -> tuple[list[int], Any]:
    """Words that a listening program pushes in so many cycles, and its state then.

    pins(cycle) has sync in bit 0 and the axon in bit 1; the jmp pin is the axon.
    """
    pins.__annotations__ = {"cycle": int}  # pioemu looks at the type, not at its name
    state = State(transmit_fifo=deque(words))
    pushed: list[int] = []
    while state.clock < cycles:
        for _, after in emulate(
            list(program.words),
            stop_when=lambda _, s: bool(s.receive_fifo) or s.clock >= cycles,
            initial_state=state,
            input_source=pins,
            shift_isr_right=not program.in_left,
            jmp_pin=1,
            wrap_target=program.wrap_target,
            wrap_top=program.wrap,
        ):
            state = after
        pushed.extend(state.receive_fifo)
        state = replace(state, receive_fifo=deque())
    return pushed, state
