"""`hil calibrate`, `hil device` and a run with the record that comes of it, as their user calls them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from calibration.record import load_record, save_record
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import InputError
from drivers.wear.passport import Entry, Passport, passport_folder, save_passport
from hil.calibrate.characterization import CharacterizeConfig
from hil.cli import main
from hil.commands import doctor
from hil.store import frozen
from hil.store.history import known_passport

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_threshold_finds_the_window_and_the_gain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "t.json"
    assert main(["calibrate", "threshold", "--out", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pulses_spent"] < 20_000
    lo, hi = found["window_v"]
    assert lo < found["vth_v"] < hi
    assert found["gain"]["interval"][0] < 4.0 < found["gain"]["interval"][1]
    assert load_record(file).id == found["calibration_id"]
    assert (tmp_path / "t-threshold.png").read_bytes().startswith(b"\x89PNG")


def test_a_recorded_calibration_is_evaluated_again_and_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = tmp_path / "t.json", tmp_path / "t.sqlite"
    assert main(["calibrate", "threshold", "--out", str(file), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["calibrate", "--replay", str(run), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["threshold"] == first["threshold"] == load_record(file).results["threshold"]
    with closing(sqlite3.connect(run)) as db, db:  # as if it had been stopped on its way
        db.execute("DELETE FROM shots WHERE id > 20")
    assert main(["calibrate", "--replay", str(run), "--json"]) == 1
    assert "lacks" in capsys.readouterr().err
    assert main(["calibrate", "--resume", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calibration_id"] == first["calibration_id"]


def test_one_after_the_other_into_one_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "all.json"
    command = ["calibrate", "threshold", "frequency", "transfer", "--full-scale", "8", "--slowest", "1000"]
    assert main([*command, "--out", str(file)]) == 0
    shown = capsys.readouterr().out
    record = load_record(file)
    assert set(record.results) == {"threshold", "transfer", "frequency"}
    assert record.vth_v == record.results["threshold"]["vth_v"] == record.curves[0]["vth_v"]
    assert f"hil run --bench mock --calibration {file}" in shown
    assert main(["run", "--digits", "0:1", "--full-scale", "conv1=8", "--calibration", str(file)]) == 0
    assert f"V_th {record.vth_v:g} V" in capsys.readouterr().out
    assert "fastest clock" in shown
    assert main(["calibrate", "transfer", "--full-scale", "4", "--calibration", str(file), "--out", "b.json"]) == 0
    added = load_record(Path("b.json"))
    assert added.vth_v == record.vth_v
    assert added.results["threshold"] == record.results["threshold"]


def test_slots_of_fixed_length_are_calibrated_at_their_clock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 1.6 kHz the leak costs spikes: the V_th of a gain of 4 is far lower than at 100 kHz."""
    file = tmp_path / "f.json"
    fixed = ["--mode", "fixed", "--window", "0.01", "--full-scale", "16"]
    assert main(["calibrate", "threshold", *fixed, "--out", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["vth_v"] < 0.65
    assert load_record(file).timing_key == "fixed@0.01s"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "say what to calibrate: threshold, transfer, frequency"),
        (["speed"], "'speed' cannot be calibrated"),
        (["threshold", "--gain", "0.5"], "gain = 0.5"),
        (["transfer", "--full-scale", "0"], "full_scale = 0"),
        (["transfer", "--vth", "7"], "V_th = 7 V cannot be made on bench 'mock'"),
        (["transfer", "--calibration", "none.json"], "none.json"),
        (["transfer", "--replay", "x", "--resume", "y"], "name nothing else to measure"),
    ],
)
def test_what_cannot_be_calibrated_is_named(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", *argv]) == 2
    assert message in capsys.readouterr().err


def test_a_gain_that_the_device_cannot_give_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "threshold", "--gain", "1.05"]) == 1
    assert "gives 1.05 pulses per spike: at 0." in capsys.readouterr().err
    assert main(["calibrate", "threshold", "--gain", "500"]) == 2
    assert "gain" in (refused := capsys.readouterr().err)
    assert "10" in refused


def test_a_record_with_an_old_curve_is_as_old_as_that(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "transfer", "--full-scale", "4", "--out", "a.json", "--json"]) == 0
    old = load_record(Path("a.json")).model_copy(update={"made_at": datetime(2020, 1, 1, tzinfo=UTC)})
    save_record(old, Path("old.json"))
    assert main(["calibrate", "threshold", "--vth", "0.7", "--calibration", "old.json", "--out", "b.json"]) == 0
    kept = load_record(Path("b.json"))
    assert (len(kept.curves), kept.made_at) == (1, old.made_at)
    assert set(kept.results) == {"threshold", "transfer"}
    assert main(["calibrate", "threshold", "--calibration", "old.json", "--gain", "5", "--out", "c.json"]) == 0
    other = load_record(Path("c.json"))
    assert (other.curves, set(other.results)) == ((), {"threshold"})
    assert other.made_at > old.made_at
    capsys.readouterr()


def test_a_run_takes_the_transfer_curve_of_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.json"
    assert main(["calibrate", "transfer", "--out", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["run", "--digits", "0:1", "--calibration", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == 1.0
    assert main(["run", "--digits", "0:1", "--calibration", str(file), "--vth", "0.8"]) == 1
    assert f"calibration {found['calibration_id']} has no transfer curve" in capsys.readouterr().err
    assert main(["run", "--digits", "0:1", "--calibration", str(file), "--device", "ideal"]) == 1
    assert "is of device 'nominal', not 'ideal'" in capsys.readouterr().err


def test_a_bench_that_is_not_the_mock_is_refused_without_a_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = tmp_path / "bench.toml"
    bench.write_text(
        'name = "b"\nkind = "pi"\npulse_source = "pigpio"\naxon_reader = "scope"\n'
        "[wiring]\ndendrite = 17\nreset = 27\nsync = 22\n"
        '[scope]\nresource = "TCPIP0::127.0.0.1,9::inst0::INSTR"\n[threshold]\nsource = "manual"\n'
    )
    assert main(["run", "--digits", "0:1", "--bench", str(bench)]) == 1
    assert "bench 'b' has no calibration: run hil calibrate transfer" in capsys.readouterr().err


def test_a_device_without_passport_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "nobody"]) == 2
    assert "device 'nobody' has no passport" in capsys.readouterr().err


def test_the_life_of_a_device_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HIL_PASSPORTS", str(tmp_path))
    picture = tmp_path / "life.png"
    save_passport(Passport(device="d"), passport_folder())
    assert main(["device", "d", "--figure", str(picture)]) == 2
    assert "has no calibration to draw" in capsys.readouterr().err
    common = {"at": datetime(2026, 3, 1, tzinfo=UTC), "calibration": "0", "vth_v": 0.7, "timing_key": "t"}
    entries = tuple(
        Entry(**common, pulses_before=n * 10**6, pulses_a_spike=gain, low_edge_v=low, high_edge_v=1.5)
        for n, (gain, low) in enumerate([(4.0, 0.4), (4.1, None), (None, 0.39)])
    )
    save_passport(Passport(device="d", pulses=2_000_000, entries=entries), passport_folder())
    assert main(["device", "d", "--figure", str(picture)]) == 0
    assert "window 0.400…1.500 V" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("named", ["in the bench file", "on the command line"])
def test_a_device_with_a_record_and_no_passport_is_not_born_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    """Nothing is opened: there is no such bench."""
    monkeypatch.setenv("HIL_PASSPORTS", str(tmp_path / "passports"))
    made = tmp_path / "made.json"
    assert main(["calibrate", "transfer", "--full-scale", "1", "--device", "ideal", "--out", str(made)]) == 0
    record, device = load_record(made), load_device(str(EXAMPLES / "devices" / "example.toml"))
    kept = {"device": device.id, "bench": "pigpio-scope", "device_pulses": 5_000}
    save_record(record.model_copy(update=kept), tmp_path / "old.json")
    text = (EXAMPLES / "benches/pigpio-scope.toml").read_text(encoding="utf-8")
    text = text.replace("../devices", str(EXAMPLES / "devices"))
    file = tmp_path / "bench.toml"
    file.write_text(text.replace("# calibration =", 'calibration = "old.json"') if "bench file" in named else text)
    more = [] if "bench file" in named else ["--calibration", str(tmp_path / "old.json")]
    capsys.readouterr()
    commands = [["calibrate", "transfer", *more]]
    if "bench file" in named:
        commands += [["characterize"], ["run", "--digits", "0"], ["evaluate", "--digits", "1"]]
    for command in commands:
        assert main([*command, "--bench", str(file)]) == 1
        assert "made after 5,000 pulses, and the passport of device" in capsys.readouterr().err
        assert not (tmp_path / "passports").exists()


@pytest.mark.parametrize("known", [0, 6_999])
def test_a_device_with_runs_and_a_lost_or_zeroed_passport_is_not_born_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], known: int
) -> None:
    """Whatever plays pulses asks what the run files know, before a bench is opened: there is none."""
    monkeypatch.setenv("HIL_PASSPORTS", str(tmp_path / "passports"))
    device = load_device(str(EXAMPLES / "devices" / "example.toml"))
    if known:
        save_passport(Passport(device=device.id, pulses=known), passport_folder())
    made = tmp_path / "made.json"
    assert main(["calibrate", "transfer", "--full-scale", "32", "--device", "ideal", "--out", str(made)]) == 0
    save_record(load_record(made).model_copy(update={"device": device.id, "bench": "pigpio-scope"}), Path("new.json"))
    bench = str(EXAMPLES / "benches/pigpio-scope.toml")
    settings = CharacterizeConfig(bench=load_bench(bench), device=device)
    with frozen.begin(Path("calibrations/old.sqlite"), "characterize", settings, {}, odometer=7_000):
        pass
    capsys.readouterr()
    for command in (
        ["calibrate", "transfer"],
        ["characterize"],
        ["run", "--digits", "0", "--calibration", "new.json"],
        ["evaluate", "--digits", "1", "--calibration", "new.json"],
    ):
        assert main([*command, "--bench", bench]) == 2, command
        said = capsys.readouterr().err
        assert f"had had 7,000 pulses when {Path('calibrations/old.sqlite').absolute()} ended" in said
        assert f"its passport knows of {known:,}" in said
    assert main(["characterize", "--resume", "calibrations/old.sqlite"]) == 2
    assert "had had 7,000 pulses when this run stopped" in capsys.readouterr().err
    (played,) = doctor._loopback(load_bench(bench), str(EXAMPLES / "devices" / "example.toml"))
    assert not played.ok
    assert "had had 7,000 pulses" in played.detail
    assert played.advice.startswith("restore it, or name its folder")
    save_passport(Passport(device=device.id, pulses=7_000), passport_folder())
    assert known_passport(load_bench(bench), device).pulses == 7_000


def test_a_simulated_device_is_not_the_one_of_another_twin_or_of_hardware(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who rehearses with two twins in one folder, and then plays on hardware there, has three devices of one name."""
    monkeypatch.setenv("HIL_PASSPORTS", str(tmp_path / "passports"))
    device = load_device(str(EXAMPLES / "devices" / "example.toml"))
    real = load_bench(str(EXAMPLES / "benches/pigpio-scope.toml"))
    twin = real.model_copy(update={"witness": "127.0.0.1:4711", "passports": str(tmp_path / "a.passports")})
    with frozen.begin(
        Path("calibrations/old.sqlite"),
        "characterize",
        CharacterizeConfig(bench=twin, device=device),
        {},
        odometer=7_000,
    ):
        pass
    assert known_passport(real, device).pulses == 0
    other = twin.model_copy(update={"witness": "127.0.0.1:4712", "passports": str(tmp_path / "b.passports")})
    assert known_passport(other, device).pulses == 0
    with pytest.raises(InputError, match="had had 7,000 pulses"):
        known_passport(twin.model_copy(update={"witness": "127.0.0.1:4713"}), device)
