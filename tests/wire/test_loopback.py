"""The loopback of a sound board; that of one with faults is in test_doctor.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.checks import Check, loopback
from tests.wire.conftest import Rig

pytestmark = pytest.mark.wire


def verdicts(rig: Rig) -> dict[str, Check]:
    return {check.name: check for check in loopback(rig.bench, rig.bench.file)}


def test_a_sound_board_passes(rig: Callable[..., Rig]) -> None:
    made = rig("nominal")
    found = verdicts(made)
    assert [c.ok for c in found.values()] == [True] * len(found)
    assert {"level of sync", "pulses reach the neuron"} <= set(found)
    assert made.board.threshold_v == 2.0
