"""The reference board: its netlist is whole, and the simulation holds what its page promises."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from board import page, scenarios
from board.nets import NETS, NOT_CONNECTED, PIN_COUNTS
from board.parts import BY_REF
from board.schematic import SHEETS, draw
from board.spice import ADG1212, Scenario, have_ngspice, run
from drivers.benchfile import BenchFile
from tests.docs.documents import ROOT, blocks

PAGE = page.PAGE.read_text(encoding="utf-8")
simulated = pytest.mark.skipif(not have_ngspice(), reason="ngspice is not installed (apt install ngspice)")


def bench() -> BenchFile:
    (text,) = blocks(PAGE, "toml")
    return BenchFile.model_validate(tomllib.loads(text))


def test_every_pin_is_on_one_net_or_said_to_be_open() -> None:
    pins = [pin for net in NETS.values() for pin in net]
    assert len(pins) == len(set(pins))
    for ref, count in PIN_COUNTS.items():
        for number in range(1, count + 1):
            assert (f"{ref}.{number}" in pins) != (f"{ref}.{number}" in NOT_CONNECTED), f"{ref}.{number}"
    assert all(len(net) > 1 for net in NETS.values())


def test_parts_and_nets_name_the_same_parts() -> None:
    assert {pin.split(".")[0] for net in NETS.values() for pin in net} == set(BY_REF)


def test_the_schematic_is_the_committed_one_and_shows_every_part(tmp_path: Path) -> None:
    shown = ""
    for sheet in SHEETS:
        draw(sheet, tmp_path / f"{sheet}.svg")
        new = (tmp_path / f"{sheet}.svg").read_text(encoding="utf-8")
        old = page.PAGE.with_name(f"board-{sheet}.svg").read_text(encoding="utf-8")
        assert re.findall(r">([^<>]+)</t", new) == re.findall(r">([^<>]+)</t", old), "run make board"
        shown += new
    known = set(re.findall(r"\b(?:RV|[A-Z])\d+", shown))
    assert {ref for ref in BY_REF if not re.fullmatch(r"C[67]\d", ref)} <= known
    assert known - set(BY_REF) <= {"S1", "S2", "S3", "S4"} | {f"SELECT{i}" for i in range(4)}


@pytest.mark.parametrize("name", page.TABLES)
def test_the_tables_of_the_page_are_those_of_the_board(name: str) -> None:
    assert page.table_in(PAGE, name) == page.TABLES[name](), "run make board"


def test_the_pins_of_the_page_are_those_of_its_bench_file() -> None:
    file = bench()
    assert file.wiring is not None
    assert file.panel is not None
    assert {name: pin for name, (pin, _) in page.PI.items() if name not in ("SDA", "SCL", "enable")} == {
        line.name: line.pin for line in file.wiring.lines()
    }
    assert page.PI["enable"][0] == file.panel.enable


def test_computed_numbers_of_the_page() -> None:
    assert pytest.approx(7.05e-6, abs=0.005e-6) == scenarios.I_SENSE_A
    assert pytest.approx(0.28, abs=0.005) == scenarios.I_SENSE_A * 40e3
    assert BY_REF["R20"].value * BY_REF["C20"].value == pytest.approx(2.2e-3)
    assert bench().limits.pulse_width_max_s < 2.2e-3
    assert pytest.approx(62e-6, abs=1e-6) == 2.4 / BY_REF["R35"].value
    assert pytest.approx(54e-6, abs=1e-6) == 2.4 / (BY_REF["R30"].value + 40e3)
    assert pytest.approx(61, abs=0.6) == 9 + 2 + 0.3 + 0.7 + 20 + 0.0125 * 700 + 0.7 * 41 / 2048 * 1e3 + 13 * 0.5


@simulated
@pytest.mark.parametrize("name", page.SIMULATED)
def test_the_simulated_numbers_of_the_page_are_what_ngspice_says(name: str) -> None:
    said, found = page.table_in(PAGE, name).splitlines(), page.SIMULATED[name]().splitlines()
    for old, new in zip(said, found, strict=True):
        assert re.sub(r"-?\d+\.?\d*", "#", old.split("|", 2)[2]) == re.sub(r"-?\d+\.?\d*", "#", new.split("|", 2)[2])
        for a, b in zip(*(re.findall(r"-?\d+\.?\d*", row.split("|", 2)[2]) for row in (old, new)), strict=True):
            assert float(a) == pytest.approx(float(b), rel=0.1, abs=0.02), new


@simulated
def test_the_bench_file_leaves_the_board_the_time_it_needs() -> None:
    file = bench()
    node, firing = scenarios.node(ADG1212), scenarios.loop()
    assert file.slot.dendrite_clock_hz < node.fastest_hz(file.vth_v, 0.05)
    assert file.slot.guard_s > 2 * node.released_s
    assert file.board.axon_width_s == pytest.approx(firing.axon_s, rel=0.05)
    assert firing.delay_s <= file.board.axon_delay_s * 1.05
    assert (
        file.slot.settle_s
        > node.rises_in_s(1.05 * file.vth_v / scenarios.I_SENSE_A, file.vth_v)
        - (1 / file.slot.dendrite_clock_hz - file.slot.pulse_width_s)
        + firing.delay_s
        + firing.axon_s
    )
    assert firing.blocked


@simulated
def test_margins_of_the_threshold() -> None:
    file = bench()
    low = max(scenarios.glitch(switch).highest_v for switch in scenarios.NODES.values())
    assert low < file.limits.vth_min_v / 2
    assert scenarios.compliance_v() < file.limits.vth_max_v - 0.1


def test_a_scenario_names_the_net_that_is_not_there() -> None:
    with pytest.raises(KeyError, match="no net NOWHERE"):
        run(Scenario(1e-6), ["NOWHERE"])


def test_pictures_of_the_page_exist() -> None:
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", PAGE):
        assert (page.PAGE.parent / picture).is_file(), ROOT
