"""What `machine` has no word for, by address (RP2040 data sheet 2.1.2, 3.7 and 4.7; RP2350 data sheet 2.2 and 12.9)."""

import sys

import machine

PIO_BASE = 0x50200000  # PIO 0; PIO 1 is 0x100000 on; +0x2000 sets bits of CTRL
WATCHDOG = {"RP2040": 0x40058000, "RP2350": 0x400D8000}
REASON, CLEAR = 8, 0x3000  # offsets: why the last reset; writing there clears bits
TIMER, ENABLE = 1, 1 << 30  # of REASON: its time was up, not asked for; of CTRL


def _watchdog() -> int:
    """Address of the watchdog's CTRL register, 0 on a chip that is not known."""
    for chip, address in WATCHDOG.items():
        if chip in getattr(sys.implementation, "_machine", ""):
            return address
    return 0


def stop_watchdog() -> None:
    """So that the REPL lives; machine.WDT has no way to."""
    address = _watchdog()
    if address:
        machine.mem32[address + CLEAR] = ENABLE


def hung() -> bool:
    """The chip began because its watchdog's time was up; machine.reset() uses the watchdog too, and is none."""
    address = _watchdog()
    return machine.reset_cause() == machine.WDT_RESET and bool(address and machine.mem32[address + REASON] & TIMER)


def start_machines(block: int, mask: int) -> None:
    """Switch state machines of a PIO block on in the same cycle."""
    machine.mem32[PIO_BASE + 0x100000 * block + 0x2000] = mask
