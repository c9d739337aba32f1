"""Lines over USB. Nothing here keeps the board from being looked after: what may have to wait for the host, an unread
reply or the rest of a payload, waits with `station.waiting` set, and meanwhile a timer looks after the board.
"""

import select
import sys

from protocol import MAX_LINE, promised

PACKET = 64  # of USB: what goes out at once
BULK = 256  # of a payload, half of what MicroPython keeps for us
GAP_MS = 200  # longest pause within a payload
STUCK_MS = 100  # longest wait for a host that does not read
AT_ONCE = 256  # characters before the board is looked after
HEAD_SPACES = 6  # in front of a payload
INTERRUPT, SPACE = 3, 32
ENDS = (10, 13, INTERRUPT)  # of a line, of the firmware


class Break(Exception):  # noqa: N818 (no error: somebody wants the REPL)
    """Ctrl-C came."""


class Port:
    """Standard input and output as lines.

    Input comes character by character, each asked for first. Only the payload of `data` is read in bulk, once its head
    has proved that so many characters follow; a host that goes away in the middle of one leaves the loop waiting: the
    timer parks the board, and then the chip's watchdog resets the chip.
    """

    def __init__(self, station):
        self.station = station
        self.stream = sys.stdin.buffer
        self.out = sys.stdout.buffer
        self.input = select.poll()
        self.input.register(sys.stdin, select.POLLIN)
        self.output = select.poll()
        self.output.register(sys.stdout, select.POLLOUT)
        self.line = memoryview(bytearray(MAX_LINE))
        self.size = 0
        self.spaces = 0
        self.too_long = False
        self.one = bytearray(1)
        self.carried = 0  # bytes in and out
        self.cut = False  # the last line out was not taken whole

    def ready(self, wait_ms: int = 0) -> bool:
        """Something can be read."""
        return bool(self.input.poll(wait_ms))

    def read(self, wait_ms: int) -> "bytes | None":
        """A line without its end, b"" for one that was too long, None when none has been completed yet.

        Raises Break for Ctrl-C, EOFError where input has ended.
        """
        one, line, poll, readinto = self.one, self.line, self.input.poll, self.stream.readinto
        for _ in range(AT_ONCE):
            if not poll(wait_ms):
                return None
            wait_ms = 0
            if not readinto(one):
                raise EOFError
            byte = one[0]
            if byte in ENDS:
                if byte == INTERRUPT:
                    raise Break
                if self.size:
                    return self._ended()
            elif self.size == MAX_LINE:
                self.too_long = True
            else:
                line[self.size] = byte
                self.size += 1
                if byte == SPACE:
                    self._head()
        return None

    def _head(self) -> None:
        """A word of a line has ended: is it the last in front of a payload?"""
        self.spaces += 1
        if self.spaces == HEAD_SPACES:
            self._bulk(promised(bytes(self.line[: self.size])))

    def _ended(self) -> bytes:
        line = b"" if self.too_long else bytes(self.line[: self.size])
        self.carried += self.size
        self.size, self.spaces, self.too_long = 0, 0, False
        return line

    def _bulk(self, left: int) -> None:
        left = min(left, MAX_LINE - self.size)
        while left > 0 and self.input.poll(GAP_MS):
            end = self.size + min(left, BULK)
            self.station.waiting = True
            got = self.stream.readinto(self.line[self.size : end])
            self.station.waiting = False
            if not got:
                return
            if INTERRUPT in bytes(self.line[self.size : self.size + got]):
                raise Break
            self.size += got
            left -= got

    def write(self, data: bytes) -> None:
        """Send a line; what a host does not read in time is dropped, and the line's checksum tells it."""
        self.carried += 3 * len(data)
        self.station.waiting = True
        if self.cut:
            self.cut = not self._send(b"\n")
        self.cut = self.cut or not self._send(data)
        self.station.waiting = False

    def _send(self, data: bytes) -> bool:
        view, at = memoryview(data), 0
        while at < len(data):
            sent = self.out.write(view[at : at + PACKET]) if self.output.poll(STUCK_MS) else 0
            if not sent:
                return False
            at += sent
        return True
