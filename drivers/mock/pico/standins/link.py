"""The wire from a stand-in to the simulated chip, over a loopback socket; and what interrupts the firmware.

One JSON line there, one back; words for or from a FIFO follow their line as they are, `bytes` long. The chip may also
say that something has interrupted: then the handler is called before the firmware goes on, as soon as it asks for
anything or waits. Timers run while the firmware waits, as those of MicroPython do between two bytecodes.
"""

import json
import os
import select
import socket
import time

SLICE_MS = 20  # longest wait without a look at the timers
PIECE_WORDS = 256


class Link:
    """Connects when first used, so that programs can be assembled without a chip."""

    def __init__(self) -> None:
        self.port = int(os.getenv("HIL_PICO_LINK") or 0)
        self.stream = None
        self.socket = None
        self.handlers = {}  # ("pin", number) or ("dma", channel): what to call
        self.timers = []
        self.interrupts = []  # told and not handled yet
        self.busy = False  # in a handler
        self.masked = False  # interrupts are off

    def ask(self, op: str, fifo: "memoryview | None" = None, **values: object):
        """The chip's answer; raises OSError or ValueError where the chip's modules would, RuntimeError where the twin
        refuses.
        """
        if self.stream is None:
            self.connect()
        values["op"] = op
        if fifo is not None:
            values["bytes"] = 4 * len(fifo)
        self.stream.write((json.dumps(values) + "\n").encode())
        if fifo is not None:
            self._send(fifo)
        answer = self._line()
        while "interrupt" in answer:
            self.interrupts.append(answer["interrupt"])
            answer = self._line()
        if "bytes" in answer:
            answer["value"]["fifo"] = self._receive(answer["bytes"])
        self.handle()
        if "errno" in answer:
            raise OSError(answer["errno"])
        if "bad_value" in answer:
            raise ValueError(answer["bad_value"])
        if "refused" in answer:
            raise RuntimeError(answer["refused"])
        return answer.get("value")

    def handle(self) -> None:
        """Call the handlers of what has interrupted; one does not interrupt another."""
        while self.interrupts and not (self.busy or self.masked):
            what, number = self.interrupts.pop(0)
            handler = self.handlers.get((what, number))
            if handler is not None:
                self.busy = True
                try:
                    handler()
                finally:
                    self.busy = False

    def wait(self, poller, wait_ms: int):
        """What `poller`, which has the socket too, finds within the time; timers and interrupts go on meanwhile."""
        until = time.ticks_ms() + wait_ms
        while True:
            left = until - time.ticks_ms() if wait_ms >= 0 else SLICE_MS
            found = poller.poll(max(0, min([left, SLICE_MS] + [timer.left() for timer in self.timers])))
            told = [event for event in found if self._is_ours(event[0])]
            for _ in told:
                self.interrupts.append(self._line()["interrupt"])
                self.handle()
            for timer in self.timers:
                timer.run()
            if len(found) > len(told) or (wait_ms >= 0 and until - time.ticks_ms() <= 0):
                return [event for event in found if not self._is_ours(event[0])]

    def poller(self):
        """One for `wait`."""
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        return poller

    def _is_ours(self, found) -> bool:
        return found is self.socket or found == self.number

    def _line(self):
        line = self.stream.readline()
        if not line:
            raise SystemExit  # the twin has been closed
        return json.loads(line)

    def _send(self, words: memoryview) -> None:
        """In pieces: memory is short here too."""
        for at in range(0, len(words), PIECE_WORDS):
            data = bytes(words[at : at + PIECE_WORDS])
            while data:
                data = data[self.stream.write(data) :]

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += self.stream.read(count - len(data))
        return data

    def connect(self) -> None:
        """Once."""
        s = socket.socket()
        s.connect(socket.getaddrinfo("127.0.0.1", self.port)[0][-1])
        s.setsockopt(6, 1, 1)  # TCP_NODELAY
        self.socket = s
        self.number = s.fileno()
        self.stream = s.makefile("rwb", 0) if hasattr(s, "makefile") else s


chip = Link()
