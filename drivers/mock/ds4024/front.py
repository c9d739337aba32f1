"""The settings of a simulated DS4024 as SCPI commands: channels, time base, memory depth, trigger.

RIGOL MSO4000&DS4000 programming guide, the subsystems :CHANnel, :TIMebase, :ACQuire and :TRIGger. What is out of range
is clamped and queues an error, as the front panel does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from drivers.mock.ds4024.acquisition import Setup, Trigger
from drivers.mock.ds4024.scpi import ILLEGAL_VALUE, MISSING_PARAMETER, OUT_OF_RANGE, SETTINGS_CONFLICT, ScpiError
from drivers.mock.ds4024.settings import ROLL_FROM_S, Channel, Horizontal

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.mock.ds4024.scpi import Header

PROBES = tuple(float(f"{m}e{e}") for e in range(-2, 4) for m in (1, 2, 5) if float(f"{m}e{e}") <= 1000)


@dataclass(frozen=True)
class Choice:
    """One of some keywords, answered in short form."""

    default: str
    options: tuple[str, ...]

    def parse(self, text: str) -> str:
        """The short form; raises ScpiError."""
        for option in self.options:
            short = "".join(c for c in option if not c.islower())
            if text.upper() in (short, option.upper()):
                return short
        raise ScpiError(ILLEGAL_VALUE)


@dataclass(frozen=True)
class Number:
    """A real number in a range, answered with six decimals and a two-digit exponent."""

    default: float
    low: float
    high: float

    def parse(self, text: str) -> str:
        """The number as it is answered; raises ScpiError."""
        value = number(text)
        if not self.low <= value <= self.high:
            raise ScpiError(OUT_OF_RANGE)
        return f"{value:.6e}"


SWITCH = Choice("0", ("0", "1", "OFF", "ON"))
SOURCES = Choice("CHAN1", ("CHANnel1", "CHANnel2", "CHANnel3", "CHANnel4"))
SWEEPS = Choice("AUTO", ("AUTO", "NORMal", "SINGle"))
_EDGES = ("CHANnel1", "CHANnel2", "CHANnel3", "CHANnel4", "EXT", "EXT5", "ACL", "AC")
_MODES = ("EDGE", "PULSe", "RUNT", "NEDG", "SLOPe", "VIDeo", "PATTern", "RS232", "IIC", "SPI", "CAN", "FLEX", "USB")

SIMPLE: dict[str, Choice | Number] = {
    "CHANnel<4>:BWLimit": Choice("OFF", ("20M", "100M", "OFF")),
    "CHANnel<4>:UNITs": Choice("VOLT", ("VOLTage", "WATT", "AMPere", "UNKNown")),
    "TIMebase:HREF:MODE": Choice("CENT", ("CENTer", "TPOSition", "USER")),
    "TIMebase:VERNier": SWITCH,
    "ACQuire:TYPE": Choice("NORM", ("NORMal", "AVERages", "PEAK", "HRESolution")),
    "TRIGger:MODE": Choice("EDGE", _MODES),
    "TRIGger:EDGe:SOURce": Choice("CHAN1", _EDGES),
    "TRIGger:EDGe:SLOPe": Choice("POS", ("POSitive", "NEGative", "RFALl")),
    "TRIGger:EDGe:LEVel": Number(0.0, -1e4, 1e4),
    "TRIGger:COUPling": Choice("DC", ("AC", "DC", "LFReject", "HFReject")),
    "TRIGger:HOLDoff": Number(1e-7, 1e-7, 10.0),
    "TRIGger:NREJect": SWITCH,
    "TRIGger:PULSe:SOURce": Choice("CHAN1", _EDGES),
    "TRIGger:PULSe:WHEN": Choice("PGR", ("PGReater", "PLESs", "NGReater", "NLESs", "PGLess", "NGLess")),
    "TRIGger:PULSe:UWIDth": Number(2e-6, 4e-9, 4.0),
    "TRIGger:PULSe:LWIDth": Number(1e-6, 4e-9, 4.0),
    "TRIGger:PULSe:LEVel": Number(0.0, -1e4, 1e4),
}


def number(text: str) -> float:
    """A SCPI number; raises ScpiError."""
    if not text:
        raise ScpiError(MISSING_PARAMETER)
    try:
        return float(text)
    except ValueError as error:
        raise ScpiError(ILLEGAL_VALUE) from error


class FrontPanel:
    """All settings but those of :WAVeform.

    As faults, `fixed_auto`: the memory depth stays AUTO whatever is sent; `coarse`: time bases are steps in spite of
    the vernier.
    """

    def __init__(self, *, fixed_auto: bool = False, coarse: bool = False) -> None:
        self._fixed_auto, self._coarse = fixed_auto, coarse
        self.reset()
        self._special: dict[str, Callable[[Header, bool], str | None]] = {
            "CHANnel<4>:DISPlay": self._display,
            "CHANnel<4>:SCALe": self._scale,
            "CHANnel<4>:OFFSet": self._offset,
            "CHANnel<4>:PROBe": self._probe,
            "CHANnel<4>:COUPling": self._coupling,
            "CHANnel<4>:IMPedance": self._impedance,
            "CHANnel<4>:INVert": self._invert,
            "CHANnel<4>:VERNier": self._vernier,
            "TIMebase[:MAIN]:SCALe": self._time_scale,
            "TIMebase[:MAIN]:OFFSet": self._time_offset,
            "TIMebase:MODE": self._time_mode,
            "ACQuire:MDEPth": self._depth,
            "ACQuire:SRATe": self._rate,
            "ACQuire:AVERages": self._averages,
        }
        self.patterns = frozenset([*self._special, *SIMPLE])

    def reset(self) -> None:
        """`*RST`."""
        self.channels = {n: Channel(display=n == 1) for n in range(1, 5)}
        self.horizontal = Horizontal()
        self.timebase_mode = "MAIN"
        self.sweep = "AUTO"
        self.averages = 2
        self._simple: dict[tuple[str, int], str] = {}

    def handle(self, header: Header, running: bool) -> str | None:
        """Execute a command or answer a query; raises ScpiError."""
        pattern = header.pattern or ""
        if pattern in self._special:
            return self._special[pattern](header, running)
        kind, key = SIMPLE[pattern], (pattern, header.suffix)
        if header.query:
            return self.simple(*key)
        self._simple[key] = _switch(header.argument) if kind is SWITCH else kind.parse(header.argument)
        return None

    def simple(self, pattern: str, suffix: int = 0) -> str:
        """The value of a setting that depends on no other, as it is answered."""
        kind = SIMPLE[pattern]
        default = f"{kind.default:.6e}" if isinstance(kind, Number) else kind.default
        return self._simple.get((pattern, suffix), default)

    @property
    def setup(self) -> Setup:
        """What an acquisition needs to know."""
        source = self.simple("TRIGger:EDGe:SOURce")
        trigger = None
        if source.startswith("CHAN"):
            level_v = float(self.simple("TRIGger:EDGe:LEVel"))
            trigger = Trigger(int(source[-1]), self.simple("TRIGger:EDGe:SLOPe"), level_v, self.sweep == "AUTO")
        return Setup(self.horizontal, self.channels, trigger)

    # ---- channels -----------------------------------------------------------------------------------------------

    def _display(self, header: Header, _running: bool) -> str | None:
        if header.query:
            return str(int(self.channels[header.suffix].display))
        self._change(header.suffix, replace(self.channels[header.suffix], display=_switch(header.argument) == "1"))
        on = {n for n, c in self.channels.items() if c.display}
        self.horizontal = replace(self.horizontal, paired={1, 2} <= on or {3, 4} <= on)
        return None

    def _scale(self, header: Header, _running: bool) -> str | None:
        channel = self.channels[header.suffix]
        if header.query:
            return f"{channel.scale:.6e}"
        wanted = number(header.argument)
        if wanted <= 0:
            raise ScpiError(OUT_OF_RANGE)
        self._change(header.suffix, channel.with_scale(wanted))
        low, high = 1e-3 * channel.probe, (1.0 if channel.fifty_ohm else 5.0) * channel.probe
        if not low * (1 - 1e-9) <= wanted <= high * (1 + 1e-9):
            raise ScpiError(OUT_OF_RANGE)
        return None

    def _offset(self, header: Header, _running: bool) -> str | None:
        channel = self.channels[header.suffix]
        if header.query:
            return f"{channel.offset:.6e}"
        wanted = number(header.argument)
        self._change(header.suffix, channel.with_offset(wanted))
        if abs(wanted) > channel.offset_max:
            raise ScpiError(OUT_OF_RANGE)
        return None

    def _probe(self, header: Header, _running: bool) -> str | None:
        channel = self.channels[header.suffix]
        if header.query:
            return f"{channel.probe:.6e}"
        factor = min(PROBES, key=lambda p: abs(p - number(header.argument)))
        if abs(factor - number(header.argument)) > 1e-6 * factor:
            raise ScpiError(ILLEGAL_VALUE)
        self._change(header.suffix, channel.with_probe(factor))
        return None

    def _coupling(self, header: Header, _running: bool) -> str | None:
        if header.query:
            return self.channels[header.suffix].coupling
        value = Choice("DC", ("AC", "DC", "GND")).parse(header.argument)
        self._change(header.suffix, replace(self.channels[header.suffix], coupling=value))
        return None

    def _impedance(self, header: Header, _running: bool) -> str | None:
        channel = self.channels[header.suffix]
        if header.query:
            return "FIFT" if channel.fifty_ohm else "OMEG"
        fifty = Choice("OMEG", ("OMEG", "FIFTy")).parse(header.argument) == "FIFT"
        self._change(header.suffix, replace(channel, fifty_ohm=fifty).with_scale(channel.scale))
        return None

    def _invert(self, header: Header, _running: bool) -> str | None:
        if header.query:
            return str(int(self.channels[header.suffix].invert))
        self._change(header.suffix, replace(self.channels[header.suffix], invert=_switch(header.argument) == "1"))
        return None

    def _vernier(self, header: Header, _running: bool) -> str | None:
        if header.query:
            return str(int(self.channels[header.suffix].vernier))
        self._change(header.suffix, replace(self.channels[header.suffix], vernier=_switch(header.argument) == "1"))
        return None

    def _change(self, n: int, channel: Channel) -> None:
        self.channels = {**self.channels, n: channel}

    # ---- time base and memory -----------------------------------------------------------------------------------

    def _time_scale(self, header: Header, _running: bool) -> str | None:
        if header.query:
            return f"{self.horizontal.scale:.6e}"
        wanted = number(header.argument)
        if wanted <= 0:
            raise ScpiError(OUT_OF_RANGE)
        vernier = self.simple("TIMebase:VERNier") == "1" and not self._coarse
        self.horizontal = self.horizontal.with_scale(wanted, vernier=vernier)
        return None

    def _time_offset(self, header: Header, _running: bool) -> str | None:
        if header.query:
            return f"{self.horizontal.offset:.6e}"
        self.horizontal = self.horizontal.with_offset(number(header.argument))
        return None

    def _time_mode(self, header: Header, _running: bool) -> str | None:
        if header.query:
            return self.timebase_mode
        mode = Choice("MAIN", ("MAIN", "XY", "ROLL")).parse(header.argument)
        if mode == "ROLL" and self.horizontal.scale < ROLL_FROM_S * (1 - 1e-9):
            raise ScpiError(SETTINGS_CONFLICT)
        self.timebase_mode = mode
        return None

    def _depth(self, header: Header, running: bool) -> str | None:
        if header.query:
            depth = None if self._fixed_auto else self.horizontal.depth_setting
            return "AUTO" if depth is None else str(depth)
        if not running:
            raise ScpiError(SETTINGS_CONFLICT)
        if header.argument.upper() == "AUTO" or self._fixed_auto:
            self.horizontal = replace(self.horizontal, depth=None)
            return None
        depth = self.horizontal.depths().get(round(number(header.argument)))
        if depth is None:
            raise ScpiError(ILLEGAL_VALUE)
        self.horizontal = replace(self.horizontal, depth=depth)
        return None

    def _rate(self, header: Header, _running: bool) -> str | None:
        return f"{self.horizontal.rate_hz:.6e}" if header.query else None

    def _averages(self, header: Header, _running: bool) -> str | None:
        if header.query:
            return str(self.averages)
        wanted = round(number(header.argument))
        if wanted not in {1 << k for k in range(1, 14)}:
            raise ScpiError(OUT_OF_RANGE)
        self.averages = wanted
        return None


def _switch(text: str) -> str:
    return {"OFF": "0", "ON": "1"}.get(value := SWITCH.parse(text), value)
