"""The REPL of the twin: it stays, it starts main.py again, and it cannot reach this machine's files; Ctrl-C is safe."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.pico import WIRING, PicoServer
from drivers.mock.pico.server import micropython
from drivers.mock.pico.soldered import Pins
from drivers.pico.link import PicoLink
from drivers.settings import BoardSettings
from firmware import protocol

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(micropython() is None, reason="no micropython for this machine"),
]
SETUP = "setup base=2 lines=7 addresses=4 axon=15 estop=22 vbus=24 vth_max_uv=2000000"
BOUND_S = 20.0  # for failing only


@pytest.fixture
def server() -> Iterator[PicoServer]:
    board = Board(load_device("ideal"), BoardSettings(addresses=4))
    with PicoServer(board, pins=Pins(WIRING, estop=22)) as server:
        server.wait_until_up()
        yield server


@pytest.fixture
def port(server: PicoServer) -> Iterator[serial.Serial]:
    with serial.Serial(server.port, timeout=0.05) as port:
        yield port


def until(port: serial.Serial, wanted: bytes, said: bytes = b"") -> bytes:
    """All it says up to what is wanted."""
    end = time.monotonic() + BOUND_S
    while wanted not in said:
        assert time.monotonic() < end, said
        said += port.read(1000)
    return said


def playing(server: PicoServer, port: serial.Serial) -> None:
    """In a shot of three seconds, V_th at 0.7 V."""
    shot = protocol.pack_runs([200], [1500])
    lines = [SETUP, "clear", "timing adaptive 50 75 125 50 200 250", "vth 700000", "load 0 1500 1500 300000"]
    for number, text in enumerate(lines, 1):
        port.write(protocol.seal(f"{number} {text}"))
        until(port, b"OK %d " % number)
    port.write(protocol.request(8, "data", protocol.data_args(8, 1, 0, shot)) + protocol.seal("9 play 1"))
    until(port, b"OK 9 ")
    assert server.chip.board.levels() != 0


def soon(what: object) -> bool:
    end = time.monotonic() + BOUND_S
    while not what():  # type: ignore[operator]
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def parked(server: PicoServer) -> bool:
    board = server.chip.board
    return board.levels() == 0 and board.threshold_v == pytest.approx(2.0)


@pytest.mark.parametrize("interrupts", [b"\x03", b"\x03\x03", b"\x03\r\x03\x03"])
def test_ctrl_c_however_often_makes_safe_and_leads_to_a_repl_that_stays(
    server: PicoServer, port: serial.Serial, interrupts: bytes
) -> None:
    playing(server, port)
    process = server._process
    port.write(interrupts)
    until(port, b">>> ")
    assert parked(server)
    assert server.chip.watchdog_s is None
    assert server.chip.interrupt_byte == 3
    port.write(b"import time\r\ntime.sleep(2.5)\r\nprint(6 * 7)\r\n")
    until(port, b"\r\n42")
    assert server._process is process  # the chip's watchdog has not come between


def test_ctrl_d_starts_main_py_again(port: serial.Serial) -> None:
    port.write(b"\x03")
    until(port, b">>> ")
    port.write(b"\x04")
    until(port, b"MPY: soft reboot")
    port.write(b"\n0 id\n")
    assert b"name=hil-pico" in until(port, b"form=source")


def test_the_flash_cannot_be_left(server: PicoServer, port: serial.Serial, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    port.write(b"\x03")
    until(port, b">>> ")
    define = "exec('def tries(call, path):\\n try:\\n  call(path)\\n except OSError:\\n  return True')"
    for statement in (
        define,
        "import os; names = os.listdir('/'); print(names == os.listdir('/../../..') == os.listdir('..'))",
        f"print(all(tries(call, '{outside}') for call in (os.stat, open, os.remove)))",
        f"print(tries(open, '../../../..{outside}'))",
        "print(hasattr(os, 'VfsPosix') or hasattr(os, 'system'))",
        "os.mkdir('/d'); os.chdir('/d'); print(os.getcwd(), 'd' in os.listdir('../..'))",
    ):
        port.write(statement.encode() + b"\r\n")
    port.write(b"print('END' + 'ED')\r\n")
    said = until(port, b"\r\nENDED").decode()
    results = [line for line in said.splitlines() if line.startswith(("True", "False", "/d"))]
    assert results == ["True", "True", "True", "False", "/d True"]
    assert outside.read_text() == "mine"


def test_removing_everything_removes_what_is_on_the_flash(server: PicoServer) -> None:
    def mpremote(*command: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", server.port, "resume", *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    listed = mpremote("fs", "ls")
    size = (server.flash / "dac.py").stat().st_size
    assert any(line.split() == [str(size), "dac.py"] for line in listed.splitlines())
    assert mpremote("exec", "import os; print(os.uname()[0])").strip() == "rp2"
    mpremote("fs", "rm", "-r", ":/", code=1)  # everything but the root itself
    assert list(server.flash.iterdir()) == []
    assert Path(__file__).exists()


def test_a_reset_that_was_asked_for_is_no_hang(server: PicoServer, port: serial.Serial) -> None:
    port.write(b"\x03")
    until(port, b">>> ")
    port.write(b"import machine; machine.reset()\r\n")
    assert soon(lambda: server.chip.interrupt_byte == -1)  # the firmware runs again
    port.reset_input_buffer()
    port.write(b"\n0 beat\n")
    assert b"latch=boot" in until(port, b"done=")


def test_e_stop_acts_while_the_host_reads_nothing(server: PicoServer, port: serial.Serial) -> None:
    """Replies back up until the firmware waits for the host; a line that was cut is told by its checksum."""
    playing(server, port)
    for number in range(100, 400):
        port.write(protocol.seal(f"{number} id"))
    assert soon(lambda: server.chip.board.levels() != 0)
    time.sleep(0.3)
    server.pins.estop_high = False
    assert soon(lambda: parked(server))
    assert server._process is not None
    assert server._process.poll() is None
    said = b""
    while more := port.read(4000):
        said += more
    link = PicoLink(server.port)
    link.begin()
    assert link.ask("beat")["latch"] == "estop"
    link.close()


@pytest.mark.parametrize(
    ("line", "at"),
    [
        (protocol.seal("77 beat"), 5),
        (protocol.request(78, "data", protocol.data_args(78, 9, 0, b"\x05\x01" * 700)), 700),
    ],
    ids=["typed", "payload"],
)
def test_e_stop_acts_in_the_middle_of_a_line(server: PicoServer, port: serial.Serial, line: bytes, at: int) -> None:
    """How soon is measured on the emulated Pico (tests/firmware/test_uf2.py)."""
    playing(server, port)
    port.write(line[:at])
    time.sleep(0.05)
    server.pins.estop_high = False
    assert soon(lambda: parked(server))
    port.write(line[at:] + protocol.seal("79 beat"))
    said = until(port, b"OK 79 ")
    assert b"latch=estop" in until(port, b"\n", said.rpartition(b"OK 79 ")[2])
