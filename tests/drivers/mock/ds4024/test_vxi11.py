"""The VXI-11 and raw-socket front ends, from outside: records as bytes, and PyVISA as anybody uses it."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from drivers.errors import TwinError
from drivers.mock.ds4024.rpc import opaque, words
from drivers.mock.ds4024.server import Reached, ScopeServer
from tests.drivers.mock.ds4024.test_instrument import Pulses

pytestmark = pytest.mark.wire


@pytest.fixture
def server() -> Iterator[ScopeServer]:
    with ScopeServer(Pulses()) as running:
        yield running


class Caller:
    """An RPC client of a few lines."""

    def __init__(self, server: ScopeServer, port: int = 0) -> None:
        port = port or int(server.vxi11_resource.partition(",")[2].partition(":")[0])
        self.abort_port = 0
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.xid = 0

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    def send(self, record: bytes, fragments: int = 1) -> None:
        size = -(-len(record) // fragments)
        for k in range(fragments):
            piece = record[k * size : (k + 1) * size]
            last = 0x8000_0000 if k == fragments - 1 else 0
            self.sock.sendall(struct.pack(">I", last | len(piece)) + piece)

    def call(
        self, procedure: int, body: bytes, *, program: int = 0x0607AF, version: int = 1, fragments: int = 1
    ) -> bytes:
        """The reply after its xid."""
        self.xid += 1
        header = words(self.xid, 0, 2, program, version, procedure, 0, 0, 0, 0)
        self.send(header + body, fragments)
        (mark,) = struct.unpack(">I", self.exactly(4))
        reply = self.exactly(mark & 0x7FFF_FFFF)
        assert struct.unpack(">I", reply[:4]) == (self.xid,)
        return reply[4:]

    def done(self, procedure: int, body: bytes, fragments: int = 1) -> tuple[int, ...]:
        """The result's words of an accepted call."""
        reply = self.call(procedure, body, fragments=fragments)
        assert reply[:20] == words(1, 0, 0, 0, 0)
        result = reply[20:]
        return struct.unpack(f">{len(result) // 4}I", result)

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            assert piece, "the server closed"
            data += piece
        return data

    def link(self) -> int:
        error, link, self.abort_port, most = self.done(10, words(1, 0, 0) + opaque(b"inst0"))
        assert (error, most) == (0, 1 << 20)
        return link

    def write(self, link: int, data: bytes, flags: int = 8) -> tuple[int, ...]:
        return self.done(11, words(link, 1000, 1000, flags) + opaque(data))

    def read(self, link: int, size: int, flags: int = 0, char: int = 0, timeout_ms: int = 50) -> tuple[int, int, bytes]:
        reply = self.call(12, words(link, size, timeout_ms, 1000, flags, char))
        error, reason, count = struct.unpack(">3I", reply[20:32])
        return error, reason, reply[32 : 32 + count]


def test_a_write_without_end_is_continued_and_a_reply_read_in_parts(server: ScopeServer) -> None:
    with Caller(server) as caller:
        link = caller.link()
        assert caller.write(link, b"*ID", flags=0) == (0, 3)
        assert caller.write(link, b"N?\n") == (0, 3)
        assert caller.read(link, 5) == (0, 1, b"RIGOL")
        error, reason, rest = caller.read(link, 1000)
        assert (error, reason) == (0, 4)
        assert rest.endswith(b",00.02.03\n")


def test_a_reply_ends_at_the_term_char_when_asked_to(server: ScopeServer) -> None:
    with Caller(server) as caller:
        link = caller.link()
        caller.write(link, b"*IDN?")
        assert caller.read(link, 1000, flags=128, char=ord(",")) == (0, 2, b"RIGOL TECHNOLOGIES,")
        assert caller.read(link, 7) == (0, 1, b"DS4024,")


def test_nothing_to_say_is_a_timeout(server: ScopeServer) -> None:
    with Caller(server) as caller:
        link = caller.link()
        assert caller.read(link, 10, timeout_ms=1) == (15, 0, b"")
        caller.write(link, b":FOO?")
        assert caller.read(link, 10, timeout_ms=1)[0] == 15


def test_a_new_message_discards_the_reply_to_the_last(server: ScopeServer) -> None:
    with Caller(server) as caller:
        link = caller.link()
        caller.write(link, b"*IDN?")
        caller.write(link, b"*OPC?")
        assert caller.read(link, 100) == (0, 4, b"1\n")


def test_fragments_are_put_together(server: ScopeServer) -> None:
    with Caller(server) as caller:
        link = caller.link()
        assert caller.done(11, words(link, 0, 0, 8) + opaque(b"*OPC?"), fragments=5) == (0, 5)
        assert caller.read(link, 100)[2] == b"1\n"


@pytest.mark.parametrize(("procedure", "beside"), [(14, 0), (16, 0), (17, 0), (22, 1)])
def test_procedures_that_are_not_offered_say_so(server: ScopeServer, procedure: int, beside: int) -> None:
    with Caller(server) as caller:
        link = caller.link()
        assert caller.done(procedure, words(link, 0, 0, 0)) == (8, *[0] * beside)
        assert caller.done(procedure, words(link + 1, 0, 0, 0)) == (4, *[0] * beside)


def test_there_is_no_interrupt_channel(server: ScopeServer) -> None:
    """Rules B.6.83, B.6.87, B.6.92 and B.6.93."""
    with Caller(server) as caller:
        here = 0x7F000001, 1024
        assert caller.done(25, words(*here, 0x0607B1, 1, 0)) == (6,)
        assert caller.done(25, words(*here, 0x0607B0, 1, 0)) == (8,)
        assert caller.done(26, b"") == (6,)
        link = caller.link()
        assert caller.done(20, words(link, 1) + opaque(b"mine")) == (0,)
        assert caller.done(20, words(link + 1, 1) + opaque(b"mine")) == (4,)


def test_what_is_too_long_empty_or_asks_for_nothing(server: ScopeServer) -> None:
    """Rule B.6.16, observation B.6.6 and rule B.6.23."""
    with Caller(server) as caller:
        link = caller.link()
        assert caller.write(link, bytes((1 << 20) + 1)) == (5, 0)
        caller.write(link, b"*IDN?")
        assert caller.write(link, b"") == (0, 0)
        assert caller.read(link, 0, timeout_ms=30_000) == (0, 1, b"")
        assert caller.read(link, 5) == (0, 1, b"RIGOL")


def test_status_clear_and_destroy(server: ScopeServer) -> None:
    with Caller(server) as caller:
        link = caller.link()
        caller.write(link, b":NONSENSE")
        assert caller.done(13, words(link, 0, 0, 0)) == (0, 4)
        caller.write(link, b"*IDN?")
        assert caller.done(15, words(link, 0, 0, 0)) == (0,)
        assert caller.read(link, 10, timeout_ms=1)[0] == 15  # the reply was cleared
        assert caller.done(23, words(link)) == (0,)
        assert caller.write(link, b"*IDN?")[0] == 4  # no such link any more


def test_foreign_programs_versions_and_arguments_are_refused(server: ScopeServer) -> None:
    with Caller(server) as caller:
        assert caller.call(0, b"", program=100_000)[16:] == words(1)
        assert caller.call(0, b"", version=7)[16:] == words(2, 1, 1)
        assert caller.call(99, b"")[16:] == words(3)
        assert caller.call(11, words(1))[16:] == words(0, 4, 0)  # Device_WriteResp: error, size
        assert caller.call(10, words(1, 0, 0, 999) + b"short")[16:] == words(4)
        assert caller.call(0, b"")[16:] == words(0)


def test_the_servers_listen_on_loopback_only(server: ScopeServer) -> None:
    for front in (server._vxi11, server._socket):
        assert front._server._server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("transport", ["vxi11_resource", "socket_resource"])
def test_anybodys_pyvisa_program_works(server: ScopeServer, transport: str) -> None:
    """The reading style of QCoDeS' driver: POINts, RESet, BEGin, query_binary_values."""
    import pyvisa

    scope = pyvisa.ResourceManager("@py").open_resource(
        getattr(server, transport), open_timeout=5000, read_termination="\n", write_termination="\n"
    )
    try:
        assert scope.query("*IDN?") == "RIGOL TECHNOLOGIES,DS4024,DS4A000000001,00.02.03"
        scope.write(":TIM:SCAL 1e-4")
        scope.write(":TRIG:EDG:SOUR CHAN2")
        scope.write(":TRIG:EDG:LEV 1.65")
        scope.write(":ACQ:MDEP 14000")
        scope.write(":SING")
        assert scope.query("*OPC?") == "1"
        source = server.instrument._probes.source
        assert isinstance(source, Pulses)
        source.now_ns += 20_000_000
        assert scope.query(":TRIG:STAT?") == "STOP"
        for command in (":WAV:SOUR CHAN1", ":WAV:MODE RAW", ":WAV:STAR 1", ":WAV:STOP 14000", ":WAV:POIN 14000"):
            scope.write(command)
        scope.write(":WAV:RES")
        scope.write(":WAV:BEG")
        assert scope.query(":WAV:STAT?") == "IDLE,14000"
        codes = scope.query_binary_values(":WAV:DATA?", datatype="B")
        scope.write(":WAV:END")
        assert len(codes) == 14_000
        assert max(codes) - min(codes) > 90  # 3.3 V at 1 V/div
    finally:
        scope.close()


def test_leaving_the_server_tells_of_misuse() -> None:
    def misuse() -> None:
        with ScopeServer(Pulses()) as server, Caller(server) as caller:
            link = caller.link()
            caller.write(link, b":TRIG:MODE RUNT")
            assert caller.write(link, b":SING")[0] == 0  # and the instrument goes on
            caller.write(link, b"*OPC?")
            assert caller.read(link, 100)[2] == b"1\n"

    with pytest.raises(TwinError, match="edges only"):
        misuse()


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="profile 'warp' is not one of: fast, realistic"):
        ScopeServer(Pulses(), profile="warp")


def test_links_of_clients_that_have_gone_are_freed(server: ScopeServer) -> None:
    links = server._vxi11._links
    for _ in range(80):  # more than there may be at a time
        caller = Caller(server)
        caller.link()
        caller.sock.close()
        wait_until(lambda: not links)


def test_links_run_out_and_buffers_are_bounded(server: ScopeServer) -> None:
    with Caller(server) as caller:
        made = [caller.done(10, words(1, 0, 0) + opaque(b"inst0")) for _ in range(65)]
        assert [error for error, *_ in made] == [0] * 64 + [9]
        link = made[0][1]
        assert [caller.write(link, bytes(1 << 20), flags=0)[0] for _ in range(3)] == [0, 0, 9]
        caller.sock.sendall(struct.pack(">I", 0xFFFF_FFFF))  # a record of 2 GiB
        assert caller.sock.recv(1) == b""


def test_a_line_without_end_overruns_the_raw_sockets_buffer(server: ScopeServer) -> None:
    port = int(server.socket_resource.split("::")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(b"*" * 200_000)
        sock.sendall(b"\n*ESR?\n")
        assert int(sock.recv(100)) & 8  # device-dependent error: -363


def wait_until(done: Callable[[], bool]) -> None:
    while not done():
        time.sleep(0.001)


def test_nobody_uses_or_ends_the_link_of_another_connection(server: ScopeServer) -> None:
    with Caller(server) as one, Caller(server) as other:
        link = one.link()
        for procedure in (11, 12, 13, 15, 18, 19, 23):
            assert other.done(procedure, words(link, 0, 0, 0, 0, 0))[0] == 4
        one.write(link, b"*IDN?")
        assert one.read(link, 1000)[2].startswith(b"RIGOL")


LOCK, UNLOCK, WAIT = 18, 19, 1
LOCKED, NOT_HELD, ABORTED, TIMED_OUT, NO_LINK = 11, 12, 23, 15, 4


def test_while_a_link_holds_the_lock_others_are_refused(server: ScopeServer) -> None:
    with Caller(server) as one, Caller(server) as other:
        ours, theirs = one.link(), other.link()
        assert other.done(UNLOCK, words(theirs)) == (NOT_HELD,)
        assert one.done(LOCK, words(ours, 0, 0)) == (0,)
        assert one.done(LOCK, words(ours, WAIT, 0xFFFF_FFFF)) == (LOCKED,)  # not twice, and not after a wait: B.6.72
        assert other.done(LOCK, words(theirs, 0, 0)) == (LOCKED,)
        assert other.done(LOCK, words(theirs, WAIT, 20)) == (LOCKED,)
        assert other.done(11, words(theirs, 1000, 0, 8) + opaque(b"*IDN?"))[0] == LOCKED
        assert other.done(12, words(theirs, 100, 1000, 0, 0, 0))[0] == LOCKED
        assert other.done(13, words(theirs, 0, 0, 0))[0] == LOCKED
        assert other.done(15, words(theirs, 0, 0, 0))[0] == LOCKED
        assert other.done(UNLOCK, words(theirs)) == (NOT_HELD,)
        assert other.done(10, words(1, 1, 20) + opaque(b"inst0"))[0] == LOCKED  # and no link is made
        one.write(ours, b"*IDN?")
        assert one.read(ours, 1000)[2].startswith(b"RIGOL")
        assert one.done(UNLOCK, words(ours)) == (0,)
        other.write(theirs, b"*IDN?")
        assert other.read(theirs, 1000)[2].startswith(b"RIGOL")


@pytest.mark.parametrize("how", ["unlock", "destroy", "leave"])
def test_a_lock_is_waited_for_and_goes_with_its_link(server: ScopeServer, how: str) -> None:
    with Caller(server) as one, Caller(server) as other, ThreadPoolExecutor(1) as pool:
        ours, theirs = one.link(), other.link()
        assert one.done(LOCK, words(ours, 0, 0)) == (0,)
        waiting = pool.submit(other.done, LOCK, words(theirs, WAIT, 30_000))
        if how == "leave":
            one.sock.close()
        else:
            one.done(UNLOCK if how == "unlock" else 23, words(ours))
        assert waiting.result() == (0,)


def test_the_abort_channel_ends_a_wait(server: ScopeServer) -> None:
    with Caller(server) as caller, ThreadPoolExecutor(1) as pool:
        link = caller.link()
        with Caller(server, caller.abort_port) as aborter:
            program = {"program": 0x0607B0}
            assert aborter.call(1, words(link + 1), **program)[-4:] == words(NO_LINK)
            assert aborter.call(1, words(link), **program)[-4:] == words(0)  # nothing waits: no effect
            assert caller.done(12, words(link, 100, 1, 0, 0, 0))[0] == TIMED_OUT
            waiting = pool.submit(caller.done, 12, words(link, 100, 30_000, 0, 0, 0))
            while not waiting.done():
                aborter.call(1, words(link), **program)
            assert waiting.result()[0] == ABORTED
        caller.write(link, b"*IDN?")
        assert caller.read(link, 1000)[2].startswith(b"RIGOL")


def test_what_is_aborted_answers_after_the_abort(server: ScopeServer) -> None:
    """Rule B.6.107; who waits for a lock is aborted too, by whoever holds none (rules B.6.76 and B.6.109)."""
    with Caller(server) as one, Caller(server) as other:
        assert one.done(LOCK, words(one.link(), 0, 0)) == (0,)
        link = other.link()
        with Caller(server, other.abort_port) as aborter, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(other.done, LOCK, words(link, WAIT, 30_000))
            wait_until(lambda: server._vxi11._turns.in_progress(link) is not None)
            seen: list[bool] = []
            signal = server._vxi11._turns.abort

            def abort(wait: int) -> None:
                seen.append(select.select([aborter.sock], [], [], 5)[0] != [])
                signal(wait)

            server._vxi11._turns.abort = abort  # type: ignore[method-assign]
            aborter.send(words(1, 0, 2, 0x0607B0, 1, 1, 0, 0, 0, 0) + words(link))
            assert waiting.result() == (ABORTED,)
            assert seen == [True]  # the answer to device_abort was there before


def test_an_abort_that_comes_too_late_ends_no_later_call(server: ScopeServer) -> None:
    turns = server._vxi11._turns
    turns.abort(1)
    assert turns.allowed(7, 0.0) == 0


def test_a_portmapper_names_the_port_by_tcp_and_by_datagram() -> None:
    with ScopeServer(Pulses(), reached=Reached(portmapper=0)) as server:
        assert server._mapper is not None
        core = int(server.vxi11_resource.partition(",")[2].partition(":")[0])
        call = words(7, 0, 2, 100_000, 2, 3, 0, 0, 0, 0)
        for asked, port in ((words(0x0607AF, 1, 6, 0), core), (words(0x0607AF, 2, 6, 0), 0)):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                datagrams.settimeout(5)
                datagrams.sendto(call + asked, ("127.0.0.1", server._mapper.port))
                assert datagrams.recv(100)[-4:] == words(port)
            with socket.create_connection(("127.0.0.1", server._mapper.port), timeout=5) as stream:
                stream.sendall(words(0x8000_0000 | len(call + asked)) + call + asked)
                assert stream.recv(100)[-4:] == words(port)


def test_only_the_first_instance_is_there(server: ScopeServer) -> None:
    with Caller(server) as caller:
        assert caller.done(10, words(1, 0, 0) + opaque(b"inst1"))[0] == 3
        assert caller.done(10, words(1, 0, 0) + opaque(b"INST0"))[0] == 0
