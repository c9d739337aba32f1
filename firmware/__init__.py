"""MicroPython firmware for the Raspberry Pi Pico; importable by CPython where it is pure."""
