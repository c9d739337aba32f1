"""Scripts at work: each runs in a thread of its own, and its commands are those of any client (`pthScript`)."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from enum import IntEnum

from drivers.mock.pigpiod.protocol import Code, Command, Refused
from drivers.mock.pigpiod.scripts.machine import Fault, Machine, signed
from drivers.mock.pigpiod.scripts.text import PARAMETERS, VARIABLES, Kind, Operand, Step, parse_script
from drivers.mock.pigpiod.trains import Times, Words

SCRIPTS = 32
BREATH_S = 0.001

Ask = Callable[[int, int, int, bytes], "int | bytes"]


class State(IntEnum):
    """What `PROCP` says of a script."""

    INITING = 0
    HALTED = 1
    RUNNING = 2
    WAITING = 3
    FAILED = 4


class Script:
    """One stored script. `ask` carries out a command; `misused` is told what the real daemon would die of."""

    def __init__(self, text: str, ask: Ask, misused: Callable[[str], object]) -> None:
        self.state = State.HALTED
        self.parameters = [0] * PARAMETERS
        self.bits = self.events = 0  # what it waits for
        self._steps = parse_script(text)
        self._variables = [0] * VARIABLES
        self._ask = ask
        self._misused = misused
        self._halt = threading.Event()
        self._changed = threading.Event()
        self._changes = 0
        self._thread: threading.Thread | None = None

    @property
    def mask(self) -> int:
        """Which pins it listens to."""
        return self.bits

    @property
    def halting(self) -> bool:
        """Whether it has been told to halt."""
        return self._halt.is_set()

    def rest(self) -> None:
        """Let others go on."""
        self._halt.wait(BREATH_S)

    def run(self, parameters: list[int]) -> None:
        """Start it, or change the parameters of one that runs."""
        self.update(parameters)
        if self._thread is not None and self._thread.is_alive():
            return
        self._halt.clear()
        self.state = State.RUNNING
        self._thread = threading.Thread(target=self._work, name="pigpiod-script", daemon=True)
        self._thread.start()

    def update(self, parameters: list[int]) -> None:
        """Change the first parameters."""
        self.parameters[: len(parameters)] = parameters

    def stop(self) -> None:
        """Have it halt after the step in hand."""
        self._halt.set()
        self.bits = self.events = 0
        self._changed.set()

    def hear(self, before: int, _t_ns: Times, words: Words, _now_us: int) -> None:
        """Level changes of all pins."""
        if self.bits and len(words):
            changed = 0
            for word in words.tolist():
                changed |= word ^ before
                before = word
            self._wake(changed & self.bits)

    def trigger(self, events: int) -> None:
        """Events have been triggered."""
        self._wake(events & self.events)

    def _wake(self, changes: int) -> None:
        if changes:
            self._changes, self.bits, self.events = changes, 0, 0
            self.state = State.RUNNING
            self._changed.set()

    def _work(self) -> None:
        try:
            Machine(self).run(self._steps)
        except Fault as fault:
            if fault.fatal:
                self._misused(f"a script {fault}: pigpiod would end")
        self.state = State.HALTED

    # ---- what the machine does with it --------------------------------------------------------------------------

    def wait(self, bits: int, events: int) -> int:
        """Wait for a change of pins or for events; those that came."""
        self._changed.clear()
        self.state = State.WAITING
        self.bits, self.events = bits & 0xFFFF_FFFF, events & 0xFFFF_FFFF
        if not self._halt.is_set():
            self._changed.wait()
        return self._changes

    def command(self, step: Step, values: list[int]) -> int:
        """Carry out a client's command."""
        if step.command in (Command.MICS, Command.MILS):
            result = self._ask(step.command, values[0], 0, b"")
            if result == 0:
                self._halt.wait(values[0] * (1e-6 if step.command == Command.MICS else 1e-3))
            return int(result)
        first, second = (*values, 0, 0)[:2]
        extension = struct.pack("<i", signed(values[2])) if len(values) == 3 else b""
        assert step.command is not None  # noqa: S101 (asked before)
        result = self._ask(step.command, first & 0xFFFF_FFFF, second & 0xFFFF_FFFF, extension)
        return signed(result) if isinstance(result, int) else len(result)

    def value(self, operand: Operand) -> int:
        """What an operand is now."""
        if operand.kind is Kind.NUMBER:
            return signed(operand.value)
        return (self._variables if operand.kind is Kind.VARIABLE else self.parameters)[operand.value]

    def put(self, register: Operand, value: int) -> int:
        """Set a register; the value it has then."""
        memory = self.parameters if register.kind is Kind.PARAMETER else self._variables
        memory[register.value] = signed(value)
        return memory[register.value]


class Scripts:
    """The scripts that are stored. Methods raise Refused with the daemon's code."""

    def __init__(self, ask: Ask, misused: Callable[[str], object]) -> None:
        self.stored: dict[int, Script] = {}
        self._ask = ask
        self._misused = misused

    def store(self, text: bytes) -> int:
        """Store a script; its number."""
        number = next((n for n in range(SCRIPTS) if n not in self.stored), None)
        if number is None:
            raise Refused(Code.NO_SCRIPT_ROOM)
        script = Script(text.partition(b"\0")[0].decode("latin-1"), self._ask, self._misused)
        self.stored[number] = script
        return number

    def get(self, number: int) -> Script:
        """The script with this number."""
        if number not in self.stored:
            raise Refused(Code.BAD_SCRIPT_ID)
        return self.stored[number]

    def parameters(self, number: int, extension: bytes) -> tuple[Script, list[int]]:
        """A script, and the parameters in a message to it."""
        given = [value for (value,) in struct.iter_unpack("<i", extension[: len(extension) // 4 * 4])]
        if number < SCRIPTS and len(given) > PARAMETERS:
            raise Refused(Code.TOO_MANY_PARAM)
        return self.get(number), given

    def status(self, number: int) -> bytes:
        """State and parameters."""
        script = self.get(number)
        return struct.pack(f"<i{PARAMETERS}i", script.state, *script.parameters)

    def delete(self, number: int) -> None:
        """Stop a script and forget it."""
        self.get(number).stop()
        del self.stored[number]

    def stop_all(self) -> None:
        """Have all of them halt."""
        for script in self.stored.values():
            script.stop()
