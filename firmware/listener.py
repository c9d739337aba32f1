"""What listens to the axon: the counter, and when asked the two stampers; DMA takes their words to memory."""

from array import array

import counter
import machine
import rp2

STAMPS = 4096  # spikes that can be time-stamped in one shot
PIO_BASE = 0x50200000  # PIO 0; PIO 1 is 0x100000 on; +0x2000 sets bits of CTRL (RP2040 data sheet, 2.1.2 and 3.7)


class Listener:
    """The counter lives in PIO 1. The stampers do too, in its place, while PIO 0 plays; else in PIO 0 beside it."""

    def __init__(self, clock_hz: int):
        self.clock_hz = clock_hz
        self.spikes = array("I", bytes(4 * STAMPS))
        self.edges = counter.program(counter.axon_edges)
        self.stamper = counter.program(counter.stamps)
        self.held = [None, None]  # the program of ours in each PIO block
        self.channels = [rp2.DMA(), rp2.DMA(), rp2.DMA()]  # counts, spike times, sync times
        self.counting = self.stamping = -1  # state machine in use, -1 for none

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
        for channel in self.channels:
            channel.active(0)
        for number in (0, 1) if self.stamping == 0 else (4, 5):
            rp2.StateMachine(number).active(0)
        rp2.StateMachine(4).active(0)
        self.counting = self.stamping = -1

    def count(self, axon: int, sync: int, qualify_ns: int, into: "array[int]", at: int, words: int) -> None:
        """Count axon pulses between edges of sync into memory, so many words."""
        self.hold(1, self.edges)
        edges = rp2.StateMachine(4)
        edges.init(self.edges, in_base=machine.Pin(sync), jmp_pin=machine.Pin(axon))
        edges.put(counter.qualify(qualify_ns, self.clock_hz))
        self._take(0, edges, 12, into, at, words)
        edges.active(1)
        self.counting = 4

    def stamp(self, block: int, axon: int, sync: int, into: "array[int]", at: int, words: int) -> None:
        """Stamp spikes into `spikes` and rising edges of sync into memory, so many words."""
        self.hold(block, self.stamper)
        first = 4 * block
        for offset, pin in enumerate((axon, sync)):
            stamper = rp2.StateMachine(first + offset)
            stamper.init(self.stamper, jmp_pin=machine.Pin(pin))
            request = 8 * block + 4 + offset
            if offset == 0:
                self._take(1, stamper, request, self.spikes, 0, STAMPS)
            else:
                self._take(2, stamper, request, into, at, words)
        machine.mem32[PIO_BASE + 0x100000 * block + 0x2000] = 3  # both in the same cycle
        self.stamping = first

    def _take(self, channel: int, source, request: int, into: "array[int]", at: int, words: int) -> None:
        dma = self.channels[channel]
        dma.config(
            read=source,
            write=memoryview(into)[at : at + words],
            count=words,
            ctrl=dma.pack_ctrl(size=2, inc_read=False, treq_sel=request),
            trigger=True,
        )

    def counted(self) -> "tuple[int, int, int]":
        """Words that are missing, words too many, and the count since the last edge; ends the counting."""
        edges = rp2.StateMachine(self.counting)
        edges.active(0)
        missing, extra = self.channels[0].count, edges.rx_fifo()
        after = 0
        if missing == 0 and extra == 0:
            for instruction in counter.SHOW_COUNT:
                edges.exec(instruction)
            after = edges.get()
        self.channels[0].active(0)
        self.counting = -1
        return missing, extra, after

    def stamped(self) -> "tuple[int, bool, int]":
        """Spikes stamped, whether there were more than there is room for, and sync edges missing; ends the stamping."""
        first = self.stamping
        for number in (first, first + 1):
            rp2.StateMachine(number).active(0)
        left = self.channels[1].count
        over = left == 0 and rp2.StateMachine(first).rx_fifo() > 0
        missing = self.channels[2].count
        for channel in self.channels[1:]:
            channel.active(0)
        self.stamping = -1
        return STAMPS - left, over, missing
