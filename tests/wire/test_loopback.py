"""`hil doctor --loopback` names what is wrong with the board."""

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


@pytest.mark.parametrize(
    ("board", "scope", "check", "advice"),
    [
        ("wrong_address", "", "pulses reach the neuron", "select0 never closes"),
        ("stuck_axon_low", "", "fires at the lowest V_th", "axon stuck low"),
        ("sync_axon_swapped", "", "loopback", "mend this first"),
        ("inverted_comparator", "", "loopback", "mend this first"),
        ("", "x10_probe", "loopback", "mend this first"),
        ("", "clipped_channel", "loopback", "mend this first"),
    ],
)
def test_a_fault_is_named(rig: Callable[..., Rig], board: str, scope: str, check: str, advice: str) -> None:
    made = rig("nominal", board=(board,) if board else (), scope=(scope,) if scope else ())
    found = verdicts(made)
    assert not found[check].ok
    assert advice in found[check].advice
    assert made.board.levels() == 0
