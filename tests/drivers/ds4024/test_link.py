"""The link's block reading against replies that are no blocks, and the single read that USB needs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from drivers.ds4024.link import Pace, ScopeLink
from drivers.errors import BenchError, ConnectionLostError
from drivers.mock.loopback import LoopbackServer

STILL = Pace(0, 0, 0, 0, 0, 0)


@contextmanager
def answering(reply: bytes) -> Iterator[ScopeLink]:
    """A link to somebody who answers every line with the same bytes."""

    def serve(sock: socket.socket) -> None:
        while sock.recv(4096):
            sock.sendall(reply)

    server = LoopbackServer(serve)
    try:
        with ScopeLink(f"TCPIP0::127.0.0.1::{server.port}::SOCKET", 1.0, STILL) as link:
            yield link
    finally:
        server.close()


@pytest.mark.wire
@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"READ,1400\n", "which begins no block"),
        (b"#0abc\n", "which begins no block"),
        (b"#9000000abc......\n", "announces a block"),
        (b"#9000009999" + b"x" * 9999 + b"\n", "announces a block of b'000009999' bytes, at most 1000"),
        (b"#9000000003abcd", "out of step"),
        (b"#9000000300abc\n", "does not answer :WAV:DATA?"),
    ],
)
def test_what_is_no_block_is_refused(reply: bytes, message: str) -> None:
    with answering(reply) as link, pytest.raises(ConnectionLostError, match=message.replace("?", r"\?")):
        link.block(":WAV:DATA?", 1000)


@pytest.mark.wire
@pytest.mark.parametrize("data", [b"", b"\n", b"\t\n \r\x0b\x0c", bytes(range(256)) * 3])
def test_bytes_that_look_like_white_space_stay_in_the_data(data: bytes) -> None:
    with answering(b"#9%09d" % len(data) + data + b"\n") as link:
        assert link.block(":WAV:DATA?", 1000) == data


@pytest.mark.wire
def test_a_text_where_a_number_belongs_is_an_error() -> None:
    with answering(b"AUTO\n") as link, pytest.raises(BenchError, match=r":ACQ:SRAT\? with 'AUTO', which is no number"):
        link.number(":ACQ:SRAT?")


def test_a_link_that_was_never_opened_says_so() -> None:
    with pytest.raises(ConnectionLostError, match=r"is not connected: \*IDN\? was not sent"):
        ScopeLink("TCPIP0::nowhere::INSTR", 1.0, STILL).ask("*IDN?")


class UsbSession:
    """As much of a USB session as a block needs; it refuses to be read in pieces."""

    def __init__(self, reply: bytes) -> None:
        self.reply, self.written, self.sizes = reply, list[str](), list[int]()

    def write(self, message: str) -> None:
        self.written.append(message)

    def read_raw(self, size: int) -> bytes:
        self.sizes.append(size)
        return self.reply


def test_on_usb_a_block_is_read_in_one_piece() -> None:
    link = ScopeLink("USB0::0x1AB1::0x04B1::DS4A000000001::INSTR", 1.0, STILL)
    session = UsbSession(b"#9000000004\n\r\t \n")
    link._session = session
    assert link.block(":WAV:DATA?", 1_000_000) == b"\n\r\t "
    assert session.written == [":WAV:DATA?"]
    assert session.sizes == [1_000_064]  # one request, larger than any block
    link._session = UsbSession(b"garbage")
    with pytest.raises(ConnectionLostError, match="begins no block"):
        link.block(":WAV:DATA?", 1_000_000)
