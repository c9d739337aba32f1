"""The wire from a stand-in to the simulated chip, over a loopback socket.

One JSON line there, one back; words for or from a FIFO follow their line as they are, `bytes` long.
"""

import json
import os
import socket


class Link:
    """Connects when first used, so that programs can be assembled without a chip."""

    def __init__(self) -> None:
        self.stream = None

    def ask(self, op: str, fifo: "bytes | None" = None, **values: object):
        """The chip's answer; raises OSError where a peripheral would, RuntimeError where the twin refuses."""
        if self.stream is None:
            self.stream = self._connect()
        values["op"] = op
        if fifo is not None:
            values["bytes"] = len(fifo)
        self.stream.write((json.dumps(values) + "\n").encode())
        if fifo is not None:
            self._send(fifo)
        line = self.stream.readline()
        if not line:
            raise SystemExit  # the twin has been closed
        answer = json.loads(line)
        if "errno" in answer:
            raise OSError(answer["errno"])
        if "refused" in answer:
            raise RuntimeError(answer["refused"])
        if "bytes" in answer:
            answer["value"]["fifo"] = self._receive(answer["bytes"])
        return answer.get("value")

    def _send(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            at += self.stream.write(data[at:])

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += self.stream.read(count - len(data))
        return data

    def _connect(self):
        port = int(os.getenv("HIL_PICO_LINK") or 0)
        s = socket.socket()
        s.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        s.setsockopt(6, 1, 1)  # TCP_NODELAY
        return s.makefile("rwb", 0) if hasattr(s, "makefile") else s


chip = Link()
