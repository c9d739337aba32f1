"""What listens to the axon: the counter, and when asked the two stampers; DMA takes their words to memory."""

from array import array

import buffers
import counter
import machine
import registers
import rp2
from buffers import STAMPS


class Listener:
    """The counter lives in PIO 1. The stampers do too, in its place, while PIO 0 plays; else in PIO 0 beside it.

    Two channels take the counts of shots by turns: the second is made ready for the next shot before this one ends, and
    `chain` has it go on by itself. `on_counted` is what the interrupt calls when all words of a shot have come.
    """

    def __init__(self, clock_hz: int, on_counted):
        self.clock_hz = clock_hz
        self.spikes = buffers.spikes
        self.edges = counter.program(counter.axon_edges)
        self.stamper = counter.program(counter.stamps)
        self.held = [None, None]  # the program of ours in each PIO block
        self.counts = [rp2.DMA(), rp2.DMA()]
        self.chained = 0  # what the first of them is told to have the second follow
        self.times = [rp2.DMA(), rp2.DMA()]  # of spikes, of sync
        self.counter = rp2.StateMachine(4)
        self.counting = self.stamping = -1  # state machine in use, -1 for none
        self.spiking = False  # spikes are stamped, and not edges of sync alone
        for channel in self.counts:
            channel.irq(handler=on_counted, hard=True)

    def release(self, block: int) -> None:
        """Make room in a PIO block."""
        if self.held[block] is not None:
            rp2.PIO(block).remove_program(self.held[block])
            self.held[block] = None

    def hold(self, block: int, program) -> None:
        """Have one of our programs in a PIO block, alone: two do not fit."""
        if self.held[block] is not program:
            self.release(block)
            self.held[block] = program

    def stop(self) -> None:
        """No machine runs, no word is taken."""
        for channel in self.counts + self.times:
            channel.active(0)
        for number in (0, 1) if self.stamping == 0 else (4, 5):
            rp2.StateMachine(number).active(0)
        self.counter.active(0)
        self.counting = self.stamping = -1

    def count(self, axon: int, sync: int, qualify_ns: int, into: "array[int]", at: int, words: int) -> None:
        """Count axon pulses between edges of sync into memory, so many words."""
        self.hold(1, self.edges)
        self.counter.init(self.edges, in_base=machine.Pin(sync), jmp_pin=machine.Pin(axon))
        self.counter.put(counter.qualify(qualify_ns, self.clock_hz))
        self._take(self.counts[0], self.counter, 12, into, at, words)
        self.counter.active(1)
        self.counting = 4

    def prepare(self, into: "array[int]", at: int, words: int) -> None:
        """Get the other channel ready for the counts of the next shot, the counter going on."""
        self._take(self.counts[1], self.counter, 12, into, at, words, trigger=False)
        first, second = self.counts
        self.chained = first.pack_ctrl(size=2, inc_read=False, treq_sel=12, irq_quiet=False, chain_to=second.channel)

    def chain(self) -> None:
        """Have it start when all words of this shot have come. Takes no memory."""
        self.counts[0].ctrl = self.chained

    def swap(self) -> None:
        """What was prepared is what counts now."""
        self.counts = self.counts[::-1]

    def stamp(self, block: int, axon: "int | None", sync: int, into: "array[int]", at: int, words: int) -> None:
        """Stamp spikes into `spikes`, unless no axon is given, and rising edges of sync into memory, so many words."""
        self.hold(block, self.stamper)
        first = 4 * block
        for offset, pin in enumerate((axon, sync)):
            if pin is None:
                continue
            stamper = rp2.StateMachine(first + offset)
            stamper.init(self.stamper, jmp_pin=machine.Pin(pin))
            request = 8 * block + 4 + offset
            if offset == 0:
                self._take(self.times[0], stamper, request, self.spikes, 0, STAMPS)
            else:
                self._take(self.times[1], stamper, request, into, at, words)
        registers.start_machines(block, 2 if axon is None else 3)
        self.stamping = first
        self.spiking = axon is not None

    def _take(self, dma, source, request: int, into: "array[int]", at: int, words: int, trigger: bool = True) -> None:
        quiet = dma in self.times  # only the end of counting interrupts
        dma.config(
            read=source,
            write=memoryview(into)[at : at + words],
            count=words,
            ctrl=dma.pack_ctrl(size=2, inc_read=False, treq_sel=request, irq_quiet=quiet),
            trigger=trigger,
        )

    def counted(self) -> "tuple[int, int, int]":
        """Words that are missing, words too many, and the count since the last edge; ends the counting."""
        edges = self.counter
        edges.active(0)
        self.counts[1].active(0)  # whatever it waits for is not for it
        missing, extra = self.counts[0].count, edges.rx_fifo()
        after = 0
        if missing == 0 and extra == 0:
            for instruction in counter.SHOW_COUNT:
                edges.exec(instruction)
            after = edges.get()
        self.counts[0].active(0)
        self.counting = -1
        return missing, extra, after

    def stamped(self) -> "tuple[int, bool, int]":
        """Spikes stamped, whether there were more than there is room for, and sync edges missing; ends the stamping."""
        first = self.stamping
        for number in (first, first + 1):
            rp2.StateMachine(number).active(0)
        left = self.times[0].count if self.spiking else STAMPS
        over = left == 0 and rp2.StateMachine(first).rx_fifo() > 0
        missing = self.times[1].count
        for channel in self.times:
            channel.active(0)
        self.stamping = -1
        return STAMPS - left, over, missing
