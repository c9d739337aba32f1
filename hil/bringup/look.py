"""What is connected to this machine: a Pico, an oscilloscope, pigpiod, DACs on I²C. Only looks; nothing is changed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.errors import BenchError, HilError, InputError
from drivers.settings import PigpioSettings

if TYPE_CHECKING:
    from drivers.threshold.dac import I2cBus

SCOPE_MAKER = "RIGOL TECHNOLOGIES,DS4"
ANSWER_MS = 2_000
DAC_ADDRESSES = range(0x60, 0x68)  # MCP4728 and MCP4725: three address bits


@dataclass(frozen=True)
class Found:
    """One thing that was looked for: whether it is there, and what it is or why not."""

    what: str
    there: bool
    detail: str


@dataclass(frozen=True)
class Surroundings:
    """What was found, as a bench file needs it; empty where there is none."""

    pico_port: str
    scope: str
    pigpiod: bool
    dac: int | None
    all: tuple[Found, ...]


def surroundings(
    pigpio: PigpioSettings, i2c_bus: int, *, open_bus: Callable[[int], I2cBus] | None = None
) -> Surroundings:
    """Look for everything; raises nothing for what is not there."""
    pico_port, pico = _pico()
    scope, oscilloscope = _scope()
    daemon = _pigpiod(pigpio)
    address, dac = _dac(i2c_bus, open_bus)
    return Surroundings(pico_port, scope, daemon.there, address, (pico, oscilloscope, daemon, dac))


def _pico() -> tuple[str, Found]:
    from drivers.pico.finding import find_port

    try:
        port = find_port()
    except (BenchError, InputError) as error:
        return "", Found("Pico", False, str(error))
    return port, Found("Pico", True, f"MicroPython at {port}")


def _scope() -> tuple[str, Found]:
    import pyvisa

    try:
        manager = pyvisa.ResourceManager("@py")
        found = list(_scopes(manager))
    except (pyvisa.Error, OSError, ValueError) as error:
        return "", Found("oscilloscope", False, f"VISA cannot look: {error}")
    if not found:
        return "", Found(
            "oscilloscope", False, "no DS4024 answers on USB or LAN; name it with --scope TCPIP0::ADDRESS::INSTR"
        )
    resource, identity = found[0]
    others = f"; also {', '.join(other for other, _ in found[1:])}" if found[1:] else ""
    return resource, Found("oscilloscope", True, f"{identity} at {resource}{others}")


def _scopes(manager: object) -> Iterator[tuple[str, str]]:
    """Resource and identity of each oscilloscope of this series that VISA lists."""
    import pyvisa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyvisa-py says which optional back-ends it lacks
        listed = manager.list_resources("?*::INSTR")  # type: ignore[attr-defined]
    for resource in listed:
        try:
            session = manager.open_resource(resource, open_timeout=ANSWER_MS)  # type: ignore[attr-defined]
        except (pyvisa.Error, OSError, ValueError):
            continue  # somebody else's instrument, or one that is busy
        try:
            session.timeout = ANSWER_MS
            identity = str(session.query("*IDN?")).strip()
        except (pyvisa.Error, OSError, ValueError):
            continue
        finally:
            session.close()
        if identity.startswith(SCOPE_MAKER):
            yield resource, identity


def _pigpiod(settings: PigpioSettings) -> Found:
    from drivers.pigpio.link import PigpioLink

    try:
        link = PigpioLink(settings)
    except HilError as error:
        return Found("pigpiod", False, str(error))
    try:
        return Found("pigpiod", True, f"version {link.call('get_pigpio_version')} at {link.where}")
    finally:
        link.close()


def _dac(number: int, open_bus: Callable[[int], I2cBus] | None) -> tuple[int | None, Found]:
    from smbus2 import i2c_msg

    from drivers.threshold.dac import _open_bus

    what = f"DAC on I²C bus {number}"
    try:
        bus = (open_bus or _open_bus)(number)
    except HilError as error:
        return None, Found(what, False, str(error))
    found = []
    with closing(bus):
        for address in DAC_ADDRESSES:
            try:
                bus.i2c_rdwr(i2c_msg.read(address, 3))
            except OSError:
                continue  # nobody there
            found.append(address)
    if not found:
        return None, Found(what, False, "nobody answers at 0x60 to 0x67")
    return found[0], Found(what, True, ", ".join(f"0x{address:02x}" for address in found))
