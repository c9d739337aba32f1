"""`hil export`: what xarray reads is what was recorded."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from drivers.signals import FrameKey
from hil.cli import main
from hil.store.runfile import RunFile
from hil.terminal.interrupt import StopRequest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "run.sqlite"
    argv = ["run", "--digits", "4:6", "--physical", "conv1:3-4,fc1:0-9", "--traces", "--out", str(path), "--json"]
    assert main([*argv, "--full-scale", "conv1=12,fc1=12", "--noise", "10"]) == 0
    return path


def test_xarray_reads_results_with_units_and_coordinates(recorded: Path) -> None:
    assert main(["export", str(recorded), "--to", "hdf5", "--out", "r.h5"]) == 0
    with RunFile.open(recorded) as run, xarray.open_dataset("r.h5", engine="h5netcdf") as data:
        assert dict(data.sizes) == {"noise": 1, "image": 2}
        assert data.image.values.tolist() == [4, 5]
        assert data.noise.values.tolist() == [10]
        assert data.noise.units == "percent"
        assert data.bench_s.units == "s"
        for row in run.results():
            one = data.sel(noise=10, image=row["index"])
            assert all(one[name].item() == row[name] for name in ("label", "answer", "pulses", "spikes", "bench_s"))
        assert json.loads(data.attrs["configuration"])["digits"] == "4:6"
        assert data.attrs["threshold_v"] == 0.7


def test_xarray_reads_every_slot(recorded: Path) -> None:
    main(["export", str(recorded), "--to", "hdf5", "--out", "r.h5"])
    with RunFile.open(recorded) as run, xarray.open_dataset("r.h5", engine="h5netcdf", group="conv1") as data:
        assert set(data.coords) == {"noise", "image", "channel", "row", "column"}  # a group by itself has its own
        assert data.spikes.dims == ("noise", "image", "channel", "row", "column")
        assert data.spikes.shape == (1, 2, 2, 28, 28)
        assert data.spikes.dtype == np.int32
        assert data.channel.values.tolist() == [3, 4]
        assert data.slot_s.units == "s"
        (row,) = run.shots_of(FrameKey("run", 5, 10), 0)
        capture = run.load(row.id)
        for i in (0, 300, 1567):
            channel, position = int(capture.frame.channel[i]), int(capture.frame.position[i])
            slot = data.isel(noise=0, image=1).sel(channel=channel, row=position // 28, column=position % 28)
            assert slot.spikes.item() == capture.spikes[i]
            assert slot.pulses.item() == capture.frame.pulses[i]
            assert slot.slot_s.item() == capture.slot_s[i]
        assert int(data.spikes.isel(image=1).sum()) == int(capture.spikes.sum())
        played = data.pulses.values > 0
        assert np.abs(data.slot_s.values - data.planned_s.values)[played].max() < 1e-6
    with xarray.open_dataset("r.h5", engine="h5netcdf", group="fc1") as dense:
        assert dense.spikes.dims == ("noise", "image", "unit")
        assert dense.spikes.shape == (1, 2, 10)


def test_xarray_reads_traces_in_volts(recorded: Path) -> None:
    main(["export", str(recorded), "--to", "hdf5", "--traces", "--out", "r.h5"])
    with RunFile.open(recorded) as run:
        shot = run.shot_ids()[0]
        trace = next(t for t in run.load(shot, None).traces if t.name == "axon")
        with xarray.open_dataset("r.h5", engine="h5netcdf", group=f"traces/shot{shot:06d}") as data:
            assert data.axon.dims == ("time",)
            assert data.axon.units == "V"
            assert np.allclose(data.axon.values, trace.volts, atol=1e-6)
            assert np.allclose(data.time.values, trace.times_s)
            assert data.attrs["image"] == 4


def table(name: str) -> list[dict[str, str]]:
    with Path(name).open() as file:
        return list(csv.DictReader(file))


def test_csv_has_a_row_a_digit_and_a_played_slot(recorded: Path) -> None:
    assert main(["export", str(recorded), "--to", "csv", "--out", "r"]) == 0
    digits = table("r-digits.csv")
    slots = table("r-slots.csv")
    assert [d["image"] for d in digits] == ["4", "5"]
    for d in digits:
        mine = [s for s in slots if s["image"] == d["image"]]
        assert sum(int(s["pulses"]) for s in mine) == int(d["pulses"])
        assert sum(int(s["spikes"]) for s in mine) == int(d["spikes"])
    assert {s["layer"] for s in slots} == {"conv1", "fc1"}
    assert float(slots[0]["slot_s"]) == pytest.approx(float(slots[0]["planned_s"]), abs=1e-6)
    assert "begun" in Path("r-events.csv").read_text()


def test_helpings_are_rows_in_csv_and_sums_in_hdf5() -> None:
    how = ["--physical", "conv1:0-1", "--helpings", "3,6", "--sure", "0.9999"]
    assert main(["run", "--digits", "0:4", *how, "--out", "h.sqlite", "--json"]) == 0
    assert main(["export", "h.sqlite", "--to", "csv", "--out", "h"]) == 0
    assert main(["export", "h.sqlite", "--to", "hdf5", "--out", "h.h5"]) == 0
    slots = table("h-slots.csv")
    assert {s["helping"] for s in slots} == {"0", "1"}
    with h5py.File("h.h5") as file:
        for n, digit in enumerate(table("h-digits.csv")):
            mine = [s for s in slots if s["image"] == digit["image"]]
            assert sum(int(s["pulses"]) for s in mine) == int(digit["pulses"]) == file["conv1/pulses"][0, n].sum()
            assert sum(int(s["spikes"]) for s in mine) == int(digit["spikes"]) == file["conv1/spikes"][0, n].sum()
            times = sum(float(s["slot_s"]) for s in mine)
            assert file["conv1/slot_s"][0, n].sum() == pytest.approx(times)


def test_an_unfinished_run_is_exported_with_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter([False] * 5 + [True])  # four shots and two results are asked about
    monkeypatch.setattr(StopRequest, "__call__", lambda _: next(asked))
    assert main(["run", "--digits", "0:5", "--physical", "conv1:0-0", "--out", "part.sqlite"]) == 130
    assert main(["export", "part.sqlite", "--to", "hdf5"]) == 0
    with xarray.open_dataset("part.h5", engine="h5netcdf") as data:
        assert np.isfinite(data.answer.values).tolist() == [[True, True, False, False, False]]
    with xarray.open_dataset("part.h5", engine="h5netcdf", group="conv1") as data:
        assert np.isnan(data.spikes.values[0, 4]).all()
        assert np.isfinite(data.spikes.values[0, :4]).all()


def test_wrong_usage(capsys: pytest.CaptureFixture[str], recorded: Path) -> None:
    assert main(["export", str(recorded), "--to", "csv", "--traces"]) == 2
    assert "traces go into hdf5, sr, vcd only" in capsys.readouterr().err
    assert main(["export", str(recorded), "--to", "hdf5", "--out", "/dev/null/run.h5"]) == 2
    assert "export /dev/null/run.h5: /dev/null is not a folder" in capsys.readouterr().err
    assert main(["export", str(recorded), "--to", "hdf5", "--out", str(recorded)]) == 2
    assert "is the run itself" in capsys.readouterr().err


@pytest.mark.parametrize("limit", [33_000, 60_000])
def test_a_full_disk_ends_an_export_with_an_error_and_leaves_the_old_file(recorded: Path, limit: int) -> None:
    """A limit on the size of files stands for the full disk: write(2) fails alike, and HDF5 crashed on both."""
    Path("r.h5").write_text("old")
    code = (
        "import resource, signal, sys; from hil.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "sys.exit(main(['export', sys.argv[1], '--to', 'hdf5', '--traces', '--out', 'r.h5']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(recorded)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (ended.returncode, ended.stderr.strip()) == (2, "hil: export r.h5: File too large")
    assert Path("r.h5").read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["r.h5"]


@pytest.mark.parametrize("to", ["hdf5", "csv"])
def test_an_export_that_is_stopped_leaves_nothing(
    recorded: Path, to: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt  # as SIGTERM does, in the middle of the layer

    monkeypatch.setattr("hil.report.export._fill" if to == "hdf5" else "hil.report.tables.measured_shots", stop)
    assert main(["export", str(recorded), "--to", to, "--out", "r"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not list(Path().iterdir())
