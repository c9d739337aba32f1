"""The simulated DS4024 as an instrument, message by message on a clock that the test turns."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from drivers.device import load_device
from drivers.errors import InputError
from drivers.mock.board import Board
from drivers.mock.ds4024.faults import FAULTS, Faults
from drivers.mock.ds4024.instrument import DS4024, PROFILES, Profile
from drivers.mock.ds4024.memory import envelope
from drivers.mock.ds4024.server import ScopeServer
from drivers.settings import BoardSettings

MS = 1_000_000
PERIOD_NS, HIGH_NS = 10 * MS, 2_000


@dataclass
class Pulses:
    """A 2 µs pulse every 10 ms on `axon` and `sync`, a ramp on `membrane`; counts the samples it is asked for."""

    now_ns: int = 1_000 * MS
    asked: int = 0

    def clock(self) -> int:
        return self.now_ns

    def volts(self, signal: str, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        self.asked += len(t_ns)
        if signal == "membrane":
            return (t_ns % PERIOD_NS) / PERIOD_NS
        return np.where(t_ns % PERIOD_NS < HIGH_NS, 3.3, 0.0)

    def lines(self, t0_ns: int, t1_ns: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        rise = np.arange(-(-t0_ns // PERIOD_NS), -(-t1_ns // PERIOD_NS)) * PERIOD_NS
        t = np.sort(np.concatenate([rise, rise + HIGH_NS]))
        return t, np.zeros(len(t), dtype=np.uint32)

    def axon(self, t0_ns: int, t1_ns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        t, _ = self.lines(t0_ns, t1_ns)
        return t[::2], t[1::2]

    def past(self, t0_ns: int, t1_ns: int) -> Pulses:
        return self

    def remembered_ns(self) -> int:
        return 0


@dataclass
class Scope:
    faults: Collection[str] = ()
    profile: str = "fast"
    source: Pulses = field(default_factory=Pulses)

    def __post_init__(self) -> None:
        self.instrument = DS4024(
            self.source,
            channels={"axon": 1, "sync": 2, "membrane": 4},
            probe=10.0,
            faults=Faults(self.faults),
            profile=PROFILES[self.profile],
            clock=self.source.clock,
            seed=3,
        )

    def ask(self, query: str) -> str:
        reply = self.instrument.message(query.encode())
        assert reply is not None, f"no reply to {query}"
        assert reply.data.endswith(b"\n")
        return reply.data[:-1].decode("ascii")

    def tell(self, *commands: str) -> Scope:
        for command in commands:
            assert self.instrument.message(command.encode()) is None
        return self

    def block(self, query: str = ":WAV:DATA?") -> NDArray[np.uint8]:
        reply = self.instrument.message(query.encode())
        assert reply is not None
        assert reply.data[:2] == b"#9"
        assert len(reply.data) == 11 + int(reply.data[2:11]) + 1
        return np.frombuffer(reply.data[11:-1], dtype=np.uint8)

    def wait(self, seconds: float) -> Scope:
        self.source.now_ns += round(seconds * 1e9)
        return self

    def stopped(self, *more: str, wait_s: float = 0.02) -> Scope:
        """A single shot of 1.4 ms on the sync pulse, at 50 MSa/s in both channels of a pair."""
        self.tell(":CHAN2:DISP ON", ":CHAN1:SCAL 0.5", ":CHAN1:OFFS -1.65", ":CHAN2:SCAL 0.5", ":CHAN2:OFFS -1.65")
        self.tell(":TIM:SCAL 1e-4", ":TRIG:EDG:SOUR CHAN2", ":TRIG:EDG:LEV 1.65", ":ACQ:MDEP 70000", *more, ":SING")
        self.wait(wait_s)
        assert self.ask(":TRIG:STAT?") == "STOP"
        return self

    def raw(self, channel: int, start: int, stop: int) -> NDArray[np.uint8]:
        self.tell(f":WAV:SOUR CHAN{channel}", ":WAV:FORM BYTE", ":WAV:MODE RAW", ":WAV:STAR 1", ":WAV:POIN 1000000")
        self.tell(f":WAV:STOP {stop}", f":WAV:STAR {start}", ":WAV:RES", ":WAV:BEG")
        data = self.block()
        self.tell(":WAV:END")
        return data


# ---- messages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    ["*IDN?", "*idn?", ":CHAN1:SCAL?", "chan1:scale?", ":CHANNEL1:SCALe?", ":TIM:MAIN:SCAL?", ":timebase:scale?"],
)
def test_short_and_long_forms_in_any_case_with_or_without_the_colon(query: str) -> None:
    assert Scope().ask(query)


@pytest.mark.parametrize(
    "query", [":CHAN5:SCAL?", ":CHANN1:SCAL?", ":FOO?", ":RUN?", "*CLS?", ":WAV:BEG?", ":MEAS:FOO?"]
)
def test_an_unknown_query_gets_no_reply_and_an_error(query: str) -> None:
    scope = Scope()
    assert scope.instrument.message(query.encode()) is None
    assert int(scope.ask("*ESR?")) & 32
    assert scope.ask(":SYST:ERR?") == '-113,"Undefined header"'
    assert scope.ask(":SYST:ERR?") == '0,"No error"'


def test_events_are_read_once_and_begin_with_power_on() -> None:
    scope = Scope()
    assert scope.ask("*ESR?") == "128"
    assert scope.ask("*ESR?") == "0"
    assert scope.ask("*OPC?") == "1"
    scope.tell("*ESE 32", ":NONSENSE 1")
    assert int(scope.ask("*STB?")) == 36


def test_values_that_are_none_are_errors() -> None:
    scope = Scope().tell(":CHAN1:SCAL big", ":CHAN1:COUP XY", ":TIM:SCAL")
    assert [scope.ask(":SYST:ERR?")[:4] for _ in range(4)] == ["-224", "-224", "-109", '0,"N']


# ---- settings -------------------------------------------------------------------------------------------------------


def test_the_probe_factor_scales_what_is_shown() -> None:
    scope = Scope().tell(":CHAN1:PROB 10", ":CHAN1:SCAL 2", ":CHAN1:OFFS -3", ":CHAN1:PROB 1")
    assert float(scope.ask(":CHAN1:SCAL?")) == 0.2
    assert float(scope.ask(":CHAN1:OFFS?")) == pytest.approx(-0.3)


@pytest.mark.parametrize(
    ("sent", "query", "kept"),
    [
        (":CHAN1:SCAL 1000", ":CHAN1:SCAL?", 50.0),
        (":CHAN1:SCAL 1e-6", ":CHAN1:SCAL?", 0.01),
        (":CHAN1:SCAL 0.6", ":CHAN1:SCAL?", 0.5),
        (":CHAN1:OFFS 1e6", ":CHAN1:OFFS?", 20.0),  # 100 mV/div at the input: ±2 V, times ten
        (":TIM:SCAL 3e-3", ":TIM:SCAL?", 2e-3),
        (":TIM:SCAL 1e-12", ":TIM:SCAL?", 2e-9),
    ],
)
def test_what_is_out_of_range_or_step_is_clamped(sent: str, query: str, kept: float) -> None:
    assert float(Scope().tell(sent).ask(query)) == pytest.approx(kept)


@settings(derandomize=True, max_examples=60)
@given(
    st.sampled_from([f"{m}e{e}" for m in (1, 2, 5) for e in range(-9, 1) if (m, e) != (1, -9)]),
    st.integers(0, 4),
    st.booleans(),
)
def test_depth_is_rate_times_timebase_times_fourteen(scale: str, k: int, pair: bool) -> None:
    depth = (7_000 if pair else 14_000) * 10**k
    scope = Scope().tell(f":CHAN2:DISP {int(pair)}", f":ACQ:MDEP {depth}", f":TIM:SCAL {scale}")
    assert scope.ask(":ACQ:MDEP?") == str(depth)
    rate = float(scope.ask(":ACQ:SRAT?"))
    assert rate == pytest.approx(min(2e9 if pair else 4e9, depth / (14 * float(scale))), rel=1e-5)


def test_a_second_channel_of_the_pair_halves_the_depth() -> None:
    scope = Scope().tell(":ACQ:MDEP 14000000")
    assert scope.tell(":CHAN3:DISP 1").ask(":ACQ:MDEP?") == "14000000"
    assert scope.tell(":CHAN2:DISP 1").ask(":ACQ:MDEP?") == "7000000"


def test_the_depth_is_taken_while_running_only() -> None:
    scope = Scope().tell(":ACQ:MDEP 14000", ":STOP", ":ACQ:MDEP 140000")
    assert scope.ask(":ACQ:MDEP?") == "14000"
    assert scope.ask(":SYST:ERR?").startswith("-221")
    assert scope.tell(":RUN", ":ACQ:MDEP 9999").ask(":ACQ:MDEP?") == "14000"


def test_roll_is_for_slow_time_bases() -> None:
    scope = Scope().tell(":TIM:SCAL 0.1", ":TIM:MODE ROLL")
    assert scope.ask(":TIM:MODE?") == "MAIN"
    assert scope.tell(":TIM:SCAL 0.2", ":TIM:MODE ROLL").ask(":TIM:MODE?") == "ROLL"


# ---- acquisition ----------------------------------------------------------------------------------------------------


def test_a_single_shot_waits_triggers_and_stops() -> None:
    scope = Scope().tell(":TIM:SCAL 1e-4", ":TRIG:EDG:SOUR CHAN2", ":TRIG:EDG:LEV 1.65", ":SING")
    assert scope.ask(":TRIG:STAT?") == "RUN"  # until the record before the trigger is full
    assert scope.wait(0.0095).ask(":TRIG:STAT?") == "WAIT"
    assert scope.wait(0.0006).ask(":TRIG:STAT?") == "TD"
    assert scope.wait(0.0007).ask(":TRIG:STAT?") == "STOP"
    assert scope.tell(":RUN").ask(":TRIG:STAT?") == "RUN"


def test_td_is_missed_between_two_looks() -> None:
    scope = Scope().tell(":TIM:SCAL 1e-4", ":TRIG:EDG:SOUR CHAN2", ":TRIG:EDG:LEV 1.65", ":SING")
    assert [scope.ask(":TRIG:STAT?"), scope.wait(0.02).ask(":TRIG:STAT?")] == ["RUN", "STOP"]


def test_a_trigger_before_the_record_is_full_is_not_taken() -> None:
    """Half the record of 14 ms lies before the trigger: of pulses every 10 ms the first after 7 ms counts."""
    scope = Scope().tell(":TIM:SCAL 1e-3", ":TRIG:EDG:SOUR CHAN2", ":TRIG:EDG:LEV 1.65")
    scope.wait(0.005).tell(":SING")  # 5 ms before a pulse
    assert scope.wait(0.006).ask(":TRIG:STAT?") == "RUN"
    assert scope.wait(0.010).ask(":TRIG:STAT?") == "TD"


def test_the_membrane_can_trigger_too() -> None:
    scope = Scope().tell(":TIM:SCAL 1e-5", ":TRIG:EDG:SOUR CHAN4", ":TRIG:EDG:LEV 0.5", ":SING").wait(0.0049)
    assert scope.ask(":TRIG:STAT?") == "WAIT"
    assert scope.wait(0.0002).ask(":TRIG:STAT?") == "STOP"


def test_without_an_edge_it_waits_until_forced() -> None:
    scope = Scope().tell(":TIM:SCAL 1e-4", ":TRIG:EDG:SOUR CHAN2", ":TRIG:EDG:LEV 5", ":SING").wait(1.0)
    assert scope.ask(":TRIG:STAT?") == "WAIT"
    assert scope.tell(":TFOR").wait(0.001).ask(":TRIG:STAT?") in ("TD", "STOP")
    assert scope.wait(0.001).ask(":TRIG:STAT?") == "STOP"


def test_a_run_shows_auto_or_td_and_norm_waits() -> None:
    scope = Scope().tell(":TIM:SCAL 1e-3", ":TRIG:EDG:SOUR CHAN2", ":TRIG:EDG:LEV 1.65").wait(0.1)
    assert scope.ask(":TRIG:STAT?") == "TD"
    assert scope.tell(":TRIG:EDG:LEV 5").ask(":TRIG:STAT?") == "AUTO"
    assert scope.tell(":TRIG:SWE NORM").ask(":TRIG:STAT?") == "WAIT"


def test_stopping_too_soon_leaves_the_memory_empty() -> None:
    scope = Scope().tell(":TIM:SCAL 1e-3", ":RUN").wait(0.001).tell(":STOP", ":WAV:MODE RAW")
    assert scope.ask(":WAV:PRE?").split(",")[2] == "0"
    scope.ask("*ESR?")
    scope.tell(":WAV:RES", ":WAV:BEG")
    assert int(scope.ask("*ESR?")) & 16
    assert len(scope.block()) == 0


# ---- memory ---------------------------------------------------------------------------------------------------------


def test_codes_follow_the_scale() -> None:
    """0 V and 3.3 V at 0.5 V/div and −1.65 V: codes 127 ∓ 105.6; noise of half a code rms, ±0.05 at 6 sigma."""
    scope = Scope().stopped()
    codes = scope.raw(2, 1, 70_000).astype(float)
    high = codes[35_002:35_098]  # 2 µs at 50 MSa/s, from the trigger in the middle on
    low = codes[:30_000]
    assert low.mean() == pytest.approx(127 - 106, abs=0.05)
    assert high.mean() == pytest.approx(127 - 106 + 211.2, abs=0.5)
    assert low.std() == pytest.approx(np.sqrt(0.25 + 1 / 12), abs=0.05)  # noise and rounding
    assert (codes > 127).sum() == 100


def test_preamble_and_its_queries_tell_the_same() -> None:
    scope = Scope().stopped()
    scope.raw(2, 1, 70_000)
    scope.tell(":WAV:STAR 1")
    fields = scope.ask(":WAV:PRE?").split(",")
    names = ("XINC", "XOR", "XREF", "YINC", "YOR", "YREF")
    assert [scope.ask(f":WAV:{n}?") for n in names] == fields[4:]
    assert [float(f) for f in fields] == pytest.approx([0, 2, 70_000, 1, 2e-8, -7e-4, 0, 0.5 / 32, -106, 127])


def test_windows_join_and_are_the_same_when_read_again() -> None:
    scope = Scope().stopped()
    whole = scope.raw(1, 1, 70_000)
    assert np.array_equal(np.concatenate([scope.raw(1, 1, 33_333), scope.raw(1, 33_334, 70_000)]), whole)
    assert not np.array_equal(scope.tell(":SING").wait(0.02).raw(1, 1, 70_000), whole)  # noise is another


def test_raw_is_refused_in_run_and_needs_begin() -> None:
    scope = Scope().tell(":WAV:MODE RAW")
    assert scope.ask(":WAV:MODE?") == "NORM"
    assert scope.ask(":SYST:ERR?").startswith("-221")
    scope.stopped(":TRIG:SWE NORM").tell(":WAV:MODE RAW", ":WAV:POIN 100")
    reply = scope.instrument.message(b":WAV:DATA?")
    assert reply is not None
    assert reply.data == b"#9000000000\n"


def test_a_full_buffer_keeps_the_rest_waiting() -> None:
    """1.4 million samples at 1 MB/s: what is fetched late makes all that follows as much later."""
    scope = Scope()
    scope.instrument = DS4024(
        scope.source,
        channels={"axon": 1, "sync": 2},
        probe=10.0,
        faults=Faults(()),
        profile=Profile(0.0, 1e6),
        clock=scope.source.clock,
        seed=3,
    )
    scope.stopped(":TIM:SCAL 1e-3", ":ACQ:MDEP 7000000", wait_s=0.05)
    scope.tell(":WAV:MODE RAW", ":WAV:STAR 1", ":WAV:POIN 1400000", ":WAV:STOP 1400000", ":WAV:RES", ":WAV:BEG")
    assert scope.wait(0.9).ask(":WAV:STAT?") == "READ,900000"
    assert scope.wait(5.0).ask(":WAV:STAT?") == "READ,1000000"
    assert len(scope.block()) == 1_000_000
    assert scope.ask(":WAV:STAT?") == "READ,0"
    assert scope.wait(0.3).ask(":WAV:STAT?") == "READ,300000"
    assert scope.wait(0.2).ask(":WAV:STAT?") == "IDLE,400000"
    assert len(scope.block()) == 400_000


def test_a_norm_read_caps_the_next_raw_read() -> None:
    scope = Scope().stopped()
    assert len(scope.raw(1, 1, 70_000)) == 70_000
    assert scope.ask(":WAV:POIN?") == "70000"
    scope.tell(":WAV:MODE NORM", ":WAV:STOP 1400")
    assert len(scope.block()) == 1_400
    assert scope.ask(":WAV:POIN?") == "1400"
    scope.tell(":WAV:MODE RAW", ":WAV:STAR 1", ":WAV:STOP 70000", ":WAV:RES", ":WAV:BEG")
    assert len(scope.block()) == 1_400


def test_end_leaves_a_query_error_and_without_it_the_next_channel_is_wrong() -> None:
    scope = Scope().stopped()
    first = scope.raw(1, 1, 1_000)
    scope.ask("*ESR?")
    scope.tell(":WAV:END")
    assert int(scope.ask("*ESR?")) & 4
    scope.tell(":WAV:SOUR CHAN1", ":WAV:RES", ":WAV:BEG")  # and no END
    scope.tell(":WAV:SOUR CHAN4", ":WAV:STAR 1", ":WAV:STOP 1000", ":WAV:RES", ":WAV:BEG")
    assert np.array_equal(scope.block(), first)


def test_a_norm_block_is_an_envelope_that_shows_every_pulse() -> None:
    """One pulse of 2 µs on a screen of 14 ms, a column of which is 20 µs."""
    scope = Scope().stopped(":TIM:SCAL 1e-3", ":ACQ:MDEP 70000", wait_s=0.04).tell(":WAV:MODE NORM", ":WAV:SOUR CHAN2")
    codes = scope.block()
    assert (codes[1::2] > 200).sum() in (1, 2)
    assert codes[::2].max() < 50
    assert float(scope.ask(":WAV:XINC?")) == 1e-5


def test_an_envelope_is_least_and_greatest_of_each_column() -> None:
    codes = np.arange(1_400 * 5, dtype=np.int64).astype(np.uint8)
    pairs = envelope(codes).reshape(700, 2)
    columns = codes.reshape(700, 10)
    assert np.array_equal(pairs, np.stack([columns.min(axis=1), columns.max(axis=1)], axis=1))


def test_ascii_in_raw_is_scaled_with_the_next_channel() -> None:
    scope = Scope().stopped(":CHAN2:SCAL 1", ":CHAN2:OFFS 0")
    scope.raw(1, 1, 10)
    codes = scope.raw(1, 1, 10).astype(float)
    scope.tell(":WAV:FORM ASC", ":WAV:RES", ":WAV:BEG")
    text = scope.block().tobytes().decode("ascii")
    assert text.endswith(",")
    volts = np.array([float(v) for v in text.rstrip(",").split(",")])
    assert volts == pytest.approx((codes - 127) * 1 / 32, abs=1e-5)


def test_a_record_costs_what_is_read_of_it() -> None:
    scope = Scope().stopped(":ACQ:MDEP 70000000", ":TIM:SCAL 1e-1", wait_s=3.0)
    before = scope.source.asked
    assert len(scope.raw(1, 35_000_001, 35_000_500)) == 500
    assert scope.source.asked - before == 500


def test_the_reading_thread_fills_its_buffer_at_its_rate() -> None:
    scope = Scope(profile="realistic")
    scope.instrument._profile = PROFILES["fast"]  # the rate alone: 20 ms a command are slept
    scope.stopped(":ACQ:MDEP 700000")
    scope.tell(":WAV:MODE RAW", ":WAV:STAR 1", ":WAV:STOP 700000", ":WAV:POIN 700000", ":WAV:RES", ":WAV:BEG")
    assert scope.ask(":WAV:STAT?") == "READ,0"
    assert scope.wait(0.5).ask(":WAV:STAT?") == "READ,150000"
    assert len(scope.block()) == 150_000
    assert scope.wait(10).ask(":WAV:STAT?") == "IDLE,550000"
    assert len(scope.block()) == 550_000
    assert scope.ask(":WAV:STAT?") == "IDLE,0"
    assert len(scope.block()) == 0


def test_the_buffer_holds_a_million_bytes() -> None:
    scope = Scope().stopped(":ACQ:MDEP 7000000")
    scope.tell(":WAV:MODE RAW", ":WAV:STAR 1", ":WAV:STOP 2500000", ":WAV:POIN 2500000", ":WAV:RES", ":WAV:BEG")
    sizes = []
    while True:
        state = scope.ask(":WAV:STAT?")
        sizes.append(len(scope.block()))
        if state.startswith("IDLE"):
            break
    assert sizes == [1_000_000, 1_000_000, 500_000]


def test_a_record_outlives_the_boards_history() -> None:
    later_ns = 0
    board = Board(load_device("ideal"), BoardSettings(), clock=lambda: time.monotonic_ns() + later_ns)
    with ScopeServer(board) as server:
        message = server.instrument.message
        for text in (":TIM:SCAL 1e-6", ":ACQ:MDEP 14000", ":SING", ":TFOR", "*OPC?", ":WAV:MODE RAW", ":WAV:POIN 100"):
            message(text.encode())
        later_ns = 3_600_000_000_000
        board.axon(board.clock(), board.clock() + 1)
        assert board.remembered_ns() > board.clock() - 3_000_000_000_000
        for text in (":WAV:STAR 1", ":WAV:STOP 100", ":WAV:RES", ":WAV:BEG"):
            message(text.encode())
        reply = message(b":WAV:DATA?")
    assert reply is not None
    assert len(reply.data) == 11 + 100 + 1


def test_trigger_modes_that_are_not_simulated_are_recorded() -> None:
    scope = Scope().tell(":TRIG:MODE RUNT", ":SING")
    assert "edges only" in str(scope.instrument.misuse.take()[0])
    assert scope.ask(":TRIG:STAT?") == "RUN"


# ---- measurements ---------------------------------------------------------------------------------------------------


def test_measurements_are_of_the_screen() -> None:
    scope = Scope().stopped(":TIM:SCAL 5e-3", ":ACQ:MDEP 700000", wait_s=0.2)
    assert float(scope.ask(":MEAS:VMAX? CHAN1")) == pytest.approx(3.3, abs=0.1)
    assert float(scope.ask(":MEAS:VBAS? CHAN1")) == pytest.approx(0.0, abs=0.02)
    assert float(scope.ask(":MEAS:PER? CHAN1")) == pytest.approx(0.01, rel=1e-3)
    assert float(scope.ask(":MEAS:FREQ? CHAN1")) == pytest.approx(100, rel=1e-3)
    assert float(scope.ask(":MEAS:PWID? CHAN1")) == pytest.approx(2e-6, rel=0.1)
    assert float(scope.ask(":MEAS:FREQ? CHAN3")) == 9.9e37  # nothing is on it


def test_edges_and_overshoot_are_measured() -> None:
    scope = Scope().stopped(":TIM:SCAL 5e-3", ":ACQ:MDEP 700000", wait_s=0.2)
    assert 0 < float(scope.ask(":MEAS:RTIM? CHAN1")) < 2e-6
    assert 0 < float(scope.ask(":MEAS:FTIM? CHAN1")) < 2e-6
    assert float(scope.ask(":MEAS:OVER? CHAN1")) == pytest.approx(0.0, abs=0.05)


# ---- messages -------------------------------------------------------------------------------------------------------


def test_semicolons_part_commands_and_join_replies() -> None:
    scope = Scope()
    assert scope.ask("*OPC?;*TST?;*OPT?") == "1;0;0"
    assert scope.tell(":CHAN1:SCAL 0.5;OFFS 0.25;:TIM:SCAL 1e-3").ask(":CHAN1:SCAL?;OFFS?;*OPC?") == (
        "5.000000e-01;2.500000e-01;1"
    )
    assert float(scope.ask(":TIM:SCAL?")) == 1e-3
    assert scope.ask(":NONSENSE?;*OPC?") == "1"


def test_the_screen_is_a_picture_of_the_traces() -> None:
    scope = Scope().stopped(":TIM:SCAL 5e-3", ":ACQ:MDEP 7000", wait_s=0.2)
    reply = scope.instrument.message(b":DISP:DATA?")
    assert reply is not None
    data = reply.data[11:-1]
    assert data[:2] == b"BM"
    assert int.from_bytes(data[2:6], "little") == len(data) == int(reply.data[2:11])
    rows = np.frombuffer(data[54:], dtype=np.uint8).reshape(480, 800, 3)[::-1, :, ::-1]
    traces = rows.max(axis=2) > 60  # brighter than the grid
    assert traces.any(axis=0).sum() > 690  # in nearly every column
    assert traces.any(axis=1).sum() > 90  # with pulses of 3.3 V at 1 V/div
    assert (rows == (255, 230, 0)).all(axis=2).any()  # channel 1 is yellow


# ---- faults ---------------------------------------------------------------------------------------------------------


def test_faults_are_known_by_name_and_counted() -> None:
    faults = Faults(["short_block:2", "no_reply"])
    assert [faults.strikes("short_block") for _ in range(3)] == [True, True, False]
    assert all(faults.strikes("no_reply") for _ in range(5))
    assert not faults.on("late_idle")
    with pytest.raises(InputError, match=r"unknown oscilloscope fault 'fire'; known: auto_depth"):
        Faults(["fire"])
    with pytest.raises(InputError, match="after the colon"):
        Faults(["no_reply:often"])
    assert all(FAULTS.values())


def test_clearing_works_unless_it_hangs() -> None:
    scope = Scope().tell(":NONSENSE", "*CLS")
    assert scope.ask("*ESR?") == "0"
    hung = Scope(faults=["hangs_on_clear"])
    hung.instrument.clear()
    assert hung.instrument.message(b"*IDN?") is None
    hung.instrument.opened()
    assert hung.ask("*IDN?").startswith("RIGOL TECHNOLOGIES,DS4024,DS4A")


def test_old_firmware_corrupts_raw_reads() -> None:
    good, bad = Scope().stopped(), Scope(faults=["old_firmware"]).stopped()
    assert bad.ask("*IDN?").endswith(",00.02.02")
    assert not np.array_equal(good.raw(1, 1, 10_000), bad.raw(1, 1, 10_000))


# ---- what is not simulated, and the vernier -------------------------------------------------------------------------


def test_other_than_plain_samples_are_a_misuse_of_the_twin() -> None:
    scope = Scope().tell(":ACQ:TYPE PEAK", ":SING")
    assert "plain samples only" in str(scope.instrument.misuse.take()[0])


@pytest.mark.parametrize(("faults", "made"), [((), 1.23e-3), (("coarse_time_base",), 1e-3)])
def test_a_time_base_between_steps_needs_the_vernier(faults: tuple[str, ...], made: float) -> None:
    scope = Scope(faults).tell(":ACQ:MDEP 140000", ":TIM:SCAL 1.23e-3")
    assert float(scope.ask(":TIM:SCAL?")) == 1e-3
    scope.tell(":TIM:VERN 1", ":TIM:SCAL 1.23e-3")
    assert float(scope.ask(":TIM:SCAL?")) == made
    assert float(scope.ask(":ACQ:SRAT?")) == pytest.approx(140_000 / (14 * made), rel=1e-6)
