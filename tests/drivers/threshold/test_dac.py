from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbus2 import i2c_msg

from drivers.device import load_device
from drivers.errors import BenchError, ConnectionLostError, InputError, TwinError
from drivers.mock.board import Board
from drivers.mock.dac import MockI2cBus, MockMcp4725, MockMcp4728
from drivers.settings import BoardSettings, Limits, ThresholdSettings
from drivers.threshold.dac import DacThreshold
from drivers.threshold.manual import ManualThreshold

LIMITS = Limits(vth_min_v=0.2, vth_max_v=2.0)


def made(source: str, limits: Limits = LIMITS) -> tuple[DacThreshold, MockMcp4728 | MockMcp4725, Board]:
    board = Board(load_device("ideal"), BoardSettings())
    chip = (MockMcp4728 if source == "mcp4728" else MockMcp4725)(board.set_threshold)
    settings = ThresholdSettings(source=source)
    return DacThreshold(settings, limits, bus=MockI2cBus({0x60: chip})), chip, board


@pytest.mark.parametrize(
    ("source", "volts", "code", "full_scale_v"),
    [
        ("mcp4728", 0.5, 1000, 2.048),
        ("mcp4728", 0.7, 1400, 2.048),
        ("mcp4728", 1.2, 2400, 2.048),
        ("mcp4725", 0.5, 621, 3.3),
        ("mcp4725", 0.7, 869, 3.3),
        ("mcp4725", 1.2, 1489, 3.3),
    ],
)
def test_codes_follow_the_datasheets(source: str, volts: float, code: int, full_scale_v: float) -> None:
    threshold, _, board = made(source)
    assert threshold.set_threshold(volts) == pytest.approx(full_scale_v * code / 4096, rel=1e-12)
    assert board.threshold_v == pytest.approx(full_scale_v * code / 4096, rel=1e-12)


@given(st.floats(0.2, 2.0), st.sampled_from(["mcp4728", "mcp4725"]))
def test_what_is_reported_is_what_the_comparator_sees(volts: float, source: str) -> None:
    threshold, chip, board = made(source)
    reported = threshold.set_threshold(volts)
    assert reported == pytest.approx(board.threshold_v, rel=1e-12)
    assert abs(reported - volts) <= threshold.step_v
    assert 0.2 <= reported <= 2.0
    assert chip.eeprom_writes == 0


@pytest.mark.parametrize("source", ["mcp4728", "mcp4725"])
def test_it_parks_when_prepared_and_closed(source: str) -> None:
    threshold, _, board = made(source)
    threshold.prepare()
    assert board.threshold_v == pytest.approx(2.0, abs=threshold.step_v)
    assert board.threshold_v <= 2.0
    threshold.set_threshold(0.7)
    threshold.close()
    threshold.close()
    assert board.threshold_v == pytest.approx(2.0, abs=1e-3)
    with pytest.raises(BenchError, match="closed"):
        threshold.set_threshold(0.7)


@pytest.mark.parametrize("source", ["mcp4728", "mcp4725"])
def test_the_parked_value_is_stored_on_request_and_read_back(source: str) -> None:
    threshold, chip, board = made(source)
    assert threshold.power_up_v() == 0.0
    (check,) = threshold.checks()
    assert "park-dac" in check.advice
    stored = threshold.store_park()
    assert stored == pytest.approx(2.0, abs=threshold.step_v)
    assert chip.eeprom_writes == 1
    assert threshold.power_up_v() == stored == pytest.approx(board.threshold_v)
    (check,) = threshold.checks()
    assert check.advice == ""
    threshold.set_threshold(0.7)
    assert threshold.power_up_v() == stored


@pytest.mark.parametrize("source", ["mcp4728", "mcp4725"])
def test_an_eeprom_that_does_not_take_it_is_named(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threshold, chip, _ = made(source)
    monkeypatch.setattr(chip._storing, "begin", lambda _finish: None)  # a worn cell: nothing is kept
    with pytest.raises(BenchError, match=r"holds 0 V instead of \S+ V: is it worn out"):
        threshold.store_park()


@pytest.mark.parametrize("volts", [0.19, 2.01, float("nan")])
def test_volts_outside_the_limits_are_refused(volts: float) -> None:
    threshold, _, board = made("mcp4728")
    with pytest.raises(InputError, match=r"allowed 0\.2…2 V"):
        threshold.set_threshold(volts)
    assert board.threshold_v == 0.0


def test_a_high_limit_takes_gain_2_and_an_impossible_one_is_refused() -> None:
    threshold, _, _ = made("mcp4728", Limits(vth_max_v=3.0))
    assert threshold.step_v == pytest.approx(1e-3)
    assert threshold.set_threshold(2.5) == pytest.approx(2.5)
    with pytest.raises(InputError, match=r"vth_max_v = 4 V cannot be made by an MCP4728 on threshold.vdd_v = 3\.3 V"):
        made("mcp4728", Limits(vth_max_v=4.0))
    with pytest.raises(InputError, match="cannot be made by an MCP4725"):
        made("mcp4725", Limits(vth_max_v=3.3))


def test_a_chip_that_is_missing_or_goes_is_named() -> None:
    with pytest.raises(ConnectionLostError, match=r"MCP4728 at 0x60 on I²C bus 1 \(Remote I/O error\)"):
        DacThreshold(ThresholdSettings(source="mcp4728"), LIMITS, bus=MockI2cBus({})).prepare()
    threshold, _, _ = made("mcp4728")
    threshold._bus.devices.clear()  # type: ignore[attr-defined]
    with pytest.raises(ConnectionLostError, match="check its wires"):
        threshold.set_threshold(0.7)


@pytest.mark.parametrize("how", ["kept", "gone", "never set"])
def test_the_bus_is_let_go_of_on_every_path(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the chip cannot be parked any more."""
    closed: list[object] = []

    def close(bus: MockI2cBus) -> None:
        closed.append(bus)

    monkeypatch.setattr(MockI2cBus, "close", close)
    threshold, _, _ = made("mcp4728")
    if how != "never set":
        threshold.set_threshold(0.7)
    if how == "gone":
        threshold._bus.devices.clear()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionLostError):
            threshold.close()
    threshold.close()
    threshold.close()
    assert closed == [threshold._bus]


def test_another_chip_at_the_address_is_noticed() -> None:
    wrong = MockI2cBus({0x60: MockMcp4728(lambda _: None)})
    with pytest.raises(BenchError, match="is it the right chip"):
        DacThreshold(ThresholdSettings(source="mcp4725"), LIMITS, bus=wrong).prepare()


def test_a_bus_that_is_switched_off_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConnectionLostError, match=r"I²C bus 250 cannot be opened .*raspi-config"):
        DacThreshold(ThresholdSettings(source="mcp4728", i2c_bus=250), LIMITS)


@pytest.mark.parametrize("source", ["mcp4728", "mcp4725"])
def test_the_check_tells_what_it_makes_now_and_at_power_up(source: str) -> None:
    threshold, _, _ = made(source)
    (check,) = threshold.checks()
    assert threshold.identity["threshold"] in check.detail
    assert check.ok
    assert "V now, 0 V at power-up" in check.detail
    assert "hil bench park-dac" in check.advice


def test_another_chip_is_told_by_the_check() -> None:
    bus = MockI2cBus({0x60: MockMcp4725(lambda _: None)})
    (check,) = DacThreshold(ThresholdSettings(source="mcp4728"), LIMITS, bus=bus).checks()
    assert not check.ok
    assert check.advice == "not an MCP4728: check threshold.source and address"


@pytest.mark.parametrize("source", ["mcp4728", "mcp4725"])
def test_looking_at_a_dac_in_use_leaves_its_volts_alone(source: str) -> None:
    """`hil doctor` beside a run: V_th stays where the run has it."""
    running, chip, board = made(source)
    made_v = running.set_threshold(0.7)
    beside = DacThreshold(ThresholdSettings(source=source), LIMITS, bus=MockI2cBus({0x60: chip}))
    (check,) = beside.checks()
    beside.close()
    assert check.ok
    assert f"{made_v:.4g} V now" in check.detail
    assert board.threshold_v == made_v


# ---- the chips themselves -------------------------------------------------------------------------------------------


def test_mcp4728_commands_byte_by_byte() -> None:
    seen: list[float] = []
    chip = MockMcp4728(seen.append)
    bus = MockI2cBus({0x60: chip})

    def write(*data: int) -> float:
        bus.i2c_rdwr(i2c_msg.write(0x60, bytes(data)))
        return seen[-1]

    assert seen == [0.0]
    assert write(0x40, 0x85, 0x78) == pytest.approx(0.7)  # multi-write, UDAC 0
    assert write(0x41, 0x80, 0x00) == pytest.approx(0.7)  # UDAC 1: the input register only
    assert write(0x40, 0x95, 0x78) == pytest.approx(1.4)  # gain 2
    assert write(0x40, 0x05, 0x78) == pytest.approx(3.3 * 1400 / 4096)  # VDD as reference
    assert write(0x80 | 0b1000) == pytest.approx(0.7)
    assert write(0xC0 | 0b1000) == pytest.approx(1.4)
    assert write(0x40, 0xA5, 0x78) == 0.0  # powered down
    assert write(0x05, 0xDC) == 0.0  # fast write: LDAC is high
    reply = i2c_msg.read(0x60, 24)
    bus.i2c_rdwr(reply)
    assert bytes(reply)[:6] == bytes([0xC0, 0x85, 0xDC, 0xC0, 0x80, 0x00])
    assert bytes(reply)[18] >> 4 & 3 == 3
    assert chip.eeprom_writes == 0
    assert write(0x58, 0x85, 0x78) == pytest.approx(0.7)
    assert chip.eeprom_writes == 1
    with pytest.raises(TwinError, match="being written"):
        write(0x40, 0x85, 0x78)
    assert [chip.read(1)[0] & 0x80 for _ in range(3)] == [0, 0x80, 0x80]
    assert MockMcp4728(seen.append, eeprom=chip.eeprom).volts() == pytest.approx(0.7)


@pytest.mark.parametrize("data", [b"", b"\x40", b"\x40\x85", b"\x58\x85", b"\x60\x00\x00", b"\x05", b"\xe0"])
def test_mcp4728_refuses_what_it_would_ignore(data: bytes) -> None:
    with pytest.raises(TwinError, match="MCP4728"):
        MockMcp4728(lambda _: None).write(data)


def test_mcp4725_commands_byte_by_byte() -> None:
    seen: list[float] = []
    chip = MockMcp4725(seen.append)
    chip.write(bytes([0x03, 0x65]))
    assert seen[-1] == pytest.approx(3.3 * 869 / 4096)
    chip.write(bytes([0x40, 0x80, 0x00]))
    assert seen[-1] == pytest.approx(1.65)
    chip.write(bytes([0x13, 0x65]))
    assert seen[-1] == 0.0  # powered down
    assert chip.read(6) == bytes([0xC2, 0x36, 0x50, 0x00, 0x00, 0xFF])
    chip.write(bytes([0x60, 0x80, 0x00]))
    assert [chip.read(1)[0] & 0x80 for _ in range(2)] == [0, 0x80]
    assert (chip.eeprom_writes, chip.power_up_code) == (1, 2048)
    for data in (b"", b"\x03", b"\x80\x00\x00", b"\x40\x00"):
        with pytest.raises(TwinError, match="MCP4725"):
            chip.write(data)


# ---- a person -------------------------------------------------------------------------------------------------------


def answers(*lines: str) -> tuple[Callable[[str], str], list[str]]:
    asked: list[str] = []
    waiting: Iterator[str] = iter(lines)

    def ask(question: str) -> str:
        asked.append(question)
        return next(waiting, "")

    return ask, asked


def test_a_person_is_asked_once_for_each_setting_and_the_reading_is_recorded() -> None:
    ask, asked = answers("0.702\n", "0.8 V\n", "0.71\n")
    manual = ManualThreshold(LIMITS, ask=ask, interactive=True)
    assert manual.set_threshold(0.7) == 0.702
    assert manual.set_threshold(0.7) == 0.702
    assert manual.set_threshold(0.8) == 0.8
    manual.park()
    assert manual.set_threshold(0.7) == 0.71
    manual.close()
    assert manual.readings == [(0.7, 0.702), (0.8, 0.8), (0.7, 0.71)]
    assert [q.split(",")[0] for q in asked] == [f"Set the V_th supply to {v} V" for v in (0.7, 0.8, 0.7)]


def test_a_wrong_reading_is_asked_again_but_not_for_ever() -> None:
    ask, asked = answers("seven", "7", "0.7")
    assert ManualThreshold(LIMITS, ask=ask, interactive=True).set_threshold(0.7) == 0.7
    assert "'seven' is not a number" in asked[1]
    assert "7 V is not 0.7 ± 0.05 V" in asked[2]
    ask, asked = answers()
    with pytest.raises(InputError, match="not confirmed in 3 attempts"):
        ManualThreshold(LIMITS, ask=ask, interactive=True).set_threshold(0.7)
    assert len(asked) == 3


def test_without_a_terminal_nothing_is_assumed() -> None:
    ask, asked = answers("0.7")
    with pytest.raises(InputError, match="manual needs a terminal"):
        ManualThreshold(LIMITS, ask=ask, interactive=False).set_threshold(0.7)
    assert asked == []


def test_the_terminal_is_asked_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("0.7\n"))
    assert ManualThreshold(LIMITS, interactive=True).set_threshold(0.7) == 0.7
    out, err = capsys.readouterr()
    assert out == ""
    assert "Set the V_th supply to 0.7 V" in err
    with pytest.raises(InputError, match="allowed"):
        ManualThreshold(LIMITS).set_threshold(3.0)
