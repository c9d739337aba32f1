# ruff: noqa: F821
# mypy: disable-error-code="name-defined, misc"
"""The axon counter and the edge stamper: PIO programs at the full system clock, whose words DMA takes away.

`axon_edges` counts axon pulses between edges of sync. Every edge of sync pushes one word, the count since the edge
before: first what came before the shot, then, by turns, the count of a lead (sync high; spikes here are strays) and of
a slot (sync low), and last the closing lead. A shot of n slots is 2 n + 2 words; fewer or more are an error, never a
wrong count: a lost or extra edge shifts all that follow, so the whole shot is refused.

An axon pulse counts once it has been high for `qualify` and re-arms once it has been low for as long: minimum width
and dead time are one number q (OSR). In system clock cycles:

    polling            4 a round while sync is low, 9 while it is high; 9 or 11 more when an edge is pushed
    minimum width      pulses shorter than 2 q + 2 never count, those of 2 q + 2 + 16 and more always do
    dead time          gaps of 2 q + 2 + 2 and more always re-arm, shorter than 2 q never do

At 125 MHz and 0.5 µs (q = 30) a train of one spike every 2 µs, high for 0.7 to 1.4 µs, is counted exactly. An edge of
sync that comes while an axon pulse is looked at is pushed when that has ended; ISR keeps the level of sync until then.

`stamps` pushes the time of every rising edge of its pin, in rounds of 3 cycles since it started: ~word is the number of
rounds. Two machines run it side by side, one on the axon and one on sync, started in the same cycle.
"""

import rp2

ROUND_CYCLES = 3  # of the stamper
SHOW_COUNT = (rp2.asm_pio_encode("mov(isr, invert(x))", 0), rp2.asm_pio_encode("push(noblock)", 0))


def axon_edges():
    """31 instructions: jmp pin is the axon, the first in pin is sync."""
    pull(block)  # q
    mov(x, invert(null))  # X counts down from all ones, so ~X is the count
    wrap_target()
    label("round")
    jmp(pin, "axon")
    label("poll")
    in_(pins, 1)  # ISR = what sync was << 1 | what it is
    mov(y, isr)
    jmp(not_y, "round")  # 00: low as before
    jmp(y_dec, "a")
    label("a")
    jmp(not_y, "rose")  # 01
    jmp(y_dec, "b")
    label("b")
    jmp(not_y, "fell")  # 10
    mov(isr, y)  # 11: high as before, and ISR holds just that
    jmp("round")
    label("rose")
    mov(isr, invert(x))
    push(noblock)
    set(y, 1)
    mov(isr, y)
    mov(x, invert(null))
    jmp("round")
    label("fell")
    mov(isr, invert(x))
    push(noblock)  # and ISR is 0
    mov(x, invert(null))
    jmp("round")
    label("axon")
    mov(y, osr)
    label("high")
    jmp(pin, "still")
    jmp("poll")  # too short
    label("still")
    jmp(y_dec, "high")
    jmp(x_dec, "falling")  # counted
    label("falling")
    mov(y, osr)
    label("low")
    jmp(pin, "falling")
    jmp(y_dec, "low")
    jmp("poll")
    wrap()


def stamps():
    """12 instructions; X counts down once in every 3 cycles, whatever the pin does."""
    mov(x, invert(null))
    wrap_target()
    label("low")
    jmp(x_dec, "look")
    label("look")
    jmp(pin, "rise")
    jmp("low")
    label("rise")
    mov(isr, x)
    jmp(x_dec, "stamp")
    label("stamp")
    push(noblock)
    nop()
    label("high")
    jmp(x_dec, "watch")
    label("watch")
    jmp(pin, "hold")
    jmp("low")
    label("hold")
    jmp("high")
    wrap()


def program(body):
    """One of the two, assembled."""
    return rp2.asm_pio(in_shiftdir=rp2.PIO.SHIFT_LEFT, fifo_join=rp2.PIO.JOIN_NONE)(body)


def qualify(nanoseconds: int, clock_hz: int) -> int:
    """Q for a minimum width, so that no shorter pulse counts: 2 q + 2 cycles or a little less."""
    return max(0, nanoseconds * (clock_hz // 1_000_000) // 2000 - 1)
