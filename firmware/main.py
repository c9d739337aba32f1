"""The command loop: one line in, one line out; between lines the board is watched and the player goes on.

Ctrl-C (mpremote sends it) makes the board safe, stops the chip's watchdog and ends the loop; what follows is the REPL.
"""

import select
import sys

import machine
from commands import answer
from protocol import MAX_LINE, error, promised
from station import Station

HANG_MS = 2000  # the chip resets when the loop does not come round in this time
BULK = 64  # a USB packet
REST_MS, PLAY_MS = 20, 1
GAP_MS = 200  # longest pause within a payload
AT_ONCE = 256  # characters before the board is looked after
WATCHDOG = {"RP2040": 0x40058000, "RP2350": 0x400D8000}  # its CTRL register; +0x3000 clears bits; bit 30 enables


class Reader:
    """Lines from standard input.

    Character by character, each asked for first, so that no input keeps the loop from looking after the board. Only
    the payload of `data` is read in packets, once its head has proved that so many characters follow; a host that goes
    away in the middle of one leaves the chip's watchdog to reset the chip.
    """

    def __init__(self):
        self.stream = sys.stdin.buffer
        self.poller = select.poll()
        self.poller.register(sys.stdin, select.POLLIN)
        self.line = bytearray()
        self.too_long = False

    def read(self, wait_ms: int) -> "bytes | None":
        """A line without its end, b"" for one that was too long, None when none has been completed yet."""
        for _ in range(AT_ONCE):
            if not self.poller.poll(wait_ms):
                return None
            wait_ms = 0
            byte = self.stream.read(1)
            if not byte:
                raise EOFError
            if byte in b"\r\n":
                line, too_long = bytes(self.line), self.too_long
                self.line, self.too_long = bytearray(), False
                if line:
                    return b"" if too_long else line
            else:
                self._add(byte)
                if byte == b" ":
                    self._bulk(promised(bytes(self.line)))
        return None

    def _add(self, data: bytes) -> None:
        if len(self.line) + len(data) > MAX_LINE:
            self.too_long = True
        else:
            self.line.extend(data)

    def _bulk(self, left: int) -> None:
        while left > 0 and self.poller.poll(GAP_MS):
            packet = self.stream.read(min(left, BULK))
            if not packet:
                return
            self._add(packet)
            left -= len(packet)


def stop_watchdog() -> None:
    """So that the REPL lives; machine.WDT has no way to."""
    for chip, register in WATCHDOG.items():
        if chip in getattr(sys.implementation, "_machine", ""):
            machine.mem32[register + 0x3000] = 1 << 30


def run() -> None:
    """Serve until Ctrl-C."""
    station = Station()
    watchdog = machine.WDT(timeout=HANG_MS)
    reader = Reader()
    out = sys.stdout.buffer
    try:
        while True:
            watchdog.feed()
            station.watch()
            station.advance()
            station.show()
            line = reader.read(REST_MS if station.player.playing is None else PLAY_MS)
            if line is not None:
                out.write(
                    answer(station, line) if line else error(0, "syntax", "a line has %d bytes at most" % MAX_LINE)
                )
    except KeyboardInterrupt:
        stop_watchdog()  # after anything else it resets the chip, which boots safe
    finally:
        station.make_safe("repl")


if __name__ == "__main__":
    run()
