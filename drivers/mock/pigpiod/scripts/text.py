"""The text of a script as steps, as `cmdParseScript` of command.c v79 reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from drivers.mock.pigpiod.protocol import Code, Command, Refused

VARIABLES, PARAMETERS, TAGS = 150, 10, 50
MODE_LETTERS, PULL_LETTERS = "RW540123", "ODU"
JUMPS = frozenset({"CALL", "JM", "JMP", "JNZ", "JP", "JZ"})

# What follows a word: n a number, variable or parameter; p one that is not negative; r a variable or parameter;
# t a tag; m a mode; u a pull; s a string; 3 a third number, which the command takes as an extension.
_OWN = {
    "": "DCRA HALT INRA NOP POPA PUSHA RET",
    "n": "ADD AND CMDR CMDW CMP DIV EVTWT LDA LDAB MLT MOD OR RLA RRA STAB SUB WAIT XOR",
    "r": "DCR INR POP PUSH STA XA",
    "t": "CALL JM JMP JNZ JP JZ TAG",
    "rn": "LD RL RR",
    "rr": "X",
    "s": "SYS",
}
_COMMANDS = {
    "": "BR1 BR2 CGI HWVER NO PIGPV TICK WVBSY WVCLR WVCRE WVHLT WVNEW WVTAT",
    "n": "BC1 BC2 BS1 BS2 CSI",
    "p": "BI2CC BSPIC EVT FC GDC GPW I2CC I2CRS MICS MILS MODEG NC NP PADG PFG PRG PRRG READ SERC SERDA SERRB SLRC "
    "SPIC WVCAP WVDEL WVSC WVSM WVSP WVTX WVTXR",
    "pp": "FG HC I2CRB I2CRW I2CWQ I2CWS PADS PFS PRS PWM SERVO SERWB SLRI WDOG WRITE WVTXM",
    "pn": "EVM NB",
    "pp3": "BI2CO FN HP I2CO I2CPC I2CWB I2CWW SLRO SPIO TRIG",
    "pn3": "FS",
    "pm": "MODES",
    "pu": "PUD",
}
_SHORT = {"M": "MODES", "MG": "MODEG", "P": "PWM", "R": "READ", "S": "SERVO", "T": "TICK", "W": "WRITE"}
GRAMMAR = {word: kinds for table in (_OWN, _COMMANDS) for kinds, words in table.items() for word in words.split()}
_NUMBER = re.compile(r"([vp]?)([+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+))$")


class Kind(Enum):
    """Where an operand comes from."""

    NUMBER = 0
    VARIABLE = 1
    PARAMETER = 2


@dataclass(frozen=True)
class Operand:
    """A number, or the index of a variable or parameter."""

    kind: Kind
    value: int


@dataclass(frozen=True)
class Step:
    """A word and its operands; `command` is None for the script's own words."""

    word: str
    operands: tuple[Operand, ...] = ()
    command: Command | None = None
    text: str = ""


def parse_script(text: str) -> tuple[Step, ...]:
    """The steps of a script, jumps resolved to indices; raises Refused with the first fault's code."""
    words = text.split()
    steps: list[Step] = []
    tags: dict[int, int] = {}
    at = 0
    while at < len(words):
        step, at = _step(words, at)
        if step.word != "TAG":
            steps.append(step)
            continue
        if step.operands[0].value in tags:
            raise Refused(Code.DUP_TAG)
        if len(tags) >= TAGS:
            raise Refused(Code.TOO_MANY_TAGS)
        tags[step.operands[0].value] = len(steps)
    return tuple(_resolved(step, tags) for step in steps)


def _resolved(step: Step, tags: dict[int, int]) -> Step:
    if step.word not in JUMPS:
        return step
    if step.operands[0].value not in tags:
        raise Refused(Code.BAD_TAG)
    return Step(step.word, (Operand(Kind.NUMBER, tags[step.operands[0].value]),))


def _step(words: list[str], at: int) -> tuple[Step, int]:
    word = words[at].upper()
    word = _SHORT.get(word, word)
    if word not in GRAMMAR:
        raise Refused(Code.BAD_SCRIPT_CMD)
    kinds = GRAMMAR[word]
    given = words[at + 1 : at + 1 + len(kinds)]
    if len(given) < len(kinds):
        raise Refused(Code.BAD_SCRIPT_CMD)
    command = Command.__members__.get(word)
    if kinds == "s":
        return Step(word, text=given[0]), at + 2
    operands = tuple(_operand(kind, text) for kind, text in zip(kinds, given, strict=True))
    return Step(word, operands, command), at + 1 + len(kinds)


def _operand(kind: str, text: str) -> Operand:
    if kind in "mu":
        letters = MODE_LETTERS if kind == "m" else PULL_LETTERS
        if text[0].upper() not in letters:
            raise Refused(Code.BAD_SCRIPT_CMD)
        return Operand(Kind.NUMBER, letters.index(text[0].upper()))
    match = _NUMBER.match(text)
    if match is None:
        raise Refused(Code.BAD_SCRIPT_CMD)
    operand = Operand({"": Kind.NUMBER, "v": Kind.VARIABLE, "p": Kind.PARAMETER}[match[1]], _integer(match[2]))
    most = {Kind.NUMBER: VARIABLES, Kind.VARIABLE: VARIABLES, Kind.PARAMETER: PARAMETERS}[operand.kind]
    fits = {
        "n": operand.kind is Kind.NUMBER or operand.value < most,
        "p": operand.value >= 0 and (operand.kind is Kind.NUMBER or operand.value < most),
        "3": operand.value >= 0 and (operand.kind is Kind.NUMBER or operand.value < most),
        "r": 0 <= operand.value < most,
        "t": operand.kind is Kind.NUMBER,
    }[kind]
    if not fits:
        raise Refused(Code.BAD_SCRIPT_CMD)
    return operand


def _integer(text: str) -> int:
    """As C's %i: hexadecimal after 0x, octal after 0; of 32 bits."""
    digits = text.lstrip("+-")
    value = int(digits, 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" and digits.isdecimal() else 10)
    return -value if text[0] == "-" else value
