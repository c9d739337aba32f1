"""A conversation with a pigpiod, real or simulated: requests whose answers depend on nothing but those before.

Its answers by the real daemon (its C sources, v79, built with memory in place of a Pi's peripherals and its DMA engine
emulated) are in `answers.json` beside this file; `python -m benchmarks.upstream --ask HOST:PORT` asks another.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drivers.mock.pigpiod.protocol import DATA, Command
from drivers.settings import Wiring

ANSWERS = Path(__file__).parent / "answers.json"
WIRING = Wiring(dendrite=17, reset=27, sync=22, select=(23, 24))  # leaves what is asked about to others
C = Command
FREE = (5, 6, 13, 16, 18, 19, 20, 21, 25, 26)


@dataclass(frozen=True)
class Ask:
    """One request."""

    command: int
    p1: int = 0
    p2: int = 0
    data: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What was asked, in words, and what came."""

    told: str
    result: int
    data: bytes


def u(*values: int) -> bytes:
    """Numbers as an extension."""
    return b"".join(struct.pack("<I", value & 0xFFFF_FFFF) for value in values)


def requests() -> Iterator[Ask]:
    """All of it, in order."""
    yield from _levels()
    yield from _pulses()
    yield from _limits()
    yield from _waves()
    yield from _serial()
    yield from _buses()
    yield from _scripts()


def _levels() -> Iterator[Ask]:
    for pin in FREE:
        yield Ask(C.PUD, pin, 1)
        yield Ask(C.MODES, pin, 0)
    yield from _permissions()
    yield from _one_pin()


def _permissions() -> Iterator[Ask]:
    for pin in (1, 5, 28, 31, 32, 53, 54, 99, 0xFFFF_FFFF):
        for command in (C.MODES, C.PUD, C.WRITE, C.PWM, C.SERVO, C.PRS, C.PFS, C.HP, C.HC, C.TRIG):
            if pin != 5:
                yield Ask(command, pin, 0, u(0))
        for command in (C.MODEG, C.READ, C.GDC, C.GPW, C.PRG, C.PRRG, C.PFG, C.WDOG, C.FG, C.FN, C.SLRC, C.SLRI):
            if command not in (C.MODEG, C.READ) or pin in (5, 54, 99, 0xFFFF_FFFF):
                yield Ask(command, pin, 0, u(0))


def _one_pin() -> Iterator[Ask]:
    for mode in (*range(9), 0):
        yield Ask(C.MODES, 5, mode)
        yield Ask(C.MODEG, 5)
    for pull in (2, 1, 3, 0, 1):
        yield Ask(C.PUD, 5, pull)
        yield Ask(C.READ, 5)
    for level in (1, 0, 2):
        yield Ask(C.WRITE, 5, level)
        yield Ask(C.READ, 5)
    yield Ask(C.WRITE, 5, 1)
    yield Ask(C.MODES, 5, 0)
    yield Ask(C.READ, 5)
    yield Ask(C.MODES, 5, 1)
    yield Ask(C.READ, 5)  # the latch
    for bits in (1 << 5, 0x8000_0000, 1 << 5 | 1):
        yield Ask(C.BC1, bits)
        yield Ask(C.READ, 5)
        yield Ask(C.BS1, bits)
        yield Ask(C.READ, 5)
    for bits in (0, 1):
        yield Ask(C.BC2, bits)
        yield Ask(C.BS2, bits)
    for length, level in ((10, 1), (10, 0), (0, 1), (101, 1), (10, 2), (101, 2)):
        yield Ask(C.TRIG, 5, length, u(level))
        yield Ask(C.READ, 5)


def _pulses() -> Iterator[Ask]:
    reads = (C.MODEG, C.GDC, C.GPW, C.PRG, C.PRRG, C.PFG)
    for command, value in (
        *((C.PWM, v) for v in (128, 255, 256, 0)),
        *((C.PFS, v) for v in (0, 9, 45, 100, 1000, 7000, 100_000)),
        *((C.PRS, v) for v in (24, 25, 100, 40_000, 40_001, 255)),
        (C.PWM, 64),
        (C.PRS, 1000),
        (C.PFS, 800),
        *((C.SERVO, v) for v in (1500, 499, 500, 2500, 2501, 0)),
        (C.PWM, 10),
        (C.WRITE, 1),
        (C.SERVO, 1000),
        (C.MODES, 1),
        (C.MODES, 0),
        (C.PRS, 255),
    ):
        yield Ask(command, 6, value)
        for read in reads:
            yield Ask(read, 6)
    for pin in (12, 13, 18, 19, 20):
        for hz, duty in ((100, 0), (1, 500_000), (126_000_000, 1), (187_500_000, 1), (187_500_001, 1), (1, 1_000_001)):
            yield Ask(C.HP, pin, hz, u(duty))
            for read in reads:
                yield Ask(read, pin)
        yield Ask(C.HP, pin, 0, u(0))
        yield Ask(C.GDC, pin)
        yield Ask(C.MODES, pin, 0)
    for pin in (4, 5, 6, 20, 21, 0x5A00_0005, 0x5A00_0004, 19):
        for hz in (13_183, 13_184, 50_000, 1_000_003, 24_000_000, 375_000_000, 375_000_001):
            yield Ask(C.HC, pin, hz)
            for read in reads:
                yield Ask(read, pin & 0xFF)
        yield Ask(C.HC, pin, 0)
        yield Ask(C.MODES, pin & 0xFF, 0)


def _limits() -> Iterator[Ask]:
    for value in (0, 1, 60_000, 60_001):
        yield Ask(C.WDOG, 5, value)
    yield Ask(C.WDOG, 5, 0)
    for value in (0, 1, 300_000, 300_001):
        yield Ask(C.FG, 5, value)
        yield Ask(C.FN, 5, value, u(1_000_000))
        yield Ask(C.FN, 5, value, u(1_000_001))
    yield Ask(C.FG, 5, 0)
    yield Ask(C.FN, 5, 0, u(0))
    for pad in (0, 2, 3):
        for strength in (0, 1, 2, 7, 8, 16, 17):
            yield Ask(C.PADS, pad, strength)
            if strength in (1, 7, 16):
                yield Ask(C.PADG, pad)
    yield Ask(C.PADS, 0, 8)
    for p1 in (0, 31, 32):
        yield Ask(C.EVT, p1)
        yield Ask(C.NP, p1)
        yield Ask(C.NC, p1)
        yield Ask(C.NB, p1, 1)
        yield Ask(C.EVM, p1, 1)
    for length in (0, 1, 1_000_001):
        yield Ask(C.MICS, length)
    for length in (0, 1, 60_001):
        yield Ask(C.MILS, length)
    yield Ask(C.PIGPV)
    yield Ask(C.HWVER)
    yield Ask(C.HELP)
    yield Ask(C.PARSE, data=b"r 4")
    yield Ask(C.CGI)
    yield Ask(C.CSI, 0)
    yield Ask(C.CF1, 3, 5, b"\x07\x01")
    yield Ask(C.CF2, 3, 100, b"abc")
    yield Ask(C.CF2, 3, 2, b"abc")
    for number in (119, 500, 800, 842):
        yield Ask(number)


def _waves() -> Iterator[Ask]:
    yield Ask(C.WVCLR)
    yield Ask(C.WVCRE)
    for command in (C.WVSC, C.WVSM, C.WVSP):
        for which in (0, 2, 3):
            yield Ask(command, which)
    yield Ask(C.WVAG, data=u(1 << 5, 0, 10, 0, 1 << 5, 20))
    yield Ask(C.WVAG, data=u(1 << 31, 0, 10))
    yield Ask(C.WVAG, data=b"")
    yield Ask(C.WVAG, data=b"abc")
    for command in (C.WVSC, C.WVSM, C.WVSP):
        for which in (0, 1):
            yield Ask(command, which)
    yield Ask(C.WVCRE)
    yield Ask(C.WVTX, 0)
    yield Ask(C.WVTX, 1)
    yield Ask(C.WVTXM, 0, 4)
    yield Ask(C.WVHLT)
    yield Ask(C.WVBSY)
    yield Ask(C.WVTAT)
    yield Ask(C.WVDEL, 0)
    yield Ask(C.WVDEL, 0)
    yield Ask(C.WVDEL, 250)
    yield Ask(C.WVGO)
    yield Ask(C.WVGOR)
    for data in (b"", u(100), u(101), b"ab", u(1, 1)):
        yield Ask(C.WVAG, data=u(1 << 5, 0, 10, 0, 1 << 5, 20))
        yield Ask(C.WVCAP, 10, 0, data)
        yield Ask(C.WVCAP, 10, 20, data)
        yield Ask(C.WVNEW)
    yield Ask(C.WVCAP, 101, 0)
    yield Ask(C.WVCLR)
    yield Ask(C.WVAG, data=u(1 << 5, 0, 10, 0, 1 << 5, 20))
    yield Ask(C.WVCRE)
    for chain in (
        b"\xff\0\0\xff\2\x10\0\xff\1\3\0",
        b"\0",
        b"\1",
        b"\xff\0\0\xff\1\2\0",
        b"\xff\0\xff\1\2\0",
        b"\xff\2\1\0",
        b"\xff\4",
        b"\xff\3",
        b"",
    ):
        yield Ask(C.WVCHA, data=chain)
    yield Ask(C.WVHLT)


def _serial() -> Iterator[Ask]:
    text = b"my name is joan"
    yield Ask(C.WVCLR)
    for pin, baud, bits, stops, offset in (
        (5, 49, 8, 2, 0),
        (5, 1_000_001, 8, 2, 0),
        (5, 9600, 0, 2, 0),
        (5, 9600, 33, 2, 0),
        (5, 9600, 8, 1, 0),
        (5, 9600, 8, 9, 0),
        (5, 9600, 8, 2, 1_800_000_001),
        (1, 9600, 8, 2, 0),
        (40, 9600, 8, 2, 0),
        (31, 9600, 8, 2, 0),
        (5, 9600, 8, 2, 0),
        (5, 9600, 12, 3, 100_000),
        (5, 300, 32, 8, 500_000),
        (5, 1_000_000, 1, 2, 20_000_000),
    ):
        yield Ask(C.WVAS, pin, baud, u(bits, stops, offset) + text)
        yield Ask(C.WVSP, 0)
        yield Ask(C.WVSM, 0)
        yield Ask(C.WVSC, 0)
    yield Ask(C.WVAS, 5, 9600, u(8, 2, 0))
    yield Ask(C.WVAS, 5, 9600, u(8, 2, 0) + bytes(1200))
    yield Ask(C.WVAS, 5, 9600, u(8, 2, 0) + bytes(1201))
    yield Ask(C.WVCLR)
    for pin, baud, bits in ((40, 9600, 8), (5, 49, 8), (5, 250_001, 8), (5, 9600, 0), (5, 9600, 33), (5, 9600, 8)):
        yield Ask(C.SLR, pin, 10)
        yield Ask(C.SLRO, pin, baud, u(bits))
    yield Ask(C.SLRO, 5, 9600, u(8))
    yield Ask(C.SLR, 5, 0)
    yield Ask(C.SLR, 5, 10)
    for invert in (0, 2, 1, 0):
        yield Ask(C.SLRI, 5, invert)
    for bits, content, stops in ((8, text, 2), (5, b"\x1f\x00\x15", 3), (16, b"\x34\x12\xff\xff", 4)):
        yield Ask(C.SLRC, 5)
        yield Ask(C.WRITE, 5, 1)
        yield Ask(C.MILS, 20)
        yield Ask(C.SLRO, 5, 9600, u(bits))
        yield Ask(C.WVAS, 5, 9600, u(bits, stops, 1000) + content)
        yield Ask(C.WVCRE)
        yield Ask(C.WVTX, 0)
        yield Ask(C.MILS, 100)
        yield Ask(C.SLR, 5, 7)
        yield Ask(C.SLR, 5, 100)
        yield Ask(C.WVCLR)
    yield Ask(C.SLRC, 5)
    yield Ask(C.SLRC, 5)


def _buses() -> Iterator[Ask]:
    for pin in FREE:
        yield Ask(C.MODES, pin, 0)
    for address, flags in ((0x20, 0), (0x80, 0), (0x20, 1)):
        yield Ask(C.I2CO, 1, address, u(flags))
    for number in (*range(C.I2CC, C.I2CPK + 1), C.I2CZ, *range(C.SERC, C.SERDA + 1), *range(C.FC, C.FS + 1)):
        for handle in (0, 99):
            yield Ask(number, handle, 1, u(1))
    for name, baud, flags in (
        (b"/dev/ttyX9", 9600, 0),
        (b"/x", 9600, 0),
        (b"/dev/ttyX9", 9601, 0),
        (b"/dev/ttyX9", 50, 1),
    ):
        yield Ask(C.SERO, baud, flags, name)
    for mode in (0, 1, 4, 31, 32):
        yield Ask(C.FO, mode, 0, b"/etc/passwd")
    yield Ask(C.FL, 100, 0, b"/*")
    yield Ask(C.SHELL, 4, 0, b"nope\0arg")
    yield Ask(C.SHELL, 4, 0, b"n/pe\0arg")
    for channel, baud, flags in (
        (0, 50_000, 0),
        (3, 50_000, 0),
        (0, 31_999, 0),
        (0, 125_000_001, 0),
        (0, 50_000, 1 << 23),
    ):
        yield Ask(C.SPIO, channel, baud, u(flags))
    yield Ask(C.MODEG, 9)
    yield Ask(C.SPIC, 0)
    for command in (C.SPIC, C.SPIR, C.SPIW, C.SPIX):
        yield Ask(command, 0, 3, b"abc")
        yield Ask(command, 40, 3, b"abc")
    yield from _banged()


def _banged() -> Iterator[Ask]:
    transactions = (
        bytes([4, 0x20, 2, 7, 1, 0x55, 3, 0]),
        bytes([4, 0x20, 2, 6, 3, 3, 0]),
        bytes([1, 6, 3, 0]),
        bytes([5, 0, 0, 2, 7, 9, 1]),
        bytes([6, 0]),
        bytes([7]),
        bytes([9]),
        bytes([2, 3, 0]),
        b"",
    )
    for pull in (1, 2):
        yield Ask(C.PUD, 5, pull)
        for sda, scl, baud in ((5, 6, 50_000), (5, 6, 50_000), (5, 13, 49), (40, 13, 100), (13, 13, 100)):
            yield Ask(C.BI2CO, sda, scl, u(baud))
        for transaction in transactions:
            yield Ask(C.BI2CZ, 5, 0, transaction)
        yield Ask(C.BI2CZ, 13, 0, b"\4\0")
        for sda in (5, 5, 50):
            yield Ask(C.BI2CC, sda)
    yield Ask(C.PUD, 5, 1)
    for pull in (1, 2):
        yield Ask(C.PUD, 6, pull)
        for cs, miso, baud in (
            (5, 6, 10_000),
            (5, 6, 10_000),
            (16, 6, 10_000),
            (26, 6, 49),
            (1, 6, 50),
            (40, 6, 50),
            (26, 26, 50),
        ):
            yield Ask(C.BSPIO, cs, 0, u(miso, 13, 19, baud, 0))
        for cs in (5, 6, 13, 19, 16):
            yield Ask(C.MODEG, cs)
            yield Ask(C.READ, cs)
        yield Ask(C.BSPIX, 5, 0, b"abc")
        yield Ask(C.READ, 13)
        yield Ask(C.BSPIX, 5, 0, b"")
        yield Ask(C.BSPIX, 20, 0, b"abc")
        for cs in (5, 16, 5, 50):
            yield Ask(C.BSPIC, cs)
        for cs in (5, 6, 13, 19, 16):
            yield Ask(C.MODEG, cs)


def _scripts() -> Iterator[Ask]:
    for text in (
        b"ld p1 p0 ld p0 1234 tag 999 mils 1000 jmp 999",
        b"bad",
        b"ld",
        b"ld v150 1",
        b"ld p10 1",
        b"jmp 7",
        b"tag 1 tag 1",
        b"wvag 1 0 1",
        b"shell x y",
        b" ".join(b"tag %d" % n for n in range(51)),
        b"m 5 z",
        b"pud 5 u",
        b"r -1",
        b"w 5 1",
        b"hp 5 1",
        b"lda 0x10 sta p0 lda 010 sta p1",
    ):
        yield Ask(C.PROC, data=text)
    yield Ask(C.MILS, 100)
    for number in range(6):
        yield Ask(C.PROCP, number)
    yield Ask(C.PROCR, 0, 0, u(9876))
    yield Ask(C.MILS, 100)
    yield Ask(C.PROCP, 0)
    yield Ask(C.PROCU, 0, 0, u(5, 6))
    yield Ask(C.PROCP, 0)
    yield Ask(C.PROCS, 0)
    yield Ask(C.PROCR, 31, 0, u(1))
    yield Ask(C.PROCR, 99, 0, u(1))
    yield Ask(C.PROCR, 0, 0, u(*range(11)))
    yield Ask(C.PROCU, 99, 0, u(1))
    for number in (*range(4), 4, 99):
        yield Ask(C.PROCD, number)
        yield Ask(C.PROCP, number)
    for text in (
        b"lda p0 add 5 sta p1 sub 10 sta p2 mlt -3 sta p3 div 4 sta p4 mod 3 sta p5 and 12 sta p6 or 3 sta p7",
        b"lda p0 xor -1 sta p1 rla 3 sta p2 rra 5 sta p3 dcra sta p4 inra sta p5 cmp 5 jm 1 ld p6 1 tag 1 ld p7 9",
        b"ld v0 p0 inr v0 x v0 p1 rl p1 4 rr p1 1 dcr p1 push p1 pop p2 lda 77 pusha popa sta p3 xa p4 sta p5",
        b"ld p1 0 call 5 ld p2 2 halt tag 5 inr p1 ret ld p3 3",
        b"ld v1 5 tag 1 inr p1 dcr v1 jnz 1 ld v1 5 tag 2 inr p2 dcr v1 jp 2 lda 0 jz 3 ld p3 1 tag 3 ld p4 4",
        b"lda 65 stab 10 lda 0 ldab 10 sta p1 ret",
        b"w p1 1 r p1 sta p2 w p1 0 r p1 sta p3 pud 5 q",
        b"w p1 1 r p1 sta p2 w p1 0 r p1 sta p3 pfs p1 100 sta p4 r 99 sta p5 trig p1 10 1 sta p6",
    ):
        yield Ask(C.PROC, data=text)
        yield Ask(C.MILS, 50)
        for first in (7, 0x7FFF_FFFF):
            yield Ask(C.PROCR, 0, 0, u(first, 5))
            yield Ask(C.MILS, 50)
            yield Ask(C.PROCP, 0)
        yield Ask(C.PROCD, 0)
    yield Ask(C.PROC, data=b"wait 64 sta p1 evtwt 32 sta p2")
    yield Ask(C.WRITE, 6, 0)
    yield Ask(C.MILS, 100)
    yield Ask(C.PROCR, 0)
    yield Ask(C.MILS, 100)
    yield Ask(C.PROCP, 0)
    yield Ask(C.WRITE, 6, 1)
    yield Ask(C.MILS, 100)
    yield Ask(C.PROCP, 0)
    yield Ask(C.EVT, 5)
    yield Ask(C.MILS, 100)
    yield Ask(C.PROCP, 0)
    yield Ask(C.PROCD, 0)


def converse(host: str, port: int, passes: Callable[[int], object] = int) -> list[Answer]:
    """Ask a daemon all of it over one connection; `passes` is told how many µs it was asked to take."""
    with socket.create_connection((host, port), timeout=60) as connection:
        return [_asked(connection, ask, passes) for ask in requests()]


def _asked(connection: socket.socket, ask: Ask, passes: Callable[[int], object]) -> Answer:
    connection.sendall(struct.pack("<4I", ask.command, ask.p1, ask.p2, len(ask.data)) + ask.data)
    result = int(struct.unpack("<3Ii", connection.recv(16, socket.MSG_WAITALL))[3])
    if ask.command in (C.MILS, C.TRIG) and result == 0:
        passes(ask.p1 * 1000 if ask.command == C.MILS else ask.p2)
    data = connection.recv(result, socket.MSG_WAITALL) if ask.command in DATA and result > 0 else b""
    name = Command(ask.command).name if ask.command in set(Command) else str(ask.command)
    return Answer(f"{name} {ask.p1} {ask.p2} {ask.data[:40].hex()}".strip(), result, data)


def save(answers: list[Answer], path: Path) -> None:
    """Keep answers, one a line."""
    rows = ",\n".join(json.dumps([a.told, a.result, a.data.hex()]) for a in answers)
    path.write_text(f"[\n{rows}\n]\n", encoding="utf-8")


def load() -> list[Answer]:
    """The real daemon's answers."""
    return [Answer(told, result, bytes.fromhex(data)) for told, result, data in json.loads(ANSWERS.read_text("utf-8"))]
