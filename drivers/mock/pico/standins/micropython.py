"""MicroPython's `micropython`, for CPython only: its viper functions run as they are, pointers being their arrays."""

import builtins


def viper(function):
    """Compile to machine code; here, nothing."""
    return function


builtins.ptr8 = builtins.ptr32 = lambda array: array  # type: ignore[attr-defined]
