"""Standard input and output as a Pico has them, and `select.poll` for them.

Reading n bytes blocks until n bytes are there. Writing blocks while the host does not read, half a second at most,
then gives up and says how much went (MicroPython 1.24: shared/tinyusb/mp_usbd_cdc.c). What may interrupt does so
meanwhile.
"""

import select
import time

from link import chip

POLLIN, POLLOUT = select.POLLIN, select.POLLOUT
GIVE_UP_MS = 500
CHUNK = 64


class Input:
    """`raw` is a stream of this machine."""

    def __init__(self, raw) -> None:
        self.raw = raw
        self.buffer = self
        self.one = bytearray(1)
        self.poller = chip.poller()
        self.poller.register(raw, POLLIN)

    def readinto(self, into) -> int:
        """Fill it; fewer bytes only where input has ended."""
        for i in range(len(into)):
            while not chip.wait(self.poller, -1):
                pass
            if not self.raw.readinto(self.one):
                return i
            into[i] = self.one[0]
        return len(into)

    def read(self, count: int) -> bytes:
        """So many bytes."""
        data = bytearray(count)
        return bytes(data[: self.readinto(data)])


class Output:
    """`raw` is a stream of this machine that does not block."""

    def __init__(self, raw) -> None:
        self.raw = raw
        self.buffer = self
        self.poller = chip.poller()
        self.poller.register(raw, POLLOUT)

    def write(self, data) -> int:
        """How many bytes the host took."""
        data = bytes(data)
        at, since = 0, time.ticks_ms()
        while at < len(data) and time.ticks_diff(time.ticks_ms(), since) < GIVE_UP_MS:
            sent = self._some(data[at : at + CHUNK])
            if sent:
                at, since = at + sent, time.ticks_ms()
            else:
                chip.wait(self.poller, 1)
        return at

    def _some(self, data: bytes) -> int:
        try:
            return self.raw.write(data) or 0
        except OSError:  # no room
            return 0


class poll:  # noqa: N801 (as in select)
    """Of one of the two."""

    def __init__(self) -> None:
        self.stream = None

    def register(self, stream, flags: int) -> None:
        """Once."""
        self.stream = stream
        self.flags = flags

    def poll(self, wait_ms: int = -1):
        """[(stream, flags)] when it is ready, [] when the time is up."""
        return [(self.stream, self.flags)] if chip.wait(self.stream.poller, wait_ms) else []
