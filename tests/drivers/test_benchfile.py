from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.benchfile import BenchFile, load_bench
from drivers.device import load_device
from drivers.errors import HilWarning, InputError, LimitError
from drivers.settings import BoardSettings, PigpioSettings
from drivers.signals import SlotTiming, probe_frame
from drivers.timing import Made, fastest_clock_hz, length_ticks, made

PI = """
name = "bench 1"
kind = "pi"
device = "ideal"
pulse_source = "pigpio"
axon_reader = "scope"
[wiring]
dendrite = {dendrite}
reset = {reset}
sync = 22
select = [23, 24]
[board]
addresses = 2
axon_width_s = {width}
[threshold]
source = "manual"
[scope]
resource = "TCPIP0::192.0.2.1::INSTR"
"""


def write(tmp_path: Path, text: str) -> str:
    file = tmp_path / "bench.toml"
    file.write_text(text)
    return str(file)


def pi(tmp_path: Path, dendrite: int = 17, reset: int = 27, width: float = 2e-6, more: str = "") -> str:
    return write(tmp_path, PI.format(dendrite=dendrite, reset=reset, width=width) + more)


def test_a_complete_bench_file_is_read(tmp_path: Path) -> None:
    bench = load_bench(pi(tmp_path))
    assert bench.wiring is not None
    assert [line.name for line in bench.wiring.lines()] == ["dendrite", "reset", "sync", "select0", "select1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dendrite": 3}, "wiring.dendrite = 3: GPIO 0-8 are pulled up at boot.*for example 9"),
        ({"dendrite": 14}, "wiring.dendrite = 14: GPIO 14 and 15 are the serial port's.*for example 9"),
        ({"dendrite": 28}, "pigpio may drive GPIO 2-27 only"),
        ({"more": "[panel]\nenable = 5\n"}, "enable = 5: GPIO 0-8 are pulled up at boot.* switch the supply on"),
        ({"more": "[panel]\nlamp = 2\n"}, "lamp = 2: GPIO 0-8 are pulled up at boot"),
        ({"more": "[panel]\nenable = 17\n"}, "panel.enable = 17: that pin is wiring.dendrite already.*example 9"),
        ({"more": "[panel]\nenable = 26\nlamp = 26\n"}, "panel.lamp = 26: that pin is panel.enable already"),
        ({"dendrite": 27}, "pin 27 has two lines: dendrite and reset"),
        (
            {"width": 9e-6, "more": "[slot]\nsettle_s = 8e-6\n"},
            "settle_s = 8e-06 must exceed axon delay plus width = 1.03e-05",
        ),
        ({"more": "volts = 3\n"}, r"scope.volts: Extra inputs are not permitted"),
        ({"more": "[limits]\nduty_max = 2.0\n"}, r"limits.duty_max = 2.0: Input should be less than or equal to 1"),
    ],
)
def test_what_cannot_work_is_refused_by_name(tmp_path: Path, change: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_bench(pi(tmp_path, **change))  # type: ignore[arg-type]


def test_an_input_may_be_pulled_up_but_not_on_the_bus(tmp_path: Path) -> None:
    """The stop's contact wants a pull-up; SDA and SCL are taken where the DAC is on the Pi."""
    panel = load_bench(pi(tmp_path, more="[panel]\nestop = 2\n")).panel
    assert panel is not None
    assert panel.estop == 2
    with_dac = pi(tmp_path, more="[panel]\nestop = 2\n")
    Path(with_dac).write_text(Path(with_dac).read_text().replace('"manual"', '"mcp4728"'))
    with pytest.raises(InputError, match=r"panel.estop = 2: that pin is I²C bus 1 already"):
        load_bench(with_dac)


@pytest.mark.parametrize(("first", "fault"), [(13, "GPIO 15 is moved by the chip"), (21, "GPIO 23-25 are the Pico's")])
def test_a_line_on_a_pin_that_the_pico_moves_itself_is_refused(first: int, fault: str) -> None:
    pins = list(range(first, first + 5))
    text = PI.format(dendrite=pins[0], reset=pins[1], width=2e-6).replace("pigpio", "pico")
    text = text.replace("sync = 22", f"sync = {pins[2]}").replace("[23, 24]", str(pins[3:])) + "[pico]\n"
    with pytest.raises(ValueError, match=fault):
        BenchFile.model_validate(tomllib.loads(text))


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bench file .*none.toml: No such file"):
        load_bench(str(tmp_path / "none.toml"))
    with pytest.raises(InputError, match="not valid TOML"):
        load_bench(write(tmp_path, "name = "))
    with pytest.raises(InputError, match=r"neither a .toml file nor one of: mock"):
        load_bench("nowhere")


def test_a_frame_beyond_the_limits_is_refused() -> None:
    bench = load_bench("mock")
    bench.check_frame(probe_frame("test", SlotTiming(), [32]))
    with pytest.raises(LimitError, match=r"pulse rate = 500000 Hz exceeds the limit of bench 'mock', 250000 Hz"):
        bench.check_frame(probe_frame("test", SlotTiming(dendrite_clock_hz=500e3, pulse_width_s=1e-6), [32]))
    with pytest.raises(LimitError, match="duty"):
        bench.check_frame(probe_frame("test", SlotTiming(pulse_width_s=6e-6), [32]))
    with pytest.raises(LimitError, match="pulse rate"):
        bench.check_frame(probe_frame("test", SlotTiming(mode="fixed", window_s=1e-3), [300]))


def test_limits_hold_for_what_is_made_and_not_for_what_is_asked(tmp_path: Path) -> None:
    """290 kHz in steps of 1 µs is a pulse every 3 µs, and 1.2 µs are 2 µs wide; a Pico's steps are finer."""
    text = "[limits]\npulse_rate_max_hz = 300e3\npulse_width_max_s = 1.5e-6\nduty_max = 0.5\n"
    coarse = load_bench(pi(tmp_path, more=text))
    fast = SlotTiming(dendrite_clock_hz=290e3, pulse_width_s=1e-6)
    with pytest.raises(LimitError, match=r"pulse rate = 333333 Hz \(290000 Hz in steps of 1e-06 s\) exceeds .*300000"):
        coarse.check_frame(probe_frame("test", fast, [1]))
    wide = SlotTiming(dendrite_clock_hz=100e3, pulse_width_s=1.2e-6)
    with pytest.raises(LimitError, match=r"pulse width = 2e-06 s \(1.2e-06 s in steps of 1e-06 s\) exceeds"):
        coarse.check_frame(probe_frame("test", wide, [1]))
    both = SlotTiming(dendrite_clock_hz=290e3, pulse_width_s=1.2e-6)
    loose = coarse.limits.model_copy(update={"pulse_rate_max_hz": 340e3, "pulse_width_max_s": 2e-6})
    with pytest.raises(LimitError, match=r"duty = 0.66\d* \(0.348 in steps"):
        coarse.model_copy(update={"limits": loose}).check_frame(probe_frame("test", both, [1]))
    coarse.check_frame(probe_frame("test", both, [0, 0]))
    fine = coarse.model_copy(update={"pulse_source": "pico"})
    assert fine.tick_s == 40e-9
    fine.check_frame(probe_frame("test", fast, [1]))
    fine.check_frame(probe_frame("test", wide, [1]))


@settings(deadline=None)
@given(st.floats(1e3, 1e6), st.floats(0.05, 1.0), st.floats(0.1e-6, 5e-6), st.sampled_from([1e-6, 40e-9]))
def test_the_fastest_clock_is_within_the_limits_and_the_next_is_not(
    rate_hz: float, duty: float, width_s: float, tick_s: float
) -> None:
    timing = SlotTiming(dendrite_clock_hz=1e3, pulse_width_s=width_s)

    def at(clock_hz: float) -> Made:
        return made(timing.model_copy(update={"dendrite_clock_hz": clock_hz}), tick_s, 8)

    fastest = fastest_clock_hz(timing, tick_s, rate_hz, duty)
    assert at(fastest).rate_hz == pytest.approx(fastest)
    assert at(fastest).rate_hz <= rate_hz * (1 + 1e-6)
    assert at(fastest).duty <= duty * (1 + 1e-6)
    faster = at(1 / (1 / fastest - tick_s)) if fastest * tick_s < 0.9 else None
    assert faster is None or faster.rate_hz > rate_hz or faster.duty > duty


def test_a_part_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    file = Path(pi(tmp_path))
    text = file.read_text()
    for wrong, message in (
        (text.replace('"pigpio"', '"gpio"'), "bench file .*: pulse_source = 'gpio' is none of: pigpio, pico"),
        (text.replace('"scope"', '"rtb2000"'), "axon_reader = 'rtb2000' is none of: scope, pico, gpio, both"),
        (text.replace('"manual"', '"knob"'), "threshold.source = 'knob' is none of: pico, mcp4728, mcp4725, manual"),
        (text.replace('"scope"', '"pico"'), r"axon_reader = pico needs a \[pico\] table"),
        (text.replace('"scope"', '"both"'), r"axon_reader = pico needs a \[pico\] table"),
        (text[: text.index("[scope]")], r"axon_reader = scope needs a \[scope\] table"),
        (
            text.replace('"scope"', '"both"') + "[pico]\n[spikes]\ninverted = true\n",
            r"spikes.inverted = true: the Pico",
        ),
        (text + "[parts.knob]\n", r"\[parts.knob\]: bench 'bench 1' names no part 'knob'"),
    ):
        file.write_text(wrong)
        with pytest.raises(InputError, match=message):
            load_bench(str(file))


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        ('["scope"]', r"axon_reader = \['scope'\]: name one reader, as \"gpio\", or two"),
        ('["scope", "pico", "gpio"]', r"axon_reader = \['scope', 'pico', 'gpio'\]: name one reader"),
        ("3", "axon_reader = 3: name one reader"),
        ('["scope", 3]', r"axon_reader = \['scope', 3\]: name one reader"),
        ('"scope+scope"', "name two different readers"),
        ('"scope+gpio"', r"axon_reader = gpio needs a \[gpio\] table"),
        ('"scope"\naudit_every = 20', 'audit_every = 20 needs two readers, .*: axon_reader = "scope" is one; leave'),
    ],
)
def test_readers_that_are_neither_one_nor_two_are_refused_in_one_line(
    reader: str, message: str, tmp_path: Path
) -> None:
    file = Path(pi(tmp_path))
    file.write_text(file.read_text().replace('"scope"', reader, 1))
    with pytest.raises(InputError, match=message) as refused:
        load_bench(str(file))
    assert "tuple" not in str(refused.value)


def test_two_readers_by_their_one_name_are_two(tmp_path: Path) -> None:
    """As `hil bench init --reader` and `hil mock serve --reader` take it."""
    file = Path(pi(tmp_path))
    file.write_text(file.read_text().replace('"scope"', '"gpio+scope"', 1) + "[gpio]\n")
    bench = load_bench(str(file))
    assert (bench.axon_reader, bench.readers) == (("gpio", "scope"), ("gpio", "scope"))


def test_how_often_an_auditor_looks_that_is_not_there_stays_readable_in_a_run(tmp_path: Path) -> None:
    """What a version before took is as it is."""
    bench = load_bench(pi(tmp_path))
    assert bench.scope is not None
    rarely = bench.model_copy(update={"scope": bench.scope.model_copy(update={"audit_every": 5})})
    assert BenchFile.model_validate(rarely.model_dump(mode="json")) == rarely
    with pytest.raises(InputError, match=r"scope\.audit_every = 5 needs two readers"):
        rarely.check_audits()


def test_a_threshold_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(InputError, match=r"V_th = 3 V cannot be made on bench 'mock': allowed 0.2…2 V"):
        load_bench("mock").check_threshold(3.0)


def test_select_codes_close_one_address_and_rest_closes_none() -> None:
    one_hot = BoardSettings(addresses=4)
    assert [one_hot.select_code(i) for i in range(5)] == [1, 2, 4, 8, 1]
    binary = BoardSettings(addresses=4, select="binary")
    assert binary.select_lines == 3
    assert [binary.select_code(i) for i in range(5)] == [1, 2, 3, 4, 1]
    assert BoardSettings().select_code(7) == 0


def test_a_device_must_state_its_endurance(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('id = "mine"\nendurance_resets = 5\n')
    with pytest.raises(InputError, match="endurance_pulses: Field required"):
        load_device(str(file))


def test_shipped_devices_load_and_others_are_listed() -> None:
    assert load_device("nominal").id == "nominal"
    with pytest.raises(InputError, match="ideal, nominal"):
        load_device("nobody")


def bench_in(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "b.toml"
    file.write_text(f'name = "b"\nkind = "mock"\n{text}\n')
    return file


def test_paths_are_relative_to_the_bench_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = bench_in(tmp_path / "lab", 'device = "d.toml"\ncalibration = "sub/c.json"')
    (tmp_path / "lab" / "sub").mkdir()
    (tmp_path / "lab" / "d.toml").touch()
    (tmp_path / "lab" / "sub" / "c.json").touch()
    monkeypatch.chdir(tmp_path)
    found = load_bench(str(file.relative_to(tmp_path)))
    assert (found.device, found.calibration) == (
        str(tmp_path / "lab" / "d.toml"),
        str(tmp_path / "lab" / "sub" / "c.json"),
    )


def test_a_path_found_only_from_the_working_folder_is_taken_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = bench_in(tmp_path / "lab", 'calibration = "c.json"')
    (tmp_path / "c.json").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.warns(HilWarning, match=r"c\.json' is found from the working folder only; write '\.\./c\.json'"):
        assert load_bench(str(file)).calibration == str(tmp_path / "c.json")


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "b.toml"
    file.write_bytes(b'\xef\xbb\xbfname = "b"\nkind = "mock"\n')
    assert load_bench(str(file)).name == "b"


def test_pigpiod_is_where_its_own_programs_look_unless_the_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIGPIO_ADDR", "bench.local")
    monkeypatch.setenv("PIGPIO_PORT", "9999")
    assert PigpioSettings().address() == ("bench.local", 9999)
    assert PigpioSettings(host="localhost", port=8888).address() == ("localhost", 8888)
    monkeypatch.setenv("PIGPIO_PORT", "many")
    with pytest.raises(InputError, match="PIGPIO_PORT = 'many': a port, 1 to 65535"):
        PigpioSettings().address()


@pytest.mark.parametrize("value", ["inf", "1e308", "9" * 20, "1e-300", "-1.0"])
@pytest.mark.parametrize(
    "field", ["dendrite_clock_hz", "window_s", "pulse_width_s", "reset_width_s", "break_s", "guard_s", "settle_s"]
)
def test_times_of_a_slot_can_be_made_or_are_refused_by_name(field: str, value: str, tmp_path: Path) -> None:
    """In whole ticks of any source, without end or overflow."""
    file = tmp_path / "b.toml"
    file.write_text(f'name = "b"\nkind = "mock"\n[slot]\nmode = "{"fixed" if field == "window_s" else "adaptive"}"\n')
    with file.open("a") as more:
        more.write(f"{field} = {value}\n")
    try:
        bench = load_bench(str(file))
    except InputError as error:
        assert f"slot.{field} = " in str(error) or "does not fit the period" in str(error)  # noqa: PT017
        return
    frame = probe_frame("test", bench.slot, [1, 0, 40])
    for tick_s in (1e-6, 8e-9):
        assert (length_ticks(frame, tick_s)[frame.played] > 0).all()
