"""The machine that a script's words work on: an accumulator, a flag, a stack, some memory (`pthScript`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from drivers.mock.pigpiod.scripts.text import Operand, Step

STACK = 256
MEMORY_BYTES = 65_536
BREATH = 500  # after so many steps others may go on


class Fault(Exception):  # noqa: N818 - an end of the script, not an error of ours
    """The script ends where it is; what is `fatal` would end the real daemon."""

    def __init__(self, why: str, *, fatal: bool = False) -> None:
        super().__init__(why)
        self.fatal = fatal


class Host(Protocol):
    """The script that a machine runs."""

    @property
    def halting(self) -> bool:
        """Whether to end."""

    def rest(self) -> None:
        """Let others go on."""

    def value(self, operand: Operand) -> int:
        """What an operand is now."""

    def put(self, register: Operand, value: int) -> int:
        """Set a register; the value it has then."""

    def command(self, step: Step, values: list[int]) -> int:
        """Carry out a client's command."""

    def wait(self, bits: int, events: int) -> int:
        """Wait for a change of pins or for events."""


def signed(value: int) -> int:
    """As C's int of 32 bits."""
    return (value + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000


class Machine:
    """A run of a script."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.a = self.flag = self.next = 0
        self._stack: list[int] = []
        self.memory = bytearray(MEMORY_BYTES)

    def run(self, steps: tuple[Step, ...]) -> None:
        """Run to the end, or until the host halts; raises Fault."""
        done = 0
        while self.next < len(steps) and not self.host.halting:
            step = steps[self.next]
            self.next += 1
            if step.word == "HALT":
                return
            if step.command is not None:
                self.a = self.flag = self.host.command(step, [self.host.value(o) for o in step.operands])
            else:
                _WORDS[step.word](self, *step.operands)
            done += 1
            if done % BREATH == 0:
                self.host.rest()

    def push(self, value: int) -> None:
        """Onto the stack."""
        if len(self._stack) >= STACK:
            raise Fault("has filled its stack")
        self._stack.append(value)

    def pop(self) -> int:
        """Off the stack."""
        if not self._stack:
            raise Fault("has emptied its stack")
        return self._stack.pop()

    def accumulate(self, value: int) -> None:
        """The accumulator, and with it the flag."""
        self.a = self.flag = signed(value)


Word = Callable[..., None]


def _arithmetic(act: Callable[[int, int], int]) -> Word:
    def word(machine: Machine, operand: Operand) -> None:
        machine.accumulate(act(machine.a, machine.host.value(operand)))

    return word


def _quotient(a: int, b: int) -> int:
    if b == 0:
        raise Fault("divides by zero", fatal=True)
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _remainder(a: int, b: int) -> int:
    return a - _quotient(a, b) * b


def _shift_left(a: int, b: int) -> int:
    return a << (b & 31)


def _shift_right(a: int, b: int) -> int:
    return a >> (b & 31)


def _compare(machine: Machine, operand: Operand) -> None:
    machine.flag = signed(machine.a - machine.host.value(operand))


def _change(act: Callable[[int, int], int]) -> Word:
    """Change a register, by a second operand where there is one."""

    def word(machine: Machine, register: Operand, operand: Operand | None = None) -> None:
        by = 1 if operand is None else machine.host.value(operand)
        machine.flag = machine.host.put(register, act(machine.host.value(register), by))

    return word


def _jump(goes: Callable[[int], bool]) -> Word:
    def word(machine: Machine, to: Operand) -> None:
        if goes(machine.flag):
            machine.next = to.value

    return word


def _call(machine: Machine, to: Operand) -> None:
    machine.push(machine.next)
    machine.next = to.value


def _return(machine: Machine) -> None:
    machine.next = machine.pop()
    if machine.next < 0:
        raise Fault("returns to nowhere", fatal=True)


def _load(machine: Machine, register: Operand, operand: Operand) -> None:
    machine.host.put(register, machine.host.value(operand))


def _load_a(machine: Machine, operand: Operand) -> None:
    machine.a = machine.host.value(operand)


def _load_byte(machine: Machine, operand: Operand) -> None:
    at = machine.host.value(operand)
    if 0 <= at < MEMORY_BYTES:
        machine.a = machine.memory[at]


def _store_byte(machine: Machine, operand: Operand) -> None:
    at = machine.host.value(operand)
    if 0 <= at < MEMORY_BYTES:
        machine.memory[at] = machine.a & 0xFF


def _store_a(machine: Machine, register: Operand) -> None:
    machine.host.put(register, machine.a)


def _push(machine: Machine, register: Operand) -> None:
    machine.push(machine.host.value(register))


def _pop(machine: Machine, register: Operand) -> None:
    machine.host.put(register, machine.pop())


def _pop_a(machine: Machine) -> None:
    machine.a = machine.pop()


def _swap(machine: Machine, one: Operand, other: Operand) -> None:
    kept = machine.host.value(one)
    machine.host.put(one, machine.host.value(other))
    machine.host.put(other, kept)


def _swap_a(machine: Machine, register: Operand) -> None:
    kept, machine.a = machine.a, machine.host.value(register)
    machine.host.put(register, kept)


def _wait(machine: Machine, operand: Operand) -> None:
    machine.a = machine.flag = machine.host.wait(machine.host.value(operand), 0)


def _wait_event(machine: Machine, operand: Operand) -> None:
    machine.a = machine.flag = machine.host.wait(0, machine.host.value(operand))


def _shell(machine: Machine) -> None:
    machine.accumulate(127 << 8)  # what a shell says of a program that is not there


def _stays(machine: Machine, *_: Operand) -> None:
    """NOP, CMDR and CMDW: the daemon takes them and knows nothing to do, not even to go on."""
    machine.next -= 1


_WORDS: dict[str, Word] = {
    "ADD": _arithmetic(lambda a, b: a + b),
    "AND": _arithmetic(lambda a, b: a & b),
    "CALL": _call,
    "CMDR": _stays,
    "CMDW": _stays,
    "CMP": _compare,
    "DCR": _change(lambda a, b: a - b),
    "DCRA": lambda machine: machine.accumulate(machine.a - 1),
    "DIV": _arithmetic(_quotient),
    "EVTWT": _wait_event,
    "INR": _change(lambda a, b: a + b),
    "INRA": lambda machine: machine.accumulate(machine.a + 1),
    "JM": _jump(lambda flag: flag < 0),
    "JMP": _jump(lambda _flag: True),
    "JNZ": _jump(lambda flag: flag != 0),
    "JP": _jump(lambda flag: flag >= 0),
    "JZ": _jump(lambda flag: flag == 0),
    "LD": _load,
    "LDA": _load_a,
    "LDAB": _load_byte,
    "MLT": _arithmetic(lambda a, b: a * b),
    "MOD": _arithmetic(_remainder),
    "NOP": _stays,
    "OR": _arithmetic(lambda a, b: a | b),
    "POP": _pop,
    "POPA": _pop_a,
    "PUSH": _push,
    "PUSHA": lambda machine: machine.push(machine.a),
    "RET": _return,
    "RL": _change(_shift_left),
    "RLA": _arithmetic(_shift_left),
    "RR": _change(_shift_right),
    "RRA": _arithmetic(_shift_right),
    "STA": _store_a,
    "STAB": _store_byte,
    "SUB": _arithmetic(lambda a, b: a - b),
    "SYS": _shell,
    "WAIT": _wait,
    "X": _swap,
    "XA": _swap_a,
    "XOR": _arithmetic(lambda a, b: a ^ b),
}
