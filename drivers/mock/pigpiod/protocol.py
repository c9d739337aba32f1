"""pigpiod's socket protocol: command numbers, error codes, messages (`pigpio.h` and `command.h` of pigpio v79)."""

from __future__ import annotations

import struct
from enum import IntEnum

MOST_EXTENSION = 65_536  # an extension must be shorter
MESSAGE_BYTES = 16
REPORT_BYTES = 12
VERSION = 79
REVISION = 0xC03114  # a Raspberry Pi 4B, 4 GiB
PERMITTED = 0x0FFF_FFFC  # GPIO 2-27
USER_GPIOS = 32
GPIOS = 54
HARDWARE_PWM_MODES = {12: 4, 13: 4, 18: 2, 19: 2}  # the alternate function of each: ALT0, ALT5


class Command(IntEnum):
    """Commands that the twin knows; the daemon has more (SPI, scripts, bit-banged serial, shell)."""

    MODES = 0
    MODEG = 1
    PUD = 2
    READ = 3
    WRITE = 4
    PWM = 5
    PRS = 6
    SERVO = 8
    WDOG = 9
    PFS = 7
    BR1 = 10
    BR2 = 11
    BC1 = 12
    BC2 = 13
    BS1 = 14
    BS2 = 15
    TICK = 16
    HWVER = 17
    NO = 18
    NB = 19
    NP = 20
    NC = 21
    PRG = 22
    PFG = 23
    PRRG = 24
    PIGPV = 26
    WVCLR = 27
    WVAG = 28
    WVBSY = 32
    WVHLT = 33
    WVSM = 34
    WVSP = 35
    WVSC = 36
    TRIG = 37
    WVCRE = 49
    WVDEL = 50
    WVTX = 51
    WVTXR = 52
    WVNEW = 53
    I2CO = 54
    SERO = 76
    GDC = 83
    GPW = 84
    HP = 86
    WVCHA = 93
    FG = 97
    FN = 98
    NOIB = 99
    WVTXM = 100
    WVTAT = 101
    PADS = 102
    PADG = 103
    FO = 104
    EVM = 115
    EVT = 116
    WVCAP = 118


class Code(IntEnum):
    """Results below zero."""

    BAD_USER_GPIO = -2
    BAD_GPIO = -3
    BAD_MODE = -4
    BAD_LEVEL = -5
    BAD_PUD = -6
    BAD_PULSEWIDTH = -7
    BAD_DUTYCYCLE = -8
    BAD_WDOG_TIMEOUT = -15
    BAD_DUTYRANGE = -21
    NO_HANDLE = -24
    BAD_HANDLE = -25
    BAD_WAVE_MODE = -33
    TOO_MANY_PULSES = -36
    NOT_PERMITTED = -41
    SOME_PERMITTED = -42
    BAD_WVSC_COMMND = -43
    BAD_WVSM_COMMND = -44
    BAD_WVSP_COMMND = -45
    BAD_PULSELEN = -46
    BAD_WAVE_ID = -66
    TOO_MANY_CBS = -67
    TOO_MANY_OOL = -68
    EMPTY_WAVEFORM = -69
    SER_OPEN_FAILED = -72
    BAD_I2C_BUS = -74
    BAD_PARAM = -81
    UNKNOWN_COMMAND = -88
    NOT_PWM_GPIO = -92
    NOT_SERVO_GPIO = -93
    NOT_HPWM_GPIO = -95
    BAD_HPWM_FREQ = -96
    BAD_HPWM_DUTY = -97
    CHAIN_LOOP_CNT = -113
    BAD_CHAIN_LOOP = -114
    CHAIN_COUNTER = -115
    BAD_CHAIN_CMD = -116
    BAD_CHAIN_DELAY = -117
    CHAIN_NESTING = -118
    CHAIN_TOO_BIG = -119
    BAD_FOREVER = -124
    BAD_FILTER = -125
    BAD_PAD = -126
    BAD_STRENGTH = -127
    NO_FILE_ACCESS = -137
    BAD_EVENT_ID = -143


class Refused(Exception):  # noqa: N818 - an answer of the daemon, not an error of ours
    """The daemon answers with an error code."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


def unpack(message: bytes) -> tuple[int, int, int, int]:
    """A request: command, p1, p2, length of the extension that follows."""
    cmd, p1, p2, p3 = struct.unpack("<4I", message)
    return cmd, p1, p2, p3


def reply(cmd: int, p1: int, p2: int, result: int) -> bytes:
    """An answer: the request's first three words and the result, which may be negative or a full unsigned word."""
    return struct.pack("<4I", cmd, p1, p2, result & 0xFFFF_FFFF)
