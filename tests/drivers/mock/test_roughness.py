"""The rough twin: what is not ideal has the size that it says, and at 0 nothing is."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from drivers.device import load_device
from drivers.errors import InputError
from drivers.mock.analog import coupled, shaped
from drivers.mock.board import Board
from drivers.mock.pigpiod.header import OUTPUT, Pins
from drivers.mock.roughness import SMOOTH, UNSCALED, Pauses, Roughness, roughness
from drivers.settings import BoardSettings, Wiring

WIRING = Wiring(dendrite=17, reset=27, sync=22, select=(9, 10))


class Clock:
    ns = 0

    def __call__(self) -> int:
        return self.ns


def test_every_size_has_a_source_and_scales() -> None:
    for f in fields(Roughness):
        assert len(f.metadata["source"]) > 4
        if f.name not in UNSCALED:
            assert getattr(roughness(2), f.name) == pytest.approx(2 * getattr(roughness(1), f.name))
    assert not SMOOTH.rough
    assert SMOOTH.pigpio_jitter_s == SMOOTH.hum_v == SMOOTH.pi_clock_ppm == 0
    for scale in (-0.1, 3.1):
        with pytest.raises(InputError, match="is not within 0…3"):
            roughness(scale)


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.0])
def test_edges_of_waves_jitter_and_are_judged_as_they_were_asked_for(scale: float) -> None:
    board = Board(load_device("ideal"), BoardSettings(addresses=2), clock=Clock(), seed=3, rough=roughness(scale))
    pins = Pins(board, WIRING)
    pins.set_mode(22, OUTPUT)
    n = 20_000
    t = 1_000_000 + np.arange(n) * 20_000
    on = np.where(np.arange(n) % 2 == 0, 1 << 22, 0)
    pins.play(t, on, (1 << 22) - on)
    seen, _ = board.lines(0, int(t[-1]) + 1_000_000)
    late = seen[1:] - t
    assert late.min() >= 0
    usual = late[late < 6_000 * max(scale, 1)]
    assert usual.std() == pytest.approx(200 * scale, rel=0.05, abs=0.1)
    assert board.misuse.count == 0


def test_an_edge_has_a_time_constant_and_rings() -> None:
    rough = roughness(1)
    t = np.arange(0, 3_000, 5)
    volts = shaped(t, np.array([1_000, 2_000]), np.array([0.0, 3.3, 0.0]), 100e-9, 10e-9, rough)
    assert volts[t < 1_000].max() == 0
    assert volts[t == 1_100] == pytest.approx(3.3 * (1 - np.exp(-1)), abs=0.12)
    assert volts[t == 1_900] == pytest.approx(3.3, abs=0.01)
    assert volts[t == 2_100] == pytest.approx(0.0, abs=0.05)
    assert volts[(t > 2_000) & (t < 2_200)].min() < -0.03  # the quick edge rings below
    short = shaped(t, np.array([1_000, 1_050]), np.array([0.0, 3.3, 0.0]), 100e-9, 100e-9, roughness(0))
    assert short.max() == pytest.approx(3.3 * (1 - np.exp(-0.5)), abs=0.1)  # it never gets there


def test_crosstalk_dies_away() -> None:
    t = np.arange(0, 2_000, 10)
    volts = coupled(t, np.array([500]), np.array([3.3]), 0.03, 80e-9)
    assert volts[t == 500] == pytest.approx(0.099)
    assert volts[t == 580] == pytest.approx(0.099 / np.e)
    assert volts[t < 500].max() == 0


def test_pauses_come_at_their_rate() -> None:
    pauses = Pauses(Roughness(pause_share=0.1, pause_s=0.03), 1)
    drawn = np.array([pauses.next_s() for _ in range(2_000)])
    assert set(drawn.tolist()) == {0.0, 0.03}
    assert (drawn > 0).mean() == pytest.approx(0.1, abs=0.03)
    assert Pauses(SMOOTH, 1).next_s() == Pauses(SMOOTH, 1).transfer_s() == 0


def test_the_membrane_that_a_probe_sees_is_the_one_that_decides() -> None:
    """With charge injection and crosstalk: the comparator fires when what a probe shows passes V_th."""
    clock = Clock()
    rough = replace(SMOOTH, charge_injection_v=15e-3, crosstalk=0.09, crosstalk_decay_s=80e-9, scope_offset_codes=0.1)
    board = Board(load_device("ideal"), BoardSettings(addresses=0), clock=clock, rough=rough)
    board.set_threshold(0.4)
    edges = np.array([1_000, 3_000, 8_000, 9_000, 20_000, 21_000])
    board.play(1_000_000, edges, np.array([2, 0, 1, 0, 1, 0], dtype=np.uint32))
    clock.ns = 2_000_000
    rises, _ = board.axon(0, clock.ns)
    assert len(rises) == 2
    fires = rises - round(board.settings.axon_delay_s * 1e9)
    shown = board.volts("membrane", np.concatenate([[1_000_000], fires]))[1:]
    assert shown == pytest.approx(0.4, abs=2e-3)
