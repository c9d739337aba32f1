"""The emulated RP2040 in step with its clock: processor, PIO, DMA and what is wired to it, cycle by cycle.

rp2040py lets PIO catch up after every instruction of the processor, one instruction a machine, and after a sleep
writes the backlog off. Here nothing is ahead of anything: time goes from one event to the next, an event being an
instruction of the processor that has ended, a state machine that is due, or an alarm (DMA, the wires, USB, timers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CYCLE_NS = 8  # 125 MHz, which rp2040py's clock has whatever the PLL is set to
DMA_CYCLES = 4  # a word by DMA: request, read, write, and the request seen again; one in less would hide a dry FIFO
SYNCHRONISER_CYCLES = 2  # flip-flops between a pin and PIO (RP2040 data sheet 3.5.6.3)


class Lockstep:
    """Runs a rp2040py Simulator; takes the place of its batches of instructions."""

    def __init__(self, simulator: Any) -> None:
        self._simulator = simulator
        self._watch = _Watch(simulator)
        for channel in simulator.rp2040.dma.channels:
            channel.transfer_alarm = _AtLeast(channel.transfer_alarm, DMA_CYCLES * CYCLE_NS)

    def run(self) -> None:
        """Go on until the simulator is stopped, by an alarm; in rp2040py's way while no state machine is on."""
        while not self._simulator.stopped:
            if self._watch.machines_on():
                self._step()
            else:
                self._watch.let_run()

    def _step(self) -> None:
        simulator, chip, clock = self._simulator, self._simulator.rp2040, self._simulator.clock
        core, tick, execute = chip.core, clock.tick, chip.core.execute_instruction
        first, second, _ = chip.pio
        now = (second if first.stopped else first).cycle_fp  # in 1/256 of a cycle, as theirs
        while not (simulator.stopped or (first.stopped and second.stopped)):
            asleep = core.waiting
            left = max(1, -int(-clock.nanos_to_next_alarm // CYCLE_NS)) if asleep else execute()
            while left > 0:
                due = min(first.next_due_fp, second.next_due_fp)
                if due <= now:  # the processor has just switched it on
                    first.cycle_fp = second.cycle_fp = now
                    first.advance(0)
                    second.advance(0)
                    due = min(first.next_due_fp, second.next_due_fp)
                step = min(left, (due - now + 255) >> 8)
                if step > 1 and clock.has_scheduled_alarm:
                    step = max(1, min(step, -int(-clock.nanos_to_next_alarm // CYCLE_NS)))
                now += step << 8
                first.cycle_fp = second.cycle_fp = now
                tick(step * CYCLE_NS)
                if first.next_due_fp <= now:
                    first.advance(0)
                if second.next_due_fp <= now:
                    second.advance(0)
                left -= step
                if asleep and not core.waiting:
                    break


class _Watch:
    """Among the PIO blocks, which a batch of rp2040py asks after each instruction whether they are on: ends it then."""

    def __init__(self, simulator: Any) -> None:
        self._simulator = simulator
        self._first, self._second = simulator.rp2040.pio
        self.machines: tuple[()] = ()
        simulator.rp2040.pio.append(self)
        self._ended = False

    def machines_on(self) -> bool:
        return not (self._first.stopped and self._second.stopped)

    @property
    def stopped(self) -> bool:
        """Always so, as rp2040py sees it."""
        if not self._ended and self.machines_on():
            self._ended = self._simulator.stopped = True
        return True

    def let_run(self) -> None:
        """A batch."""
        self._ended = False
        self._simulator._execute_batch()
        if self._ended:
            self._simulator.stopped = False


class _AtLeast:
    """An alarm that takes some time at least."""

    def __init__(self, alarm: Any, least_ns: float) -> None:
        self._alarm, self._least_ns = alarm, least_ns

    def schedule(self, delay_ns: float) -> None:
        self._alarm.schedule(max(delay_ns, self._least_ns))

    def cancel(self) -> None:
        self._alarm.cancel()


class Wire:
    """From an output of the chip to an input: levels come through after the synchroniser."""

    def __init__(self, clock: Any, arrives: Callable[[bool], None]) -> None:
        self._levels: list[bool] = []
        self._arrives = arrives
        self._alarms = [clock.create_alarm(self._next) for _ in range(SYNCHRONISER_CYCLES + 1)]
        self._at = 0

    def set(self, level: bool) -> None:
        """A level goes in."""
        self._levels.append(level)
        self._alarms[self._at].schedule(SYNCHRONISER_CYCLES * CYCLE_NS)
        self._at = (self._at + 1) % len(self._alarms)

    def _next(self) -> None:
        self._arrives(self._levels.pop(0))
