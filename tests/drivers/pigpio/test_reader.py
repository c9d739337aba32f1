"""The axon reader gpio: real sockets against the twin's sampled pins, and the counting by itself."""

from __future__ import annotations

import socket
import struct
from contextlib import closing, nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.benchfile import load_bench
from drivers.errors import CaptureError, ConnectionLostError, InputError, LimitError
from drivers.mock.loopback import LOOPBACK, LoopbackServer
from drivers.parts.assembly import check_parts
from drivers.pigpio.count import Hearing, LostShotError, count
from drivers.pigpio.reports import REPORT, Reports, ReportStream
from drivers.pigpio.sampling import CPU_PERCENT, edge_gaps_us, slowest_us, step_us, unfit
from drivers.settings import BoardSettings, PigpioSettings, SpikeSettings
from drivers.signals import Capture, Frame, SlotTiming, probe_frame
from drivers.timing import length_ticks, slot_ticks
from tests.wire.twin import twin_bench

SYNC, AXON = 22, 13
BOARD = load_bench("mock").board
HEARING = Hearing(SYNC, AXON, 1e-6, 1e-6, SpikeSettings(), BOARD)


def sampled(frame: Frame, spikes_us: list[list[int]], width_us: int = 2, since: int = 0) -> Reports:
    """Reports of a shot whose slots fire at these times, µs from each slot's first pulse; every edge on a sample."""
    lead = slot_ticks(frame.timing, 1e-6).lead
    starts = 100 + np.concatenate([[0], np.cumsum(length_ticks(frame, 1e-6)[frame.played])])
    edges = [(int(t), 1 << SYNC) for start in starts for t in (start, start + lead)]
    for start, times in zip(starts[:-1], spikes_us, strict=True):
        edges += [(int(start) + lead + us + d, 1 << AXON) for us in times for d in (0, width_us)]
    edges.sort()
    levels = np.bitwise_xor.accumulate(np.array([bit for _, bit in edges], dtype=np.uint32))
    ticks = np.array([(t + since) % (1 << 32) for t, _ in edges], dtype=np.uint32)
    return Reports(ticks, levels, np.zeros(len(edges), dtype=np.bool_))


def counted(frame: Frame, reports: Reports, since: int = 0, before: int = 0) -> Capture:
    return count(frame, reports, before, since, HEARING)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any), st.integers(0, (1 << 32) - 1))
def test_every_spike_is_counted_in_its_slot_wherever_the_tick_wraps(pulses: list[int], since: int) -> None:
    frame = probe_frame("t", SlotTiming(), pulses)
    played = [n for n in pulses if n]
    capture = counted(frame, sampled(frame, [[3 + 10 * i for i in range(n)] for n in played], since=since), since)
    assert capture.spikes.tolist() == pulses
    assert capture.ok.all()
    assert not capture.stray


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_whatever_is_lost_no_slot_that_is_ok_has_a_wrong_count(data: st.DataObject) -> None:
    """Lost with a gap in the sequence: any stretch of reports; without one: a stretch of time longer than a slot."""
    pulses = data.draw(st.lists(st.integers(1, 9), min_size=3, max_size=20))
    frame = probe_frame("t", SlotTiming(), pulses)
    reports = sampled(frame, [[3 + 10 * i for i in range(n)] for n in pulses])
    if data.draw(st.booleans()):
        first = data.draw(st.integers(0, len(reports) - 2))
        last = data.draw(st.integers(first + 1, len(reports) - 1))
        keep = np.ones(len(reports), dtype=np.bool_)
        keep[first:last] = False
        gap = np.zeros(len(reports), dtype=np.bool_)
        gap[last] = True
        left = Reports(reports.ticks, reports.levels, gap).part(keep)
    else:
        longest = int(length_ticks(frame, 1e-6).max())
        begin = data.draw(st.integers(0, int(reports.ticks[-1])))
        lost = (reports.ticks >= begin) & (reports.ticks < begin + longest)
        changes = np.append(True, np.diff(reports.levels[~lost].astype(np.int64)) != 0)
        left = reports.part(~lost)
        left = left.part(changes[: len(left)])  # what looks the same afterwards is no change
    try:
        capture = counted(frame, left)
    except CaptureError:
        return
    assert (capture.spikes[capture.ok] == frame.pulses[capture.ok]).all()


def test_pulses_that_touch_make_their_slot_doubtful() -> None:
    frame = probe_frame("t", SlotTiming(), [3, 4, 5])
    touching = sampled(frame, [[3], [3, 5], [3]])
    _, where, times = np.unique(touching.ticks, return_inverse=True, return_counts=True)
    capture = counted(frame, touching.part(times[where] == 1))  # a fall and a rise at once are no change
    assert capture.ok.tolist() == [True, False, True]
    assert "not as wide" in capture.notes[0]


def test_an_axon_that_rests_high_and_a_shot_without_sync_are_told() -> None:
    frame = probe_frame("t", SlotTiming(), [3, 4])
    reports = sampled(frame, [[], []])
    stuck = Reports(reports.ticks, reports.levels | np.uint32(1 << AXON), reports.after_gap)
    with pytest.raises(CaptureError, match="the axon on GPIO 13 is high all the time: it is stuck"):
        counted(frame, stuck, before=1 << AXON)
    with pytest.raises(LostShotError, match="sync on GPIO 22 rose 0 times"):
        counted(frame, reports.part(slice(0, 0)))


@pytest.mark.parametrize("us", sorted(CPU_PERCENT))
def test_the_sample_time_follows_from_ticks_some_of_which_are_put_right(us: int) -> None:
    rng = np.random.default_rng(us)
    edges = np.cumsum(edge_gaps_us()) + rng.integers(0, us)
    ticks = -(-edges // us) * us
    assert step_us(np.diff(ticks)) == us
    put_right = np.cumsum(rng.random(len(ticks)) < 0.2)  # by 1 µs, every 25 samples at the most
    assert step_us(np.diff(ticks + put_right)) == us


@pytest.mark.parametrize("lost", [b"", b"\0" * 8, b"\0" * 16, b"\0" * 7])
def test_a_stream_of_reports_that_is_out_of_step_is_a_lost_connection(lost: bytes) -> None:
    """And no slow daemon, as the times of garbage may look."""
    reports = np.zeros(500, dtype=REPORT)
    reports["sequence"], reports["tick"] = np.arange(500), 1_000_000 + 30 * np.arange(500)
    reports["levels"] = (np.arange(500) % 2) << SYNC

    def serve(client: socket.socket) -> None:
        client.recv(16)
        client.sendall(struct.pack("<4I", 99, 0, 0, 0) + lost + reports.tobytes())
        client.recv(1)

    with (
        closing(LoopbackServer(serve)) as server,
        closing(ReportStream(PigpioSettings(host=LOOPBACK, port=server.port))) as stream,
        pytest.raises(ConnectionLostError, match="is out of step") if lost else nullcontext(),
    ):
        taken = 0
        while taken < 500:
            assert stream.wait(5.0)
            taken += len(stream.take())


def test_the_one_shot_must_last_two_samples() -> None:
    assert [slowest_us(BoardSettings(axon_width_s=s * 1e-6)) for s in (2, 3, 4, 8, 10, 47)] == [1, 1, 2, 4, 5, 5]
    assert unfit(BoardSettings(axon_width_s=2e-6), 1) == ""
    assert "pigpiod -s 2` (about 16 % of a core)" in unfit(BoardSettings(axon_width_s=4.7e-6), 5)


@pytest.mark.wire
def test_a_daemon_that_samples_too_slowly_is_refused_and_doctor_says_which_it_takes() -> None:
    advice = r"samples every 5 µs.*`pigpiod -s 1` \(about 25 % of a core\), or stretch the one-shot to 10 µs"
    with pytest.raises(InputError, match=advice), twin_bench("pigpio", "gpio", sample_us=5):
        pass
    with twin_bench("pigpio", "gpio", sample_us=1) as (bench, board):
        file = bench.file
        bench.__exit__(None, None, None)
        found = {check.name: check for check in check_parts(file) if check.name.startswith("GPIO")}
        assert found["GPIO samples"].detail == "every 1 µs (-s 1), about 25 % of a core"
        assert all(check.ok for check in found.values())
        assert board.pulses_total == board.resets_total == 0


@pytest.mark.wire
@pytest.mark.parametrize(("fault", "sign"), [("lost_reports", "gaps"), ("lost_samples", "sync shows")])
def test_what_the_daemon_loses_is_never_counted(fault: str, sign: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor waited for as long as for a daemon that may be late."""
    monkeypatch.setattr("drivers.pigpio.reader.PATIENCE_S", 600.0)  # a test may take 120 s
    counts = np.random.default_rng(3).integers(1, 20, 2_500).astype(np.int32)
    with twin_bench("pigpio", "gpio", faults={"pigpiod": (fault,)}) as (bench, _):
        bench.set_threshold(0.7)
        (capture,) = bench.play([probe_frame("t", SlotTiming(), counts)])
    assert (~capture.ok).any()
    assert capture.ok.any() or fault == "lost_samples"  # a ring may hold the end of the shot
    assert (capture.spikes[capture.ok] == counts[capture.ok]).all()
    assert any(sign in note for note in capture.notes)


@pytest.mark.wire
def test_slots_in_which_a_loss_leaves_no_sign_are_refused_and_a_dead_daemon_is_named() -> None:
    with twin_bench("pigpio", "gpio") as (bench, _):
        bench.set_threshold(0.7)
        with pytest.raises(LimitError, match=r"slot 0 lasts 0.2 s: .* lose samples without a sign"):
            list(bench.play([probe_frame("t", SlotTiming(), [20_000])]))
    dying = twin_bench("pigpio", "gpio", faults={"pigpiod": ("dies_in_shot",)})
    with pytest.raises(ConnectionLostError, match="pigpiod"), dying:
        pass
