"""What real hardware would punish, the twin punishes: the driver is broken in one place, and the run does not go well.

Each mutation replaces one text in the source of one function. Punished is: an error, misuse that the board records, or
slots that are not ok. What must not be is a run that looks well.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

from drivers import edges, pi
from drivers.ds4024 import memory, plan, settings
from drivers.errors import HilError
from drivers.pigpio import source, stream
from drivers.signals import SlotTiming, probe_frame
from tests.wire.conftest import Rig

pytestmark = pytest.mark.wire
SHORT, LONG = [3, 1, 4, 1, 5, 9, 2, 6], [6] * 1500  # the latter is more than two waves

_ARM = 'self._timed("arming", lambda: self._parts.reader.arm(shot))'
_ARM_AND_START = f"{_ARM}\n        self.account.started()\n        self._parts.source.start()"
_START_AND_ARM = f"self.account.started(); self._parts.source.start(); {_ARM}"
MUTATIONS: dict[str, tuple[ModuleType, str, str, str, list[int]]] = {
    "no break before make": (edges, "compile_levels", "(start + ticks.break_, sync", "(start, sync", SHORT),
    "no guard before the reset": (edges, "compile_levels", "ticks.break_ + ticks.guard", "ticks.break_", SHORT),
    "selects one bit off": (edges, "select_levels", "np.uint32(SELECT0)", "np.uint32(SELECT0 << 1)", SHORT),
    "no closing sync pulse": (edges, "compile_levels", "ends[-1] + ticks.lead]", "ends[-1] + 1]", SHORT),
    "sync and dendrite swapped": (
        edges,
        "compile_levels",
        "np.uint32(SYNC)",
        "np.uint32(DENDRITE)",
        SHORT,
    ),
    "lines that are no outputs": (source, "PigpioPulses.prepare", '"write", line.pin, 0', '"read", line.pin', SHORT),
    "waves that cut each other off": (stream, "WaveStream._send", "ONE_SHOT_SYNC)", "ONE_SHOT)", LONG),
    "wrong sign of the offset": (plan, "CapturePlan.offset_s", "self.record_s / 2 - self.pre_s", "self.pre_s", SHORT),
    "armed too late": (pi, "PiBench._begin", _ARM_AND_START, _START_AND_ARM, SHORT),
    "no reading thread": (memory, "_begin_reading", '":WAV:BEG"', '":WAV:RES"', SHORT),
    "trigger above every level": (settings, "wanted_settings", "sync_level_v:g", "sync_level_v + 3:g", SHORT),
}


def mutate(patch: pytest.MonkeyPatch, module: ModuleType, name: str, old: str, new: str) -> None:
    """Replace one text in a function or method, wherever the module's users have taken it to."""
    owner, _, last = name.rpartition(".")
    place = getattr(module, owner) if owner else module
    found = inspect.getattr_static(place, last)
    function: Any = found.fget if isinstance(found, property) else found
    text = textwrap.dedent(inspect.getsource(function)).replace("@property\n", "")
    assert old in text, f"{name} no longer has {old!r}"
    namespace: dict[str, object] = {}
    exec(text.replace(old, new, 1), module.__dict__, namespace)  # noqa: S102 (our own source)
    made = namespace[last]
    assert isinstance(made, FunctionType)
    patch.setattr(place, last, property(made) if isinstance(found, property) else made)
    if not owner:
        for other in [module for name, module in sys.modules.items() if name.startswith("drivers.")]:
            if getattr(other, last, None) is found:
                patch.setattr(other, last, made)


def test_the_documentation_lists_them_all() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "twin.md").read_text(encoding="utf-8")
    table = page.partition("## A driver that is wrong in one place")[2].partition("\n## ")[0]
    listed = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:]
    assert listed == list(MUTATIONS)
    assert len(listed) >= 10


@pytest.mark.parametrize("name", ["none", *MUTATIONS])
def test_a_mutation_of_the_driver_is_punished(
    rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    counts = SHORT
    if name != "none":
        *mutation, counts = MUTATIONS[name]
        mutate(monkeypatch, *mutation)  # type: ignore[arg-type]
    punished = ""
    made = rig("ideal")
    try:
        captures = list(made.bench.play([probe_frame("mutant", SlotTiming(), counts)]))
        if made.board.misuse.count:
            punished = str(made.board.misuse.take()[0])
        elif not np.concatenate([c.ok for c in captures]).all():
            punished = "slots not ok"
        else:
            assert np.concatenate([c.spikes for c in captures]).tolist() == counts
    except HilError as error:
        punished = str(error)
    made.board.misuse.take()
    assert bool(punished) == (name != "none"), punished
