"""The DMA channels of the twin's RP2040: slot words to the sequencer, words of listening machines to memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivers.errors import TwinError
from drivers.mock.board import Board
from drivers.mock.pico.feed import Fed
from drivers.mock.pico.machines import Machines
from drivers.mock.pico.models import play_words

PIECE = 2048  # bytes of a FIFO's words that are fetched at a time: memory is short there
LATENCY_NS = 2_000


@dataclass
class Channel:
    """One DMA channel, and the machine it serves."""

    machine: int
    count: int
    plays: bool = False
    taken: int = 0
    request: int = 0
    on: bool = True
    words: bytes = b""
    given: int = 0  # words that the stand-in has fetched
    told: bool = True  # its end interrupts no more
    chain: int | None = None  # which channel starts when this has taken all
    fed: Fed | None = None  # of one that plays, once it has been started


class Dma:
    """All twelve; `on_play` is told that a shot begins. `now` is the time that the processor sees."""

    def __init__(
        self, board: Board, machines: Machines, now: Callable[[], int], stretch: float, on_play: Callable[[], None]
    ) -> None:
        self.channels: dict[int, Channel] = {}
        self._board = board
        self._machines = machines
        self._now = now
        self._stretch = stretch
        self._on_play = on_play

    # ---- to the sequencer ---------------------------------------------------------------------------------------

    def op_dma_play(self, channel: int, machine: int, request: int, trigger: bool, fifo: bytes) -> None:
        """Set up to feed a machine."""
        self.channels[channel] = Channel(machine, len(fifo) // 4, plays=True, request=request, on=False, words=fifo)
        if trigger:
            self.op_dma_start(channel)

    def op_dma_start(self, channel: int) -> None:
        """Start what was set up."""
        if channel not in self.channels:
            raise TwinError(f"DMA channel {channel} is started and has not been set up")
        it = self.channels[channel]
        it.on = True
        if it.plays:
            if self._board.clock() < self._machines.feed.end_ns:
                raise TwinError("the sequencer is fed by two channels at once: their words would be mixed")
            self._play(it, None)

    def _play(self, channel: Channel, start_ns: int | None) -> bool:
        """A shot, now or from a time on; False where that is past. Its first word goes to a machine without a width."""
        it, number, request = self._machines[channel.machine], channel.machine, channel.request
        if request != number // 4 * 8 + number % 4 or it.kind != "slots" or not it.on:
            raise TwinError(f"DMA request {request} feeds state machine {number}, which runs {it.kind!r}, on={it.on}")
        words = np.frombuffer(channel.words, dtype="<u4")
        width = [] if it.width is None else [it.width]
        shot = play_words(np.concatenate([width, words]).astype("<u4"))
        tick_ns = 1_000_000_000 // it.hz * self._stretch
        t_ns = np.round(shot.t * tick_ns).astype(np.int64)
        if start_ns is None:
            start_ns = self._board.play_next(LATENCY_NS, t_ns, shot.levels)
        elif not self._board.play_at(start_ns, t_ns, shot.levels):
            return False
        it.width = int(words[0]) if it.width is None else it.width
        taken = start_ns + np.round(shot.taken[len(width) :] * tick_ns).astype(np.int64)
        end, free = (start_ns + round(ticks * tick_ns) for ticks in (shot.end, shot.free))
        channel.fed = Fed(taken, end, free)
        self._machines.feed.add(channel.fed)
        self._on_play()
        return True

    # ---- from a machine that listens ----------------------------------------------------------------------------

    def op_dma_take(self, channel: int, machine: int, request: int, count: int, quiet: bool, trigger: bool) -> None:
        """Set up to take so many words."""
        if request != machine // 4 * 8 + 4 + machine % 4:
            raise TwinError(f"DMA request {request} is not the receive FIFO of state machine {machine}")
        self.channels[channel] = Channel(machine, count, on=trigger, told=quiet)

    def left(self, it: Channel) -> int:
        """How many words a channel has still to move; those that a machine has pushed go to the one that takes them."""
        if it.plays:
            return it.count if it.fed is None else self._machines.feed.left(it.fed, self._now())
        if it.on and it.taken < it.count:
            machine = self._machines[it.machine]
            self._machines.catch_up(machine)
            self._take(it)
            self._drop(it.machine)
        return it.count - it.taken

    def _take(self, it: Channel) -> None:
        rx = self._machines[it.machine].rx
        new = [rx.popleft() for _ in range(min(len(rx), it.count - it.taken))]
        it.taken += len(new)
        it.words += struct.pack(f"<{len(new)}I", *new)
        if it.taken == it.count and it.chain is not None:
            following = self.channels.get(it.chain)
            if following is None:
                raise TwinError(f"a DMA channel starts {it.chain}, which was aborted: it would go on there")
            following.on, it.chain = True, None
            self._take(following)

    def _drop(self, machine: int) -> None:
        takers = (it for it in self.channels.values() if it.machine == machine and not it.plays)
        if not any(it.on and it.taken < it.count for it in takers):
            self._machines.overflow(self._machines[machine])

    def op_rx_fifo(self, machine: int) -> int:
        """Words in a RX FIFO that no channel takes."""
        self._move(machine)
        return len(self._machines[machine].rx)

    def _move(self, machine: int) -> None:
        """What a machine has pushed by now goes to those that take it."""
        self._machines.catch_up(self._machines[machine])
        for channel in list(self.channels.values()):
            if channel.machine == machine and channel.on and not channel.plays:
                self._take(channel)
        self._drop(machine)

    # ---- both ---------------------------------------------------------------------------------------------------

    def op_dma_chain(self, channel: int, to: int) -> None:
        """Have another channel, which has been set up, start when this one, which is busy, has moved all its words.

        Of one that is not busy any more nothing follows. Where this twin is too late for what follows, it does not
        either, which on a Pico it would.
        """
        it, following = self.channels[channel], self.channels.get(to)
        if following is None or following.on or following.plays != it.plays:
            raise TwinError(f"DMA channel {channel} is chained to {to}, which has not been set up or has begun")
        if not self.left(it):
            return
        if it.plays:
            following.on = self._play(following, self._machines.feed.free_ns)
        else:
            it.chain = to

    def op_dma_abort(self, channel: int) -> None:
        """End it, and whatever it has moved by now stays where it is."""
        it = self.channels.get(channel)
        if it is not None and not it.plays:
            self._move(it.machine)
        self.channels.pop(channel, None)

    def op_dma_read(self, channel: int) -> int:
        """How far one that plays has read, in bytes."""
        it = self.channels[channel]
        return 4 * (it.count - self.left(it))

    def op_dma(self, channel: int) -> dict[str, Any]:
        """Whether it is busy, what is left, and words that it has taken since last asked."""
        it = self.channels.get(channel)
        if it is None:
            return {"busy": False, "left": 0, "at": 0, "more": False, "fifo": b""}
        left = self.left(it) if it.on else 0  # before it starts, the register has what the last transfer left
        new, it.words = (b"", it.words) if it.plays else (it.words[:PIECE], it.words[PIECE:])
        at, it.given = it.given, it.given + len(new) // 4
        return {"busy": left > 0, "left": left, "at": at, "more": not it.plays and bool(it.words), "fifo": new}
