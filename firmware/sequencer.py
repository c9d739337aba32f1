# ruff: noqa: F821
# mypy: disable-error-code="name-defined, misc"
"""The slot sequencer: a PIO program that plays a shot with no CPU in the loop, and the words that DMA feeds to it.

One tick is one cycle of the state machine at 25 MHz, 40 ns: an integer divider of 125, 150, 200 and 250 MHz, so that
the divider adds no jitter (a fractional one adds a system clock cycle now and then), and 10 µs, 1 ms and 100 ms are
whole ticks. Dendrite, reset and sync are the side-set pins, three in a row, so that every instruction says what they
are; the selects are the out pins that follow.

A shot is one word, the pulse width, then five words a slot, then three words for the closing sync pulse. A shot that
follows another with the same width leaves its first word out: the machine has it, and takes the first slot's. With its
words there in time, it begins as long after the closing sync pulse as a slot settles, to the tick.

    W   width − 2                                 once
    0   select code << 16 | break − 2
    1   reset − 1 << 16 | guard − 6               reset − 1 = 0: the closing sync pulse, words 2 and 3 left out
    2   pulses << 16 | guard − 6
    3   period − width − 3
    4   settle − 5, or settle − 6 in a slot without pulses

Cycle budget, in ticks, of the phases in which the lines have a level (x: what the word holds). The numbers are those of
the instructions in `slots` below, in order:

    selects open, sync high   break  = 1 + (x + 1)              5 6        ≥ 2
    address closed            guard  = 3 + (x + 1) + 2          7-9 10 11 12   ≥ 6
    reset high                reset  = x + 1                    13         ≥ 2, for x = 0 closes the shot
    address closed            guard  = 2 + (x + 1) + 3          14 15 16 17-19   ≥ 6
    dendrite high             width  = 1 + (x + 1)              21 22      ≥ 2
    dendrite low              period − width = 1 + (x + 1) + 1  23 24 25   ≥ 3
    settle, to the next slot  settle = 2 + (x + 1) + 2          26-28 3 4  ≥ 5, one more without pulses (20)
    closing sync high         lead   = 1 + (x + 1) + 3 + (x + 1) + 2   5-12

28 of 32 instructions. No `pull` waits inside a slot as long as DMA keeps the joined 8-word FIFO filled: it moves a word
in some 4 system clock cycles, and the quickest slot takes 5 words in no less than 26 ticks (130 cycles).
"""

from array import array

import rp2

TICK_HZ = 25_000_000
LEAST_BREAK, LEAST_GUARD, LEAST_RESET, LEAST_WIDTH, LEAST_LOW, LEAST_SETTLE = 2, 6, 2, 2, 3, 6
MOST_HALF = 65535  # what half a word holds
MOST_TICKS = (1 << 30) - 1  # 43 s: of what a word holds, so that no sum exceeds 32 bits


def slots():
    """The PIO program; side is sync << 2 | reset << 1 | dendrite."""
    pull(block).side(0)  # 1  the width, kept in ISR for the whole shot
    mov(isr, osr).side(0)  # 2
    wrap_target()
    pull(block).side(0)  # 3  word 0; here the machine rests between shots, all lines low
    out(x, 16).side(0)  # 4
    mov(pins, null).side(4)  # 5  the slot begins: selects open, sync high
    label("break")
    jmp(x_dec, "break").side(4)  # 6
    out(pins, 16).side(4)  # 7  the address closes
    pull(block).side(4)  # 8  word 1
    out(x, 16).side(4)  # 9
    label("guard")
    jmp(x_dec, "guard").side(4)  # 10
    out(x, 16).side(4)  # 11
    jmp(not_x, "settle").side(4)  # 12  the closing sync pulse ends here
    label("reset")
    jmp(x_dec, "reset").side(6)  # 13
    pull(block).side(4)  # 14  word 2
    out(x, 16).side(4)  # 15
    label("guard2")
    jmp(x_dec, "guard2").side(4)  # 16
    out(y, 16).side(4)  # 17
    pull(block).side(4)  # 18  word 3 stays in OSR: the low time of every pulse
    jmp(y_dec, "pulse").side(4)  # 19
    jmp("settle").side(0)  # 20  no pulses
    label("pulse")
    mov(x, isr).side(1)  # 21
    label("high")
    jmp(x_dec, "high").side(1)  # 22
    mov(x, osr).side(0)  # 23
    label("low")
    jmp(x_dec, "low").side(0)  # 24
    jmp(y_dec, "pulse").side(0)  # 25
    label("settle")
    pull(block).side(0)  # 26  word 4
    mov(x, osr).side(0)  # 27
    label("rest")
    jmp(x_dec, "rest").side(0)  # 28
    wrap()


_programs = {}


def program(selects: int):
    """`slots` for so many select lines; assembled once for each number, which takes tens of milliseconds."""
    if selects not in _programs:
        _programs[selects] = _assembled(selects)
    return _programs[selects]


def _assembled(selects: int):
    low = rp2.PIO.OUT_LOW
    return rp2.asm_pio(
        out_init=(low,) * selects if selects else None,
        sideset_init=(low, low, low),
        out_shiftdir=rp2.PIO.SHIFT_RIGHT,
        fifo_join=rp2.PIO.JOIN_TX,
    )(slots)


class Timing:
    """Slot timing in ticks; `period` is the dendrite period, or in fixed mode the window that the pulses share."""

    def __init__(self, fixed: bool, break_: int, guard: int, reset: int, width: int, settle: int, period: int):
        self.fixed = fixed
        self.break_ = break_
        self.guard = guard
        self.reset = reset
        self.width = width
        self.settle = settle
        self.period = period

    @property
    def lead(self) -> int:
        """Ticks of sync high."""
        return self.break_ + 2 * self.guard + self.reset

    def faults(self) -> str:
        """What the program cannot play, or nothing."""
        for name, value, least, most in (
            ("break", self.break_, LEAST_BREAK, MOST_HALF + 2),
            ("guard", self.guard, LEAST_GUARD, MOST_HALF + 6),
            ("reset", self.reset, LEAST_RESET, MOST_HALF + 1),
            ("lead-break", self.lead - self.break_, 0, MOST_HALF + 6),
            ("width", self.width, LEAST_WIDTH, MOST_TICKS),
            ("settle", self.settle, LEAST_SETTLE, MOST_TICKS),
            ("period", self.period, 1 if self.fixed else self.width + LEAST_LOW, MOST_TICKS),
        ):
            if not least <= value <= most:
                return "%s=%d ticks: %d to %d" % (name, value, least, most)
        return ""


def open_words(words: "array[int]", at: int, timing: Timing) -> int:
    """Begin a shot; returns where its slots begin."""
    words[at] = timing.width - 2
    return at + 1


def slot_registers(timing: Timing) -> "tuple[int, ...]":
    """What `quick.expand` makes the words of a slot of."""
    guard = timing.guard - 6
    one = (timing.reset - 1) << 16 | guard
    return (timing.break_ - 2, one, guard, timing.period, timing.width, timing.settle, int(timing.fixed))


def close_words(words: "array[int]", at: int, timing: Timing) -> int:
    """The closing sync pulse, as long as a lead, and then what a slot has to settle; returns where the shot ends."""
    words[at] = timing.break_ - 2
    words[at + 1] = timing.lead - timing.break_ - 6
    words[at + 2] = timing.settle - 5
    return at + 3


def edges(taken: int, slots: int) -> int:
    """Edges of sync that a shot has made, or makes within two ticks, when so many of its words have been taken, the
    first, the width, not counted.
    """
    whole, some = divmod(taken, 5)
    if whole == slots and some == 3:  # the last of the closing pulse
        some = 4
    return 2 * whole + (0, 1, 1, 1, 2)[some]
