"""The house: how many modules a room holds, what they are called, and that there is no circle of imports.

Which room may import which is held by import-linter, see pyproject.toml.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("firmware", "drivers", "calibration", "hil")
MOST_MODULES = 17
# What every part has: such a module may stand in the folder of each part, and once more beside them.
SHARED_VOCABULARY = {
    "link",
    "reader",
    "plan",
    "checks",
    "device",
    "bench",
    "settings",
    "memory",
    "server",
    "faults",
    "dac",
}


def modules(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.py") if path.stem not in ("__init__", "__main__"))


def rooms() -> list[Path]:
    return sorted({path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")})


@pytest.mark.parametrize("room", rooms(), ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_is_small(room: Path) -> None:
    if room == ROOT / "hil" / "commands":
        pytest.skip("one module a command: as many as there are commands")
    assert len(modules(room)) <= MOST_MODULES


@pytest.mark.parametrize("package", PACKAGES)
def test_names_do_not_repeat(package: str) -> None:
    """A command's module is called as the command is, whatever else has that name."""
    named = [
        name
        for room in rooms()
        if room.is_relative_to(ROOT / package) and room.name != "commands"
        for name in modules(room)
        if "standins" not in room.parts
    ]
    repeated = {name for name, count in Counter(named).items() if count > 1}
    assert repeated <= SHARED_VOCABULARY


def imports(path: Path) -> set[str]:
    """Modules of ours that a file imports when it is imported itself, or for its types."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] in PACKAGES}
    return found


def test_no_two_modules_import_each_other() -> None:
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.stem != "__init__"
    }
    graph: dict[str, set[str]] = defaultdict(set)
    for name, path in files.items():
        graph[name] = imports(path) & files.keys() - {name}
    assert _circle(graph) == []


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of imports, empty when there is none: depth first, with the way that led here."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            found = visit(other, [*way, name])
            if found:
                return found
        done.add(name)
        return []

    for name in sorted(graph):
        found = visit(name, [])
        if found:
            return found
    return []
