"""MicroPython's `micropython`, for CPython only: its viper functions run as they are, pointers being views of their
memory.
"""

import builtins

from link import chip


def kbd_intr(byte: int) -> None:
    """Which byte interrupts the program, -1 for none."""
    chip.ask("interrupt_byte", byte=byte)


def viper(function):
    """Compile to machine code; here, nothing."""
    return function


builtins.ptr8 = lambda block: memoryview(block).cast("B")  # type: ignore[attr-defined]
builtins.ptr32 = lambda block: memoryview(block).cast("B").cast("I")  # type: ignore[attr-defined]
