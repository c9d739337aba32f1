"""The threshold calibration over the wire: the same sweep through pigpio and the Pico."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from calibration.measure.offset import compare_source
from calibration.measure.threshold import measure_threshold
from calibration.record import load_record
from calibration.sweep import Sweep
from calibration.transfer import measure_transfer
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import CalibrationError, CaptureError
from drivers.mock.board import Board
from drivers.mock.ds4024.server import ScopeServer
from drivers.mock.pico import PicoServer
from drivers.mock.pigpiod import PigpiodServer
from drivers.wear.passport import load_passport
from hil.cli import main
from hil.commands.served import bench_file
from tests.wire.twin import PIGPIO_WIRING, twin_bench

pytestmark = pytest.mark.wire


@pytest.mark.parametrize(("source", "reader"), [("pico", "pico"), ("pigpio", "pico")])
def test_the_threshold_is_found_over_the_wire(source: str, reader: str) -> None:
    """The true gain at 0.703 V is 4: the interval misses it in one of 20 fresh cases, twice its width in one of 10⁴."""
    with twin_bench(source, reader, "nominal") as (bench, board):
        limits = (bench.file.limits.vth_min_v, bench.file.limits.vth_max_v)
        found = measure_threshold(Sweep(bench, bench.file.slot, "wire"), limits, most_pulses=9_000)
        assert 0 <= found.pulses_spent - board.pulses_total <= 32  # the board counts a slot when the next one begins
    lo, hi = found.asked_v.lo or 0.0, found.asked_v.hi or 9.0
    assert lo - (hi - lo) / 2 < 0.703 < hi + (hi - lo) / 2
    assert found.window.lower_v.value == pytest.approx(0.397, rel=0.04)
    assert found.window.upper_v.value == pytest.approx(1.528, rel=0.01)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("stuck_axon_low", "0 spikes a slot of 16 pulses .* the axon or the dendrite is dead"),
        ("stuck_axon_high", "axon"),
        ("wrong_address", "select address . gives .* its switch does not close"),
    ],
)
def test_a_fault_that_is_there_while_calibrating_is_not_learnt(fault: str, named: str) -> None:
    with twin_bench("pico", "pico", "nominal", faults={"board": (fault,)}) as (bench, _):
        addresses = bench.file.board.addresses
        with pytest.raises((CalibrationError, CaptureError), match=named):
            measure_transfer(bench, bench.file.slot, 0.7, full_scale=16, pulses_per_count=500, addresses=addresses)


def test_the_dac_is_compared_with_the_oscilloscope_on_its_net() -> None:
    """Within a tenth of a division, which the DS4024 may be off: 50 mV."""
    with twin_bench("pico", "both", channels={"axon": 1, "sync": 3, "vth": 4}) as (bench, _):
        sweep = Sweep(bench, bench.file.slot, "wire")
        for vth_v in (0.4, 0.7, 1.0, 1.3):
            sweep.tally(vth_v, {8: 4})
    found = compare_source(sweep.vth_readings)
    assert found is not None
    assert found.believable
    assert found.gain is not None
    assert found.gain.value == pytest.approx(1.0, abs=0.02)


def test_a_calibration_over_the_wire_and_the_run_that_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIL_PASSPORTS", str(tmp_path))
    board = Board(load_device("nominal"), load_bench("mock").board)
    with (
        PigpiodServer(board, PIGPIO_WIRING) as pigpiod,
        ScopeServer(board) as scope,
        PicoServer(board) as pico,
    ):
        args = Namespace(source="pico", reader="pico", device="nominal", out=Path("wire.toml"))
        args.out.write_text(bench_file(args, pigpiod, scope, pico).replace("wire.calibration", "c"))
        digit = ["run", "--digits", "0:1", "--full-scale", "conv1=8", "--bench", "wire.toml", "--json"]
        assert main(digit) == 2
        assert "c.json" in capsys.readouterr().err
        calibrate = ["calibrate", "threshold", "transfer", "--full-scale", "8", "--bench", "wire.toml"]
        assert main([*calibrate, "--out", "c.json", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert main(digit) == 0
        assert json.loads(capsys.readouterr().out)["accuracy"] == 1.0
    record, passport = load_record(Path("c.json")), load_passport("nominal", Path("wire.passports"))
    assert record.temperature_c == pytest.approx(pico.chip.temperature_c, abs=0.3)
    assert record.vth_v == found["vth_v"] == pytest.approx(0.703, abs=0.06)
    assert [entry.calibration for entry in passport.entries] == [record.id]
    assert passport.pulses > record.device_pulses == record.pulses_spent
    assert main(["calibrate", "--replay", "c.sqlite", "--json"]) == 0  # the bench is gone
    assert json.loads(capsys.readouterr().out)["vth_v"] == found["vth_v"]
