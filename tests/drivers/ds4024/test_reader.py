"""The DS4024 driver over unmodified PyVISA against the twin: what it reads, and how it meets every fault.

No test may end in a wrong count: a fault either leaves the counts as they were played, or ends in a named error.
"""

import gc
import socket
import struct
import time

import numpy as np
import pytest
import pyvisa
from pyvisa_py.protocols import rpc, vxi11, xdrlib

from drivers.checks import BUSY
from drivers.ds4024.address import canonical, instrument
from drivers.ds4024.link import Pace, ScopeLink
from drivers.ds4024.reader import SETTINGS_MADE
from drivers.errors import BenchError, CaptureError, ConnectionLostError, InputError
from drivers.mock.ds4024.faults import FAULTS
from drivers.signals import SlotTiming, probe_frame
from tests.drivers.ds4024 import test_sparse
from tests.drivers.ds4024.rig import COUNTS, Rig, rig

pytestmark = pytest.mark.wire

# pyvisa-py 0.8 leaves its socket to the garbage collector when a link cannot be created.
leaky = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

MET_BY = {  # every fault, and the test that shows how it is met
    "hangs_on_clear": "test_the_driver_never_clears",
    "old_firmware": "test_old_firmware_is_refused_before_anything_is_read",
    "short_block": "test_a_fault_that_strikes_once_is_recovered_from",
    "truncated_block": "test_a_fault_that_strikes_once_is_recovered_from",
    "late_idle": "test_a_fault_that_strikes_always_changes_nothing",
    "lost_trigger": "test_a_lost_trigger_has_the_shot_retaken",
    "single_without_trigger": "test_a_single_that_stops_at_once_is_armed_again",
    "auto_depth": "test_a_fault_that_strikes_always_changes_nothing",
    "coarse_time_base": "test_what_is_proven_is_used_and_counts_are_as_played",
    "wrong_increment": "test_a_fault_that_strikes_always_changes_nothing",
    "disconnect_mid_block": "test_a_fault_that_strikes_once_is_recovered_from",
    "no_reply": "test_a_scope_that_falls_silent_is_named",
    "stale_preamble": "test_a_fault_that_strikes_always_changes_nothing",
    "missed_td": "test_a_fault_that_strikes_always_changes_nothing",
    "x10_probe": "test_a_wrong_probe_is_named",
    "clipped_channel": "test_a_clipped_channel_is_named",
    "axon_raised_rest": "test_a_fault_that_strikes_always_changes_nothing",
    "axon_glitches": "test_a_fault_that_strikes_always_changes_nothing",
    "axon_sticks": "test_an_axon_that_sticks_on_the_way_is_named",
    "axon_hum": "test_an_axon_that_hums_is_followed",
    "axon_slow_edges": "test_a_fault_that_strikes_always_changes_nothing",
    "axon_notches": "test_a_fault_that_strikes_always_changes_nothing",
    "axon_runts": "test_a_fault_that_strikes_always_changes_nothing",
    "axon_echo": "test_pulses_that_no_axon_makes_are_not_trusted",
    "axon_narrow": "test_pulses_that_no_axon_makes_are_not_trusted",
}


def assert_as_played(rig: Rig) -> None:
    capture = rig.captured()
    assert capture.spikes.tolist() == list(COUNTS)
    assert capture.ok.all()
    assert not capture.stray


def test_every_fault_has_its_test() -> None:
    assert set(MET_BY) == set(FAULTS)
    assert all(name in globals() or hasattr(test_sparse, name) for name in MET_BY.values())


@pytest.mark.parametrize("transport", ["vxi11", "socket"])
def test_counts_are_as_played(transport: str) -> None:
    with rig(transport=transport) as bench:
        assert_as_played(bench)
        assert_as_played(bench)
        trace = bench.captured().traces[0]
    assert trace.name == "axon"
    assert trace.x_increment_s == pytest.approx(0.2e-6)
    assert trace.y_increment_v == pytest.approx(0.5 / 32)
    assert trace.settings[":CHAN1:PROB"] == "10"
    assert trace.settings["scope_model"] == "DS4024"
    assert trace.times_s[0] < 0 < trace.times_s[-1]


def test_only_what_the_shot_occupies_is_read() -> None:
    with rig() as bench:
        capture = bench.captured()
        plan = bench.reader.plan
        assert plan is not None
        assert [len(t.codes) for t in capture.traces] == [plan.points] * 2
        assert plan.points < plan.depth / 2
        assert plan.bytes == sum(len(t.codes) for t in capture.traces)


def test_settings_are_made_once_and_read_back() -> None:
    with rig() as bench:
        bench.captured()
        made = len(bench.log)
        made_settings = [c for c in bench.log if c.startswith(":CHAN1:SCAL")]
        assert made_settings == [":CHAN1:SCAL 0.5", ":CHAN1:SCAL?"]
        bench.captured()
        assert not [c for c in bench.log[made:] if c.startswith((":CHAN", ":TIM:SCAL ", ":ACQ:MDEP "))]


def test_all_four_channels_are_read_for_characterisation() -> None:
    channels = {"axon": 1, "dendrite": 2, "sync": 3, "membrane": 4}
    with rig(channels=channels, samples_per_axon=20) as bench:
        capture = bench.captured()
        assert bench.reader.plan is not None
        assert bench.reader.plan.rate_hz >= 10e6
    assert [t.name for t in capture.traces] == list(channels)
    dendrite, membrane = capture.traces[1].volts, capture.traces[3].volts
    rises = int(((dendrite[1:] > 1.65) & (dendrite[:-1] <= 1.65)).sum())
    assert rises == sum(COUNTS)
    assert membrane.max() > 0.6  # it reaches V_th = 0.7 V
    assert capture.spikes.tolist() == list(COUNTS)


@pytest.mark.parametrize("piece_bytes", [1024, 1 << 20])
def test_replies_of_any_length_and_in_any_pieces_are_read(piece_bytes: int) -> None:
    """Among them the lengths at which pyvisa-py's own block reading fails: multiples of its chunk, small pieces."""
    with rig(piece_bytes=piece_bytes) as bench:
        bench.captured(bench.shot([600]))
        link = bench.reader._link
        for length in (20_468, 20_480, 40_948, 1, 1024):
            link.write(":WAV:MODE RAW")
            link.write(f":WAV:POIN {length}")
            link.write(":WAV:STAR 1")
            link.write(f":WAV:STOP {length}")
            link.write(":WAV:RES")
            link.write(":WAV:BEG")
            assert len(link.block(":WAV:DATA?", 1_000_000)) == length
            link.write(":WAV:END")
        assert link.ask("*IDN?").startswith("RIGOL")  # still in step


def test_windows_and_whole_memory_give_the_same_samples() -> None:
    with rig() as bench:
        windows = bench.captured()
        start = len(bench.log)
        plan = bench.reader.plan
        assert plan is not None
        from drivers.ds4024.memory import read_memory

        link = bench.reader._link
        parts, _ = read_memory(link, 1, plan.depth, plan.start, plan.stop, window=1_000, at_once=False)
        whole, _ = read_memory(link, 1, plan.depth, plan.start, plan.stop, window=None)
        assert len([c for c in bench.log[start:] if c == ":WAV:BEG"]) == -(-plan.points // 1_000) + 1
    assert np.array_equal(parts, windows.traces[0].codes)
    assert np.array_equal(whole, windows.traces[0].codes)


def test_the_whole_memory_style_counts_as_well() -> None:
    with rig(read_style="whole") as bench:
        assert_as_played(bench)


def test_a_norm_read_by_somebody_else_does_not_cap_the_next_one() -> None:
    with rig() as bench:
        bench.captured()
        link = bench.reader._link
        for command in (":WAV:MODE NORM", ":WAV:STAR 1", ":WAV:STOP 1400"):
            link.write(command)
        assert len(link.block(":WAV:DATA?", 2_000)) == 1_400
        assert link.ask(":WAV:POIN?") == "1400"
        assert_as_played(bench)


def test_a_realistic_link_is_slower_and_no_less_right() -> None:
    with rig(profile="realistic", timeout_s=2.0) as bench:
        shot = bench.shot([3])
        assert bench.captured(shot).spikes.tolist() == [3]
        # The twin sleeps at least this long: two channels at 0.3 MB/s, and 20 ms for each of 20 commands.
        assert bench.reader.plan is not None
        assert bench.reader.spent_s["transfer"] > bench.reader.plan.bytes / 0.3e6 + 20 * 0.020


# ---- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [name for name, test in MET_BY.items() if test.endswith("_changes_nothing")])
def test_a_fault_that_strikes_always_changes_nothing(fault: str) -> None:
    with rig(fault) as bench:
        assert_as_played(bench)


@pytest.mark.parametrize("transport", ["vxi11", "socket"])
@pytest.mark.parametrize("fault", ["short_block", "truncated_block", "disconnect_mid_block"])
def test_a_fault_that_strikes_once_is_recovered_from(fault: str, transport: str) -> None:
    with rig(f"{fault}:1", transport=transport) as bench:
        assert_as_played(bench)


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("short_block", CaptureError, r"channel 1 could not be read in 3 tries; the last: channel 1 gave .* samples"),
        ("truncated_block", ConnectionLostError, r"channel 1 could not be read in 3 tries; .* does not answer"),
        ("disconnect_mid_block", ConnectionLostError, r"channel 1 could not be read in 3 tries"),
    ],
)
def test_a_fault_that_lasts_is_an_error_after_three_tries(fault: str, error: type[BenchError], message: str) -> None:
    with rig(fault, transport="socket") as bench, pytest.raises(error, match=message):
        bench.captured()


def test_the_memory_reading_thread_is_ended_even_after_a_short_block() -> None:
    with rig("short_block:1") as bench:
        bench.captured()
        begun = [c for c in bench.log if c in (":WAV:BEG", ":WAV:END")]
    assert begun == [":WAV:BEG", ":WAV:END"] * 3


def test_a_wrong_increment_is_noted_with_the_trace() -> None:
    with rig("wrong_increment") as bench:
        trace = bench.captured().traces[0]
    assert trace.x_increment_s == pytest.approx(0.2e-6)
    assert trace.settings["x_increment"] == "1 / :ACQ:SRAT?, not 4e-07 of the preamble"


def test_an_auto_depth_that_is_too_slow_is_an_error() -> None:
    """AUTO gives 1.4 M samples a record; 0.5 s at 2.5 MSa/s need 14 M, which are 5 MSa/s."""
    with rig("auto_depth") as bench, pytest.raises(BenchError, match=r"samples at 500000 Sa/s, planned were 5e\+06"):
        bench.reader.arm(bench.shot([40_000]))


def test_a_lost_trigger_has_the_shot_retaken() -> None:
    with rig("lost_trigger:1") as bench:
        lost = bench.captured()
        assert not lost.ok.any()
        assert lost.spikes.sum() == 0
        assert lost.notes == ("the oscilloscope saw no trigger on sync and is still in WAIT",)
        assert_as_played(bench)


def test_three_lost_triggers_in_a_row_are_an_error() -> None:
    with rig("lost_trigger") as bench:
        assert not bench.captured().ok.any()
        assert not bench.captured().ok.any()
        with pytest.raises(CaptureError, match=r"3 shots in a row were not recorded: sync is on CHAN3 .* and yet"):
            bench.captured()


def looked_at_late(bench: Rig, monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> None:
    """The command that ends a record which waits for no trigger is sent so many seconds late."""
    write = ScopeLink.write

    def late(link: ScopeLink, command: str, **more: bool) -> None:
        if command == ":TFOR" and seconds:
            time.sleep(seconds.pop(0))
        write(link, command, **more)

    monkeypatch.setattr(ScopeLink, "write", late)
    monkeypatch.setattr("drivers.ds4024.lost.LOOK_S", 0.05)


def test_who_looks_too_late_for_why_a_trigger_was_lost_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy computer is no broken wire: what was to be seen had left the record."""
    with rig("lost_trigger") as bench:
        looked_at_late(bench, monkeypatch, [0.5])
        monkeypatch.setattr("drivers.ds4024.lost._LOOK_MORE", 100)  # no machine is as busy as that
        for _ in range(2):
            bench.captured()
        late = bench.captured()
        assert not late.ok.any()
        assert BUSY in late.notes[0]
        with pytest.raises(CaptureError, match=r"3 shots in a row were not recorded: sync is on CHAN3 .* and yet"):
            bench.captured()


def test_who_always_looks_too_late_says_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.ds4024.lost._LOOK_MORE", 1)
    with rig("lost_trigger") as bench:
        looked_at_late(bench, monkeypatch, [0.5, 0.5, 0.5])
        for _ in range(4):
            assert not bench.captured().ok.any()
        with pytest.raises(CaptureError, match=rf"sees no trigger, and {BUSY} to see why: it looked .* s after"):
            bench.captured()


def test_a_single_that_stops_at_once_is_armed_again() -> None:
    with rig("single_without_trigger:2") as bench:
        assert_as_played(bench)
    with rig("single_without_trigger") as bench, pytest.raises(CaptureError, match="is STOP at once, 3 times"):
        bench.reader.arm(bench.shot())


def test_a_record_that_stopped_empty_is_a_lost_shot() -> None:
    with rig() as bench:
        shot = bench.shot()
        bench.reader.arm(shot)
        bench.server.instrument.message(b":STOP")  # somebody presses RUN/STOP
        bench.play(shot)
        capture = bench.reader.read()
    assert not capture.ok.any()
    assert capture.notes == ("the oscilloscope's memory is empty",)


@pytest.mark.parametrize("transport", ["vxi11", "socket"])
def test_a_scope_that_falls_silent_is_named(transport: str) -> None:
    with rig("no_reply", transport=transport, timeout_s=0.05) as bench:
        with pytest.raises(ConnectionLostError, match=r"the oscilloscope at TCPIP0::.* does not answer \*IDN\?"):
            bench.reader.arm(bench.shot())
        asked_until = time.monotonic() + 10  # a busy machine serves a connection after its client has given it up
        while bench.log.count("*IDN?") < 3 and time.monotonic() < asked_until:
            time.sleep(0.01)
        assert bench.log.count("*IDN?") == 3


def test_a_single_lost_reply_costs_a_new_connection_and_nothing_else() -> None:
    with rig("no_reply:1", timeout_s=0.05) as bench:
        assert_as_played(bench)


def test_the_driver_never_clears() -> None:
    with rig("hangs_on_clear") as bench:
        assert_as_played(bench)
        assert not [c for c in bench.log if "CLS" in c.upper() or "clear" in c]


def test_a_scope_that_somebody_else_has_hung_is_opened_anew() -> None:
    with rig("hangs_on_clear:1", timeout_s=0.05) as bench:
        bench.captured()
        bench.server.instrument.message(b"*CLS")
        assert_as_played(bench)


def test_old_firmware_is_refused_before_anything_is_read() -> None:
    with rig("old_firmware") as bench:
        with pytest.raises(BenchError, match=r"firmware 00.02.02 corrupts memory reads; update it to 00.02.03"):
            bench.reader.arm(bench.shot())
        assert bench.log == ["*IDN?"]


def test_a_wrong_probe_is_named() -> None:
    with rig("x10_probe") as bench:
        assert not bench.captured().ok.any()  # a tenth of the sync pulse passes no trigger level
        bench.captured()
        with pytest.raises(CaptureError, match="set the probes' switches to scope"):
            bench.captured()
    with rig(probe=1.0) as bench, pytest.raises(CaptureError, match=r"clipped at the top of the screen: .*scope.probe"):
        bench.captured()  # ×1 probes where the settings say ×10


def test_a_clipped_channel_is_named() -> None:
    with rig("clipped_channel") as bench, pytest.raises(CaptureError, match="'axon' is clipped at the top"):
        bench.captured()


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        ("axon_echo", "echoes of another"),
        ("axon_narrow", "narrower than board.axon_width_s = 2e-06"),
    ],
)
def test_pulses_that_no_axon_makes_are_not_trusted(fault: str, note: str) -> None:
    with rig(fault) as bench:
        capture = bench.captured()
    assert not capture.ok.any()
    assert any(note in text for text in capture.notes)


def test_an_axon_that_hums_is_followed() -> None:
    """On a screen that shows it all; where the screen cuts it off for the whole shot, that is said."""
    with rig("axon_hum", volts_per_div=1.0) as bench:
        assert_as_played(bench)
        assert_as_played(bench)


def test_an_axon_that_sticks_on_the_way_is_named() -> None:
    """Sooner or later within the shot, as the real time has it: either all of it is refused, or the slots since."""
    with rig("axon_sticks") as bench:
        try:
            capture = bench.captured()
        except CaptureError as error:
            said = str(error)
        else:
            said = " ".join(capture.notes)
            assert not capture.ok.all()
            assert (capture.spikes[capture.ok] == np.array(COUNTS)[capture.ok]).all()
    assert "the axon is high" in said or "doubtful" in said


# ---- faults of the board, as the oscilloscope sees them ------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("stuck_axon_high", "the axon is high before and after the shot: it is stuck"),
        ("inverted_comparator", "or the comparator's polarity is not spikes.inverted = false"),
        ("sync_axon_swapped", "sync and axon are swapped"),
    ],
)
def test_a_faulty_board_is_named(fault: str, message: str) -> None:
    with rig(board_faults=[fault]) as bench, pytest.raises(CaptureError, match=message):
        bench.captured()


def test_a_missing_sync_is_named() -> None:
    with rig(board_faults=["sync_missing"]) as bench:
        bench.captured()
        bench.captured()
        with pytest.raises(CaptureError, match="check the sync wire"):
            bench.captured()


# ---- what the bench file can get wrong ------------------------------------------------------------------------------


@leaky
def test_nobody_at_the_address_is_named() -> None:
    with rig() as bench:
        bench.server.close()
        with pytest.raises(ConnectionLostError, match="the oscilloscope at TCPIP0"):
            bench.reader.arm(bench.shot())
    gc.collect()


def test_a_resource_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"scope.resource = 'COM7 please' is no VISA resource: write TCPIP0"):
        ScopeLink("COM7 please", 1.0, Pace())
    with pytest.raises(InputError, match=r"write TCPIP0::192\.0\.2\.10::INSTR"):
        ScopeLink("192.0.2.10", 1.0, Pace())
    with pytest.raises(InputError, match="a DS4024 is on TCPIP or USB"):
        ScopeLink("GPIB0::1::INSTR", 1.0, Pace())


def test_one_instrument_is_one_however_it_is_spelled() -> None:
    assert canonical("tcpip::192.0.2.10::instr") == "TCPIP0::192.0.2.10::inst0::INSTR"
    spelled = ("TCPIP0::192.0.2.10::inst0::INSTR", "tcpip::192.0.2.10::instr", "TCPIP0::192.0.2.10::5555::SOCKET")
    assert len({instrument(one) for one in spelled}) == 1
    usb = ("USB0::0x1AB1::0x04B1::DS4A1::INSTR", "usb::0x1ab1::0x04b1::DS4A1::0::instr")
    assert len({instrument(one) for one in usb}) == 1


def test_a_host_that_nobody_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectionLostError, match="no host 'scoop' is known"):
        ScopeLink("TCPIP0::scoop::INSTR", 1.0, Pace()).open()


def test_usb_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ValueError("PyUSB does not seem to be properly installed.\nPlease refer …")

    monkeypatch.setattr(pyvisa.ResourceManager, "open_resource", missing)
    with pytest.raises(InputError, match=r"libusb.*PyUSB \(`pip install .*\[usb\].*udev rule"):
        ScopeLink("USB0::0x1AB1::0x04B1::DS4A000000001::INSTR", 1.0, Pace()).open()


@leaky
def test_a_connection_that_breaks_while_reading_loses_no_shot() -> None:
    """Over a new one what the shot was recorded with is not known to the instrument's driver any more."""
    with rig() as bench:
        shot = bench.shot()
        bench.reader.arm(shot)
        bench.play(shot)
        bench.reader._link._session.close()
        assert bench.reader.read().spikes.tolist() == list(COUNTS)


@leaky
def test_another_oscilloscope_at_the_same_address_is_refused() -> None:
    with rig() as bench:
        bench.captured()
        bench.reader._identity["scope_serial"] = "DS4A000000002"  # it was the other one
        bench.reader._link._session.close()
        with pytest.raises(BenchError, match=r"another oscilloscope answers.*DS4A000000001, .* where it was"):
            bench.reader.arm(bench.shot())


@pytest.mark.parametrize("fault", ["EOFError", "RPCUnpackError", "Vxi11Error", "ConversionError", "error"])
def test_whatever_the_library_raises_is_a_lost_connection(fault: str) -> None:
    class Session:
        def write(self, _: str) -> None:
            raise {known.__name__: known for known in raised}[fault]("no reply but 17")

    raised = (EOFError, rpc.RPCUnpackError, vxi11.Vxi11Error, xdrlib.ConversionError, struct.error)
    link = ScopeLink("TCPIP0::192.0.2.10::INSTR", 1.0, Pace())
    link._session = Session()
    with pytest.raises(ConnectionLostError, match="does not answer"):
        link.ask("*IDN?")


def test_volts_per_div_off_the_scale_is_refused_before_it_is_sent() -> None:
    with rig(volts_per_div=100.0, probe=10.0) as bench:
        with pytest.raises(InputError, match=r"scope.volts_per_div = 100 with scope.probe = 10 is 10 V/div"):
            bench.reader.arm(bench.shot())
        assert not [c for c in bench.log if "SCAL" in c]


def test_a_setting_that_is_not_taken_is_an_error() -> None:
    with rig(volts_per_div=0.6) as bench, pytest.raises(BenchError, match=r":CHAN1:SCAL 5.0.* after being set to 0.6"):
        bench.reader.arm(bench.shot())


def test_reading_without_arming_is_an_error() -> None:
    with rig() as bench, pytest.raises(CaptureError, match="was not armed"):
        bench.reader.read()


# ---- doctor ---------------------------------------------------------------------------------------------------------


def test_checks_tell_a_good_scope() -> None:
    with rig() as bench:
        checks = bench.reader.checks()
    assert [c.name for c in checks] == [
        "scope identity",
        SETTINGS_MADE,
        "scope transfer",
        "scope axon at rest",
        "scope sync at rest",
    ]
    assert all(c.ok for c in checks)
    assert checks[0].detail == "RIGOL TECHNOLOGIES, DS4024, DS4A000000001, 00.02.03"


def test_checks_tell_what_is_wrong_and_what_to_do() -> None:
    with rig(board_faults=["stuck_axon_high"]) as bench:
        rest = bench.reader.checks()[3]
    assert not rest.ok
    assert "the axon wire must be low" in rest.advice
    with rig("old_firmware") as bench:
        (only,) = bench.reader.checks()
    assert not only.ok
    assert "00.02.02" in only.detail


def test_memory_longer_than_the_instrument_buffers_tells_no_rate() -> None:
    with rig() as bench:
        slow = SlotTiming(mode="fixed", window_s=0.05)
        shot = probe_frame("slow", slow, np.full(10, 3, dtype=np.int32))
        assert bench.captured(shot).spikes.tolist() == [3] * 10
        assert bench.reader.plan is not None
        assert bench.reader.plan.points > 1_000_000
        rate = bench.reader.readings.get("scope_bytes_per_s")
        assert rate is None or rate > 1e5
