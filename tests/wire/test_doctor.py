"""`hil doctor --loopback` tells the faults of the twin apart: the first line of advice names the wire, setting or part.

Every fault has a bench of its own; they are looked at side by side, because most of the time they wait.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import pytest

from drivers.benchfile import BenchFile
from drivers.checks import Check
from drivers.mock.board import FAULTS as BOARD_FAULTS
from drivers.mock.ds4024.faults import FAULTS as SCOPE_FAULTS
from drivers.mock.pico import FAULTS as PICO_FAULTS
from drivers.mock.pigpiod import FAULTS as PIGPIOD_FAULTS
from hil.commands.doctor import checks
from tests.wire.twin import twin

pytestmark = pytest.mark.wire

COPED = ""  # the drivers cope with it, and every check is well (tests/drivers/ds4024/test_reader.py)
AT_ONCE = 3  # twins of one process, which keep each other from running

ADVICE = {  # of the bench pigpio + scope, or pico + pico for faults of the Pico
    "stuck_axon_high": r"axon stuck high: check the comparator's output and the axon wire for a short",
    "stuck_axon_low": r"axon stuck low: check comparator supply and pull-up",
    "inverted_comparator": r"exchange the comparator's inputs, or set spikes.inverted = true",
    "sync_missing": r"check the sync wire from its GPIO to the probe",
    "sync_axon_swapped": r"exchange the two probes, or their numbers in \[scope\] channels",
    "wrong_address": r"select0 never closes its switch: check its wire",
    "x10_probe": r"set the probes' switches to scope.probe = 10",
    "lost_trigger": r"press Default at its front panel, leave its trigger menu alone",
    "single_without_trigger": r"check that sync \(CHAN3\) is quiet",
    "clipped_channel": r"check that the probe's switch agrees with scope.probe",
    "old_firmware": r"update it to 00.02.03",
    "no_reply": r"check that it is on and on the network",
    "short_block": r"restart the oscilloscope, and check its LAN or USB cable",
    "truncated_block": r"restart the oscilloscope|check that it is on",
    "disconnect_mid_block": r"restart the oscilloscope|check that it is on",
    "auto_depth": COPED,
    "coarse_time_base": COPED,
    "hangs_on_clear": COPED,
    "late_idle": COPED,
    "missed_td": COPED,
    "stale_preamble": COPED,
    "wrong_increment": COPED,
    "connection_refused": r"start it with `sudo systemctl start pigpiod`",
    "dies_in_shot": r"switch the bench off",
    "doubled_clock": r"half speed, joan2937/pigpio#331: start pigpiod with -t0",
    "slow_clock": r"13 % slow, joan2937/pigpio#137",
    "lost_reports": COPED,
    "lost_samples": COPED,
    "out_of_control_blocks": r"stop that program or restart pigpiod",
    "unplugged": r"plug it in again",
    "reboot": r"start again|check its USB",
    "garbled_line": COPED,
    "stale_firmware": r"run `hil flash`",
    "axon_raised_rest": COPED,
    "axon_glitches": r"^$|check the axon wire",
    "axon_sticks": r"axon stuck high|check the axon wire",
    "axon_hum": COPED,
    "axon_slow_edges": r"check the axon (wire|line)",
    "axon_notches": r"check the axon (wire|line)",
    "axon_runts": r"check the axon (wire|line)",
    "axon_echo": r"check that the probe's switch|check the axon wire",
    "axon_narrow": r"check the axon (wire|line)",
}
BY_READER = {  # faults that readers see differently
    (("pigpio", "gpio"), "stuck_axon_high"): r"axon stuck high",
    (("pigpio", "gpio"), "stuck_axon_low"): r"axon stuck low",
    (("pigpio", "gpio"), "inverted_comparator"): r"inputs, or set spikes.inverted = true$",
    (("pigpio", "pico"), "stuck_axon_high"): r"axon stuck high",
    (("pigpio", "pico"), "inverted_comparator"): r"inputs$",
    (("pigpio", "gpio+pico"), "stuck_axon_high"): r"axon stuck high: check the comparator's output",
    (("pigpio", "gpio+pico"), "inverted_comparator"): r"inputs$",  # a Pico cannot be told to read the other way round
    (("pico", "scope+pico"), "inverted_comparator"): r"inputs$",
    (("pico", "pico"), "stuck_axon_high"): r"axon stuck high",
    (("pico", "pico"), "stuck_axon_low"): r"axon stuck low",
    (("pico", "pico"), "inverted_comparator"): r"exchange the comparator's inputs$",
    (("pico", "scope"), "inverted_comparator"): r"inputs, or set spikes.inverted = true$",
}
PARTS = {"board": BOARD_FAULTS, "pigpiod": PIGPIOD_FAULTS, "scope": SCOPE_FAULTS, "pico": PICO_FAULTS}


def diagnosed(fault: str, folder: Path, parts: tuple[str, str] | None = None) -> list[Check]:
    """Every check of a bench with one fault; the device is its own, as only one program may have one."""
    part = next(part for part, faults in PARTS.items() if fault in faults)
    parts = parts or (("pico", "pico") if part == "pico" else ("pigpio", "scope"))
    name = "-".join([fault, *parts]).replace("+", "-")
    device = folder / f"{name}.toml"
    nominal = (files("drivers.mock") / "devices" / "nominal.toml").read_text(encoding="utf-8")
    device.write_text(nominal.replace('id = "nominal"', f'id = "{name}"'))
    with twin(*parts, str(device), faults={part: (fault,)}) as (file, board):
        kept = str(folder / f"{name}.passports")  # and what is known of its oscilloscope
        asked = quick(file).model_copy(update={"passports": kept})
        found = [check for check in checks(asked, str(device), loopback=True) if check.name != "calibration"]
        board.misuse.take()
    return found


def quick(file: BenchFile) -> BenchFile:
    """With less patience than for a real instrument."""
    assert file.scope is not None
    return file.model_copy(update={"scope": file.scope.model_copy(update={"timeout_s": 1.0})})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Check]]:
    """Those of time one after the other: the Pico's host expects an answer within a third of a second, and the wave
    clock is measured by a host that looks every millisecond.
    """
    folder = tmp_path_factory.mktemp("devices")
    alone = [fault for fault in ADVICE if fault in {*PICO_FAULTS, "doubled_clock", "slow_clock"}]
    together = [fault for fault in ADVICE if fault not in alone and ADVICE[fault] != COPED]
    done = {fault: diagnosed(fault, folder) for fault in alone}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return done | dict(zip(together, pool.map(lambda fault: diagnosed(fault, folder), together), strict=True))


def test_every_fault_of_the_twin_is_in_the_table() -> None:
    assert set(ADVICE) == {name for faults in PARTS.values() for name in faults}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_faults_are_named_by_the_first_advice(found: dict[str, list[Check]]) -> None:
    wrong = {}
    for fault, made in found.items():
        advice = [check.advice for check in made if not check.ok and not check.name.endswith("at rest")]
        first = advice[0] if advice else ""
        if not re.search(ADVICE[fault] or "^$", first):
            wrong[fault] = first
    assert not wrong


@pytest.mark.parametrize(("parts", "fault"), BY_READER)
def test_every_reader_tells_a_stuck_axon_from_one_upside_down(
    parts: tuple[str, str], fault: str, tmp_path: Path
) -> None:
    bad = [c for c in diagnosed(fault, tmp_path, parts) if not c.ok and not c.name.endswith("at rest")]
    assert re.search(BY_READER[parts, fault], bad[0].advice), bad


def test_without_the_loopback_it_says_what_only_that_can_tell(tmp_path: Path) -> None:
    with twin("pigpio", "scope", faults={"board": ("sync_missing",)}) as (file, board):
        before = board.pulses_total, board.resets_total
        last = list(checks(file, "ideal", loopback=False))[-1]
        assert (board.pulses_total, board.resets_total) == before
    assert (last.name, last.ok) == ("loopback", True)
    assert "only --loopback" in last.detail


def test_a_loopback_that_is_not_played_is_not_passed_over(tmp_path: Path) -> None:
    with twin("pigpio", "scope", faults={"pigpiod": ("connection_refused",)}) as (file, _board):
        last = list(checks(file, "ideal", loopback=True))[-1]
    assert (last.name, last.ok, last.detail) == ("loopback", False, "not played: a part above does not answer")
