"""Every part of the table is what its role needs, and those of other packages are found."""

from __future__ import annotations

from typing import get_args

import pytest

from drivers import bench as protocols
from drivers.audit import AuditedReader
from drivers.bench import Bench
from drivers.benchfile import load_bench
from drivers.checks import Check, each
from drivers.ds4024.reader import ScopeReader
from drivers.errors import BenchError, InputError
from drivers.mock.bench import MockBench
from drivers.mock.pico import WIRING as PICO_WIRING
from drivers.panel import GpioPanel
from drivers.parts import table
from drivers.parts.assembly import check_parts
from drivers.parts.kind import PartKind
from drivers.pi import PiBench
from drivers.pico.device import Pico
from drivers.pigpio.reader import GpioReader
from drivers.pigpio.source import PigpioPulses
from drivers.settings import ScopeSettings, ThresholdSettings
from drivers.threshold.dac import DacThreshold
from drivers.threshold.manual import ManualThreshold
from hil.store.recording import RecordingBench

PROTOCOLS: dict[table.Role, type] = {
    "pulse_source": protocols.PulseSource,
    "axon_reader": protocols.AxonReader,
    "threshold": protocols.ThresholdSource,
    "panel": protocols.Panel,
}
CLASSES: dict[str, type] = {
    "axon_reader.gpio": GpioReader,
    "panel.gpio": GpioPanel,
    "pigpio": PigpioPulses,
    "pico": Pico,
    "scope": ScopeReader,
    "both": AuditedReader,
    "mcp4728": DacThreshold,
    "mcp4725": DacThreshold,
    "manual": ManualThreshold,
}


def lacks(made: type, protocol: type) -> list[str]:
    """Public members of the protocol that the class does not have."""
    return [name for name in dir(protocol) if not name.startswith("_") and not hasattr(made, name)]


@pytest.mark.parametrize(("role", "name"), [(r, n) for r in get_args(table.Role) for n in table.TABLE[r]])
def test_every_part_has_all_that_its_role_needs(role: table.Role, name: str) -> None:
    kind = table.find(role, name)
    assert isinstance(kind, PartKind)
    assert lacks(CLASSES.get(f"{role}.{name}") or CLASSES[name], PROTOCOLS[role]) == []
    assert role != "pulse_source" or kind.tick_s


@pytest.mark.parametrize("made", [MockBench, PiBench, RecordingBench])
def test_every_bench_is_one(made: type) -> None:
    assert lacks(made, Bench) == []


def test_a_class_that_forgets_a_member_is_noticed() -> None:
    assert lacks(type("Bare", (), {}), protocols.ThresholdSource) == [
        "close",
        "identity",
        "park",
        "prepare",
        "set_threshold",
    ]


def test_an_unknown_part_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"threshold.source = 'knob' is none of: pico, mcp4728, mcp4725, manual"):
        table.find("threshold", "knob")


def test_a_check_that_breaks_hides_no_other_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with a plain error of Python's: it is a row, and says that it is a fault of ours."""

    def breaks(*_: object) -> None:
        raise KeyError(":CHAN1:SCAL")

    monkeypatch.setattr("drivers.ds4024.oscilloscope._open", breaks)
    monkeypatch.setattr("drivers.pigpio.source.pigpio_checks", lambda *_: [Check("pigpiod", True, "there")])
    file = load_bench("mock").model_copy(
        update={
            **{"kind": "pi", "pulse_source": "pigpio", "axon_reader": "scope", "wiring": PICO_WIRING},
            "scope": ScopeSettings(resource="TCPIP0::192.0.2.10::INSTR"),
            "threshold": ThresholdSettings(source="manual"),
        }
    )
    rows = {check.name: check for check in check_parts(file)}
    assert rows["pigpiod"].ok
    assert rows["scope"].detail == "KeyError: ':CHAN1:SCAL'"
    assert "report" in rows["scope"].advice


def test_a_check_that_breaks_hides_no_other_of_its_part() -> None:
    def breaks() -> Check:
        raise BenchError("no resources")

    rows = list(
        each("pigpiod", [lambda: Check("version", True, "79"), breaks, lambda: Check("pins", True, "")], "mend")
    )
    assert [(row.name, row.ok) for row in rows] == [("version", True), ("pigpiod", False), ("pins", True)]
