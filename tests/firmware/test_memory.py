"""Memory on a Pico: large blocks once and in one piece, within the budget that firmware/README.md states."""

from __future__ import annotations

import re
import runpy
from array import array
from typing import Any

import pytest

from firmware import protocol
from tests.firmware import pico_modules
from tests.firmware.conftest import Inside
from tests.firmware.ledger import Ledger

FREE, LARGEST_FREE = 192_000, 165_000  # after importing, on a Pico (MicroPython 1.24.1 and 1.28.0, emulated chip)


def budget() -> dict[str, int]:
    """Kilobytes of the README's table of memory, in bytes."""
    text = (pico_modules.FIRMWARE / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| memory: ([a-z ]+) \| (\d+) kB", text, flags=re.M)
    return {name: int(kilobytes) * 1000 for name, kilobytes in rows}


def buffers() -> list[Any]:
    modules = pico_modules.load()
    return [modules.buffers.words, modules.buffers.seen, modules.buffers.spikes, modules.buffers.runs]


def size(block: Any) -> int:
    return len(block) * (block.itemsize if isinstance(block, array) else 1)


def test_the_large_blocks_are_as_the_document_says() -> None:
    sizes = [size(block) for block in buffers()]
    assert sum(sizes) == pytest.approx(budget()["large blocks"], abs=1000)
    assert max(sizes) == pytest.approx(budget()["largest block"], abs=1000)


def test_taking_them_takes_no_more_than_they_are() -> None:
    with Ledger() as ledger:
        runpy.run_path(str(pico_modules.FIRMWARE / "buffers.py"))
    assert ledger.largest < budget()["largest block"] + 6_000, ledger.where
    assert ledger.peak < budget()["large blocks"] + 6_000
    assert ledger.peak < LARGEST_FREE


def test_a_block_that_is_made_twice_is_noticed() -> None:
    """`array("I", bytes(n))`, as it was once: the largest block needed 164 kB."""
    with Ledger() as ledger:
        code = compile('x = array("I", bytes(81952))\ny = 0\n', str(pico_modules.FIRMWARE / "doubled.py"), "exec")
        exec(code, {"array": array})  # noqa: S102 (has to be a firmware file)
    assert ledger.largest > 2 * 81_000


def test_loading_playing_and_reading_stay_within_what_is_left(inside: Inside) -> None:
    """The longest lines of the protocol, a shot in each bank: what is in use at a time beside the large blocks."""
    inside.ready()
    ask = inside.modules.link.chip.ask
    runs = protocol.pack_runs([1, 3] * 350, [1] * 700)
    lines = [protocol.request(7, "data", protocol.data_args(7, shot, 0, runs))[:-1] for shot in (1, 2)]
    with Ledger() as ledger:
        inside.modules.link.chip.ask = lambda *args, **options: ledger.foreign(ask, *args, **options)
        for line in lines:
            shot = int(inside.ask("load 0 700 700 1400")["shot"])
            assert inside.line(line)[1]["slots_left"] == "0"
            inside.ask(f"play {shot}")
        inside.modules.link.chip.ask = ask
    assert ledger.largest < budget()["left for lines"] / 2, ledger.where
    assert ledger.peak < budget()["left for lines"], ledger.where


def test_the_budget_adds_up() -> None:
    found = budget()
    assert found["free after importing"] == FREE
    assert found["large blocks"] + found["left for lines"] <= found["free after importing"]


@pytest.mark.parametrize(("free", "slots"), [(241_000, 2048), (228_000, 1024), (184_000, 1024), (1 << 30, 2048)])
def test_banks_are_as_large_as_memory_allows(free: int, slots: int) -> None:
    assert pico_modules.load().buffers.slots_a_bank(free) == slots
