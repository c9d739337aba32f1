"""The loopback of a sound board; that of one with faults is in test_doctor.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.checks import Check, loopback
from hil.commands.doctor import checks
from tests.wire.conftest import Rig
from tests.wire.twin import twin

pytestmark = [pytest.mark.wire, pytest.mark.slow]


def verdicts(rig: Rig) -> dict[str, Check]:
    return {check.name: check for check in loopback(rig.bench, rig.bench.file)}


@pytest.mark.parametrize("device", ["nominal", "ideal"])
def test_a_sound_board_passes(rig: Callable[..., Rig], device: str) -> None:
    """Also where every pulse is a spike, which is more than a neuron makes."""
    made = rig(device)
    found = verdicts(made)
    assert [c.ok for c in found.values()] == [True] * len(found)
    assert {"level of sync", "pulses reach the neuron"} <= set(found)
    assert made.board.threshold_v == 2.0


@pytest.mark.parametrize("source", ["pico", "pigpio"])
def test_a_sound_board_passes_with_an_auditor(source: str) -> None:
    """What the auditor may do faster is proven beside a counter that has to be read, or sees fewer slots."""
    with twin(source, "both", "nominal") as (file, _board):
        found = [check for check in checks(file, "nominal", loopback=True) if check.name != "calibration"]
    assert [check for check in found if not check.ok] == []
    assert "scope few samples" in {check.name for check in found}


@pytest.mark.parametrize("reader", ["scope", "gpio"])
def test_an_ordinary_board_passes(reader: str) -> None:
    """Its comparator is quick where V_th is low and the neuron far above: it fires again at once."""
    with twin("pigpio", reader, "nominal", rough=1.0) as (file, _board):
        found = [check for check in checks(file, "nominal", loopback=True) if check.name != "calibration"]
    assert [check for check in found if not check.ok] == []
