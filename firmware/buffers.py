"""The large blocks of memory. `main` imports this first: on an empty heap each finds its place in one piece, and what
compiling the rest leaves behind cannot scatter them.

`array("I", range(n))` takes its memory once; `array("I", bytes(n))` would take it twice. README.md has the budget.
"""

import gc
from array import array

BANKS = 2
WORDS_A_SLOT = 5  # of the sequencer
WORDS_A_SHOT = 4  # the width and the closing sync pulse
STAMPS = 4096  # spikes that can be time-stamped in one shot
RUN_WORDS = 2400  # more than a line can hold
ROOMY, FRUGAL = 2048, 1024  # played slots a bank
ROOMY_FREE = 236_000  # bytes free before anything is imported: see README.md for what each board and version has


def slots_a_bank(free_bytes: int) -> int:
    """Played slots that a bank holds, by what the heap has before the firmware is on it."""
    return ROOMY if free_bytes >= ROOMY_FREE else FRUGAL


def free_bytes() -> int:
    """Free memory after a collection; very much where nobody counts it."""
    gc.collect()
    return gc.mem_free() if hasattr(gc, "mem_free") else 1 << 30


BANK_SLOTS = slots_a_bank(free_bytes())
BANK_WORDS = BANK_SLOTS * WORDS_A_SLOT + WORDS_A_SHOT
BANK_SEEN = 2 * BANK_SLOTS + 2

words = array("I", range(BANKS * BANK_WORDS))  # what the sequencer plays
seen = array("I", range(BANKS * BANK_SEEN))  # what the counter counted
spikes = array("I", range(STAMPS))  # when spikes came
runs = bytearray(4 * RUN_WORDS)  # words that a line is unpacked to; and bytes that counts are packed to


def plug() -> "tuple | None":
    """Fill the gaps in front of the large blocks, once, with what is returned.

    After every collection MicroPython looks for room from the heap's beginning on, and goes through the large blocks
    anew, 0.7 ms, for everything that takes more than 16 bytes, until something that takes just 16 has found its place
    behind them (py/gc.c: gc_last_free_atb_index). With no gap in front, one tuple of one is enough; the loop makes one
    where it matters.
    """
    if not hasattr(gc, "mem_free"):
        return None
    from uctypes import addressof

    gc.collect()
    end = max([addressof(block) for block in (words, seen, spikes, runs)])
    filled = None
    while id(filled) < end:
        filled = (filled,)
    return filled
