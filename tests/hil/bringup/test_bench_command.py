"""`hil bench` and `hil device init`: files that are whole and explained, and an EEPROM that is written when meant."""

from __future__ import annotations

import io
import json
import time
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from drivers.benchfile import BenchFile, load_bench
from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.dac import MockI2cBus, MockMcp4728
from drivers.mock.ds4024.server import ScopeServer
from drivers.mock.pico import WIRING, PicoServer
from drivers.mock.pico.soldered import Pins
from drivers.mock.pigpiod.server import PigpiodServer
from drivers.pico.device import Pico
from drivers.settings import PigpioSettings
from hil.bringup.look import surroundings
from hil.cli import main

EXAMPLES = Path(__file__).parents[3] / "examples"
COMMON = ["--print", "--device", "../devices/example.toml", "--vth-min", "0.2", "--vth-max", "2.0"]
SCOPE = ["--scope", "TCPIP0::192.0.2.10::INSTR"]
COMPOSITIONS = {
    "pigpio-scope": ["--pulses", "pigpio", "--reader", "scope", "--threshold", "mcp4728", *SCOPE],
    "pigpio-pico": ["--pulses", "pigpio", "--reader", "pico", "--threshold", "pico"],
    "pico-pico": ["--pulses", "pico", "--reader", "pico", "--threshold", "pico", "--no-panel"],
    "pigpio-gpio": ["--pulses", "pigpio", "--reader", "gpio", "--threshold", "mcp4728"],
    "pigpio-gpio-scope": ["--pulses", "pigpio", "--reader", "gpio+scope", "--threshold", "mcp4728", *SCOPE],
    "pico-both": ["--pulses", "pico", "--reader", "both", "--threshold", "pico", *SCOPE],
}


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_the_example_benches_load_and_are_what_init_writes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = EXAMPLES / "benches" / f"{name}.toml"
    assert load_bench(str(file)).name == name
    assert main(["bench", "init", *COMMON, "--name", name, *COMPOSITIONS[name]]) == 0
    assert capsys.readouterr().out == file.read_text(encoding="utf-8")


def test_every_key_of_a_composition_is_there_and_explained() -> None:
    text = (EXAMPLES / "benches" / "pico-both.toml").read_text(encoding="utf-8")
    schema = BenchFile.model_json_schema()
    for table, values in tomllib.loads(text).items():
        if isinstance(values, dict):
            model = schema["properties"][table]
            ref = model.get("$ref") or next(option["$ref"] for option in model["anyOf"] if "$ref" in option)
            for key, field in schema["$defs"][ref.rsplit("/", 1)[1]]["properties"].items():
                assert field.get("description"), f"{table}.{key}"
                assert f"{key} =" in text.split(f"[{table}]")[1], f"{table}.{key}"


def test_what_must_not_be_guessed_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.bringup.look._scopes", lambda _manager: iter(()))
    assert main(["bench", "init", "--pulses", "pico", "--reader", "pico"]) == 2
    said = capsys.readouterr().err
    assert "device, limits.vth_max_v, limits.vth_min_v" in said
    assert "--vth-max" in said
    assert main(["device", "init", "--id", "die7"]) == 2
    assert "endurance_pulses, endurance_resets: say --pulses --resets" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.toml"))


def test_from_nothing_to_a_checked_bench_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.bringup.look._scopes", lambda _manager: iter([("TCPIP0::192.0.2.7::INSTR", "RIGOL …")]))
    assert main(["device", "init", "--id", "die7", "--pulses", "1e9", "--resets", "1e8"]) == 0
    assert load_device("die7.toml").endurance_pulses == 1_000_000_000
    stated = ["--device", "die7.toml", "--vth-min", "0.3", "--vth-max", "1.9", "--threshold", "mcp4728"]
    assert main(["bench", "init", *stated, "--pulses", "pigpio"]) == 0
    file = load_bench("bench.toml")
    assert file.axon_reader == "scope"
    assert file.scope is not None
    assert file.scope.resource == "TCPIP0::192.0.2.7::INSTR"
    assert (file.limits.vth_min_v, file.limits.vth_max_v) == (0.3, 1.9)
    capsys.readouterr()
    assert main(["bench", "init", *stated, "--pulses", "pigpio"]) == 2
    assert "bench.toml is there already" in capsys.readouterr().err
    assert main(["bench", "show", "--bench", "bench.toml"]) == 0
    shown = capsys.readouterr().out
    assert "dendrite   GPIO 17, header pin 11" in shown
    assert "enable     GPIO 26, header pin 37" in shown
    assert "hil doctor --bench bench.toml" in shown


def test_names_in_the_configuration_folder_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "memristive-hil"
    (folder / "devices").mkdir(parents=True)
    (folder / "benches").mkdir()
    (folder / "devices" / "example.toml").write_text((EXAMPLES / "devices" / "example.toml").read_text())
    (folder / "devices" / "mine.toml").write_text((EXAMPLES / "devices" / "example.toml").read_text())
    text = (EXAMPLES / "benches" / "pico-pico.toml").read_text()
    (folder / "benches" / "lab.toml").write_text(text)
    (folder / "benches" / "mock.toml").write_text("wrong")  # nobody's file takes the place of the simulated bench
    assert load_bench("lab").name == "pico-pico"
    assert load_device("mine").id == "example"
    assert load_bench("mock").kind == "mock"
    with pytest.raises(ValueError, match=r"neither a .toml file nor one of: mock, lab$"):
        load_bench("nowhere")


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "BenchFile"


# ---- what is connected ----------------------------------------------------------------------------------------------


@pytest.mark.wire
def test_looking_finds_what_is_there_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(load_device("ideal"), BenchFile(name="x", kind="mock").board)
    chip = MockMcp4728(board.set_threshold)
    wiring = load_bench(str(EXAMPLES / "benches" / "pigpio-scope.toml")).wired()
    with PigpiodServer(board, wiring) as daemon, ScopeServer(board, profile="fast") as scope:
        monkeypatch.setattr("pyvisa_py.highlevel.PyVisaLibrary.list_resources", lambda *_: (scope.vxi11_resource,))
        seen = surroundings(
            PigpioSettings(host=daemon.host, port=daemon.port), 1, open_bus=lambda _: MockI2cBus({0x61: chip})
        )
    assert seen.pigpiod
    assert seen.dac == 0x61
    assert seen.scope == scope.vxi11_resource
    assert "DS4024" in next(one.detail for one in seen.all if one.what == "oscilloscope")
    assert chip.eeprom_writes == 0
    assert board.levels() == 0


def test_looking_where_nothing_is_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyvisa_py.highlevel.PyVisaLibrary.list_resources", lambda *_: ())
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    seen = surroundings(PigpioSettings(host="127.0.0.1", port=1), 250)
    assert not any(one.there for one in seen.all)
    assert [one.what for one in seen.all] == ["Pico", "oscilloscope", "pigpiod", "DAC on I²C bus 250"]


# ---- the EEPROM -----------------------------------------------------------------------------------------------------


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> MockMcp4728:
    chip = MockMcp4728(lambda _: None)
    monkeypatch.setattr("drivers.threshold.dac._open_bus", lambda _: MockI2cBus({0x60: chip}))
    return chip


BENCH = ["bench", "park-dac", "--bench", str(EXAMPLES / "benches" / "pigpio-scope.toml")]


def test_the_eeprom_is_written_once_and_only_when_meant(chip: MockMcp4728, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(BENCH) == 2  # no terminal to ask
    assert "its EEPROM holds 0 V; write 2 V (limits.vth_max_v)?" in capsys.readouterr().err
    assert chip.eeprom_writes == 0
    assert main([*BENCH, "--yes"]) == 0
    assert "2 V at power-up; the EEPROM was written and read back" in capsys.readouterr().out
    assert main([*BENCH, "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"before_v": 2.0, "now_v": 2.0}
    assert chip.eeprom_writes == 1
    assert chip.eeprom[0].code == 4000


def test_a_bench_without_a_dac_has_nothing_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "park-dac", "--yes"]) == 2
    assert "bench 'mock' is simulated" in capsys.readouterr().err


def test_a_latch_is_told_before_it_is_cleared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with PicoServer(Board(load_device("ideal"), load_bench("mock").board), pins=Pins(WIRING, estop=22)) as server:
        server.wait_until_up()
        file = tmp_path / "bench.toml"
        file.write_text(
            'name = "b"\nkind = "pi"\ndevice = "ideal"\npulse_source = "pico"\naxon_reader = "pico"\n'
            "[board]\naddresses = 4\n"
            "[wiring]\ndendrite = 2\nreset = 3\nsync = 4\nselect = [5, 6, 7, 8]\n"
            f'[pico]\nport = "{server.port}"\nestop_pin = 22\n[threshold]\nsource = "pico"\n'
        )
        with closing(Pico(load_bench(str(file)))) as pico:
            pico.prepare()
            server.pins.estop_high = False
            while not pico.latch:
                time.sleep(0.01)
        clear = ["bench", "clear", "--bench", str(file)]
        assert main(clear) == 2  # nobody is there to ask
        assert "pico is latched: estop (the emergency stop was pressed" in capsys.readouterr().err
        assert main([*clear, "--yes"]) == 1
        assert "pressed or its wire is broken" in capsys.readouterr().err
        server.pins.estop_high = True
        assert main([*clear, "--yes"]) == 0
        assert "pico: cleared" in capsys.readouterr().out
    assert main(["bench", "clear"]) == 2
    assert "no part that keeps a latch" in capsys.readouterr().err


# ---- asking ---------------------------------------------------------------------------------------------------------


class Person(io.StringIO):
    """A terminal with somebody at it who answers line by line."""

    def isatty(self) -> bool:
        return True


def answering(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    monkeypatch.setattr("sys.stdin", Person("".join(f"{answer}\n" for answer in answers)))


def test_a_person_is_asked_for_what_no_flag_states(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.bringup.look._scopes", lambda _manager: iter([("TCPIP0::192.0.2.7::INSTR", "RIGOL …")]))
    answering(monkeypatch, "", "die7", "die 7, cell 3", "1e9", "-3", "1e8")
    assert main(["device", "init"]) == 0
    device = load_device("die7.toml")
    assert (device.description, device.endurance_pulses, device.endurance_resets) == ("die 7, cell 3", 10**9, 10**8)
    said = capsys.readouterr().err
    assert "'-3' does not fit: Input should be greater than 0" in said
    assert "It must not be guessed" in said
    answering(
        monkeypatch,
        "pigpio",
        "sideways",
        "scope",
        "manual",
        "",
        "2",
        "no",
        "die8.toml",
        "die7.toml",
        "0.3",
        "0.1",
        "1.9",
    )
    assert main(["bench", "init"]) == 0
    said = capsys.readouterr().err
    assert "'sideways' does not fit: one of scope, pico, both" in said
    assert "'die8.toml' does not fit" in said
    assert "vth_max_v = 0.1" in said
    assert "[TCPIP0::192.0.2.7::INSTR]" in said
    file = load_bench("bench.toml")
    assert (file.pulse_source, file.axon_reader, file.threshold.source) == ("pigpio", "scope", "manual")
    assert (file.limits.vth_min_v, file.limits.vth_max_v, file.panel) == (0.3, 1.9, None)
    assert file.board.addresses == 2


def test_a_person_who_does_not_answer_has_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.bringup.look._scopes", lambda _manager: iter(()))
    flags = ["--pulses", "pico", "--reader", "pico", "--threshold", "pico", "--no-panel", "--addresses", "4"]
    answering(monkeypatch)
    assert main(["bench", "init", *flags]) == 2
    assert "device was not answered; nothing was written" in capsys.readouterr().err
    answering(monkeypatch, "x", "y", "z", "ideal")
    assert main(["bench", "init", *flags]) == 2
    assert "device was not answered" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.toml"))


def test_a_pi_that_counts_makes_the_pulses_too(capsys: pytest.CaptureFixture[str]) -> None:
    """A template, too, is never one that could not be."""
    assert main(["bench", "init", "--print", "--pulses", "pico", "--reader", "gpio"]) == 2
    said = capsys.readouterr()
    assert (said.out, "--pulses pigpio" in said.err) == ("", True)
