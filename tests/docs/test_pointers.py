"""What the program points to exists, and what it can say stands in the guide: every pointer is followed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.parts.table import TABLE
from tests.docs.documents import ROOT, documents, rows

SOURCES = [path for room in ("drivers", "calibration", "hil", "firmware") for path in (ROOT / room).rglob("*.py")]
GUIDE = (ROOT / "docs" / "how-to" / "bring-up.md").read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """What a page's headings are called in a link, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pointers() -> Iterator[tuple[str, str]]:
    """(where it stands, what it points to) for every page that a string of the program names."""
    for path in SOURCES:
        for found in re.findall(r"(?:docs/[\w\-/]+|firmware/\w+)\.md(?:#[\w\-]+)?", path.read_text(encoding="utf-8")):
            yield str(path.relative_to(ROOT)), found


def test_there_are_pointers_to_follow() -> None:
    assert {"docs/how-to/bring-up.md#oscilloscope", "docs/how-to/bring-up.md#loopback"} <= {to for _, to in pointers()}


@pytest.mark.parametrize(("where", "to"), sorted(set(pointers())))
def test_pages_and_headings_that_the_program_points_to_exist(where: str, to: str) -> None:
    page, _, heading = to.partition("#")
    assert (ROOT / page).is_file(), where
    assert not heading or heading in anchors(ROOT / page), where


def links() -> Iterator[tuple[Path, str]]:
    for page in documents():
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if not re.match(r"\w+:", target):
                yield page, target


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for page, target in links():
        file, _, heading = target.partition("#")
        there = page.parent / file if file else page
        if not there.exists() or (heading and heading not in anchors(there)):
            broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken


def check_names() -> set[str]:
    """The first argument of every Check(…) in the program, a gap for what is computed."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Check" and node.args:
                name = node.args[0]
                if isinstance(name, ast.Constant):
                    found.add(str(name.value))
                elif isinstance(name, ast.JoinedStr):
                    found.add("".join(p.value if isinstance(p, ast.Constant) else "…" for p in name.values))  # type: ignore[misc]
    return found


def test_the_guide_explains_every_row_that_doctor_can_print() -> None:
    first = [cells[0] for cells in rows(GUIDE.split("## What the rows")[1])]
    explained = {name.strip() for cell in first for name in (cell, *cell.split(","))}
    assert check_names() >= {"pins", "panel", "level of …", "scope … at rest"}
    assert check_names() <= explained, "say in docs/how-to/bring-up.md what these rows of hil doctor mean"
    assert {name for parts in TABLE.values() for name in parts} <= explained | {"pigpiod"}
