"""Every pin that a document recommends passes the checker of bench files: what a reader wires is what was checked."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from drivers.benchfile import BenchFile
from drivers.pins import PULLED_UP_AT_BOOT
from tests.docs.documents import ROOT, blocks, documents, rows

PANEL = {"enable": "enable", "lamp": "lamp", "e-stop": "estop"}


def wired(text: str) -> dict[str, list[int]]:
    """Line or panel part → the Pi's pins, from the rows of tables such as | dendrite | GPIO 17 | …"""
    found: dict[str, list[int]] = {}
    for cells in rows(text):
        name, pins = cells[0].removesuffix("…").split("0…")[0], re.match(r"GPIO ([\d, ]+)", " ".join(cells[1:2]))
        if pins and name in {"dendrite", "reset", "sync", "select", *PANEL}:
            found[name] = [int(pin) for pin in re.findall(r"\d+", pins[1])]
    return found


def bench(pins: dict[str, list[int]]) -> dict[str, Any]:
    """A bench file with these pins."""
    return {
        "name": "documented",
        "kind": "pi",
        "pulse_source": "pigpio",
        "axon_reader": "scope",
        "scope": {"resource": "TCPIP0::192.0.2.1::INSTR"},
        "threshold": {"source": "mcp4728"},
        "board": {"addresses": len(pins.get("select", []))},
        "wiring": {
            "dendrite": pins["dendrite"][0],
            "reset": pins["reset"][0],
            "sync": pins["sync"][0],
            "select": pins.get("select", []),
        },
        "panel": {PANEL[name]: pins[name][0] for name in PANEL if name in pins},
    }


def with_wiring() -> list[Path]:
    return [page for page in documents() if "dendrite" in wired(page.read_text(encoding="utf-8"))]


def test_the_bring_up_guide_has_a_wiring_table_with_a_panel() -> None:
    (page,) = (page for page in with_wiring() if page.name == "bring-up.md")
    assert {"dendrite", "reset", "sync", "select", "enable", "e-stop"} <= set(wired(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", with_wiring(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_wiring_tables_pass_the_checker(page: Path) -> None:
    pins = wired(page.read_text(encoding="utf-8"))
    checked = BenchFile.model_validate(bench(pins))
    assert checked.panel is None or checked.panel.enable not in PULLED_UP_AT_BOOT


def test_bench_files_printed_in_documents_are_valid() -> None:
    for page in documents():
        for block in blocks(page.read_text(encoding="utf-8"), "toml"):
            if "kind =" in block:
                BenchFile.model_validate(tomllib.loads(block))
