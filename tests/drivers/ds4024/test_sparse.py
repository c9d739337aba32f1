"""Few samples, the end of sync and records as long as shots: used where they are proven, and only there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivers.checks import Check
from drivers.decode.spikes import counted_pulses, decode
from drivers.ds4024 import reader as reading
from drivers.ds4024.known import Known, kept
from drivers.errors import CaptureError
from drivers.mock.roughness import SMOOTH
from drivers.signals import Capture, Frame, probe_frame
from drivers.timing import length_ticks
from tests.drivers.ds4024.rig import BENCH, TICK_S, Rig, rig

SLOTS = 300
NOISY = replace(SMOOTH, scope_noise_codes=15.0)
ALL = Known(serial="DS4A000000001", firmware="00.02.03", sparse=True, vernier=True)


def of_network(seed: int = 1, attempt: int = 0) -> Frame:
    pulses = np.random.default_rng(seed).integers(1, 12, SLOTS).astype(np.int32)
    frame = probe_frame("run", BENCH.slot, pulses, attempt=attempt)
    return replace(frame, layer=np.zeros_like(frame.layer))


def proven(bench: Rig) -> dict[str, Check]:
    bench.reader.prepare()
    return {check.name: check for check in bench.reader.prove(bench.captured, BENCH.slot)}


def few_samples(capture: Capture) -> bool:
    """Whether a shot was taken with two samples in an axon pulse."""
    return capture.traces[0].x_increment_s > BENCH.board.axon_width_s / 3


def moved(bench: Rig, since: int) -> int:
    """Samples asked for, by the windows that were begun."""
    found, start, stop = 0, 0, 0
    for number, line in enumerate(bench.log):
        if line.startswith(":WAV:STAR "):
            start = int(line.split()[1])
        elif line.startswith(":WAV:STOP "):
            stop = int(line.split()[1])
        elif line == ":WAV:BEG" and number >= since:
            found += stop - start + 1
    return found


@pytest.mark.parametrize(("faults", "rough"), [((), 0.0), ((), 1.0), (("coarse_time_base",), 0.0)])
def test_what_is_proven_is_used_and_counts_are_as_played(
    faults: tuple[str, ...], rough: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_CHANGED_S", 0.0)
    with rig(*faults, rough=rough, folder=tmp_path) as bench:
        full = bench.captured(of_network())
        proven(bench)
        assert bench.reader.known.sparse
        assert bench.reader.known.vernier == ("coarse_time_base" not in faults)
        bench.reader.learn(bench.reader.known.model_copy(update={"bytes_per_s": 0.3e6}))
        first = bench.captured(of_network())  # tells the ratio of the clocks from all of sync
        since = len(bench.log)
        shot = of_network(2)
        capture = bench.captured(shot)
        asked = moved(bench, since)
    for seen, frame in ((full, of_network()), (first, of_network()), (capture, shot)):
        assert seen.ok.all()
        assert seen.spikes.tolist() == frame.pulses.tolist()
    axon, sync = capture.traces
    assert few_samples(capture) == bench.reader.known.vernier  # between its steps none is slow enough, and as short
    assert len(sync.codes) < len(axon.codes) / 3
    assert asked == len(axon.codes) + len(sync.codes)
    most = 0.55 if "coarse_time_base" in faults else 0.3
    assert asked < most * sum(len(trace.codes) for trace in full.traces)
    planned_s = length_ticks(shot, TICK_S) * TICK_S
    assert capture.slot_s == pytest.approx(planned_s, rel=2e-4, abs=1e-6)


def test_a_line_that_few_samples_cannot_tell_is_read_in_full(tmp_path: Path) -> None:
    with rig(rough=NOISY, folder=tmp_path) as bench:
        checks = proven(bench)
        capture = bench.captured(of_network())
    assert "not used: " in checks["scope few samples"].detail
    assert checks["scope few samples"].ok  # no fault of the bench
    assert capture.ok.all()
    assert capture.spikes.tolist() == of_network().pulses.tolist()
    assert few_samples(capture) is False
    assert not kept(tmp_path, serial="DS4A000000001").sparse


def test_glitches_are_told_before_few_samples_are_used(tmp_path: Path) -> None:
    with rig("axon_glitches", folder=tmp_path) as bench:
        assert "would be played again" in proven(bench)["scope few samples"].detail
        assert not bench.reader.known.sparse


def test_few_samples_that_tell_nothing_of_three_shots_are_given_up() -> None:
    with rig("axon_echo") as bench:
        bench.reader.prepare()
        bench.reader.learn(ALL)
        captures = [bench.captured(of_network(seed)) for seed in range(4)]
    assert [few_samples(capture) for capture in captures] == [True, True, True, False]
    assert any("not used any more" in note and "run hil doctor --loopback" in note for note in captures[2].notes)


def test_few_samples_are_given_up_in_noise_that_they_do_not_bear() -> None:
    with rig(rough=NOISY) as bench:
        bench.reader.prepare()
        bench.reader.learn(ALL)
        first, second = (bench.captured(of_network()) for _ in range(2))
    assert not first.ok.any()
    assert any("noise" in note and "run hil doctor --loopback" in note for note in first.notes)
    assert (few_samples(first), few_samples(second)) == (True, False)


def test_what_few_samples_did_not_tell_twice_is_read_in_full() -> None:
    with rig() as bench:
        bench.reader.prepare()
        bench.reader.learn(ALL)
        assert few_samples(bench.captured(of_network()))
        assert few_samples(bench.captured(of_network(attempt=1)))
        assert not few_samples(bench.captured(of_network(attempt=2)))
        assert not few_samples(bench.captured(bench.shot()))  # no network's


def test_a_slot_that_is_late_is_found_by_the_end_of_sync() -> None:
    """Then all of sync is read, and says which slot it was."""
    with rig() as bench:
        bench.reader.prepare()
        bench.reader.learn(ALL)
        bench.captured(of_network())
        shot = of_network(3)
        bench.reader.arm(shot)
        since = len(bench.log)
        bench.play(shot, late_after=100, late_us=25)
        capture = bench.reader.read()
        begun = bench.log[since:].count(":WAV:BEG")
    assert begun == 3  # the axon, the end of sync, and then all of it
    assert (~capture.ok).sum() == 1
    assert capture.spikes[capture.ok].tolist() == shot.pulses[capture.ok].tolist()


def test_what_is_known_is_of_one_instrument_with_one_firmware(tmp_path: Path) -> None:
    with rig(folder=tmp_path) as bench:
        proven(bench)
        resource = bench.reader.known.resource
    assert kept(tmp_path, resource=resource).sparse
    assert not kept(tmp_path, resource="TCPIP0::elsewhere::INSTR").sparse
    assert not kept(tmp_path, resource=resource).of("DS4A000000001", "00.02.04").sparse
    with rig(folder=tmp_path) as bench:
        bench.reader.prepare()
        assert bench.reader.known.sparse


def test_the_rate_of_the_link_is_measured(tmp_path: Path) -> None:
    with rig(folder=tmp_path, bytes_per_s=2e6, samples_per_axon=40) as bench:
        bench.captured(of_network())
        found = bench.reader.readings["scope_bytes_per_s"]
    assert found < 2.4e6  # and less on a busy machine
    assert kept(tmp_path, serial="DS4A000000001").bytes_per_s == pytest.approx(found, rel=1e-3)


def test_where_the_rate_is_known_nobody_asks_how_far_reading_is() -> None:
    with rig(bytes_per_s=2e6, samples_per_axon=40) as bench:
        bench.captured(of_network())
        since = len(bench.log)
        capture = bench.captured(of_network())
        said = bench.log[since:]
    assert capture.spikes.tolist() == of_network().pulses.tolist()
    assert ":WAV:STAT?" not in said
    assert said.count(":WAV:DATA?") >= 4  # of each channel in two parts, the first of which tells when the next is due


@pytest.mark.parametrize("changed", [0.25, 4.0])
def test_a_link_of_another_rate_than_is_known_is_read_rightly_and_measured(tmp_path: Path, changed: float) -> None:
    with rig(folder=tmp_path, bytes_per_s=2e6, samples_per_axon=40) as bench:
        bench.captured(of_network())
        before = bench.reader.readings["scope_bytes_per_s"]
    with rig(folder=tmp_path, bytes_per_s=2e6 * changed, samples_per_axon=40) as bench:
        for _ in range(2):
            capture = bench.captured(of_network())
            assert capture.spikes.tolist() == of_network().pulses.tolist()
        after = bench.reader.readings["scope_bytes_per_s"]
    assert (after > before) == (changed > 1)


def test_a_shot_of_the_same_settings_is_read_in_few_commands() -> None:
    """The channel that the last reading was of first: another one need not be selected for it."""
    with rig() as bench:
        bench.reader.prepare()
        bench.reader.learn(ALL)
        bench.captured(of_network())
        for selected in (":WAV:SOUR CHAN1", ":WAV:SOUR CHAN3"):
            since = len(bench.log)
            assert few_samples(bench.captured(of_network()))
            said = bench.log[since:]
            assert said[0] == ":SING"
            assert [line for line in said if ":WAV:SOUR" in line] == [selected]
            assert len([line for line in said if line != ":TRIG:STAT?"]) <= 1 + 2 * 8


@pytest.mark.parametrize("command", [":WAV:SOUR CHAN1", ":WAV:SOUR CHAN3", ":WAV:STAR 5", ":WAV:FORM WORD"])
@pytest.mark.parametrize("before", [2, 3])  # then one channel or the other is read first
def test_what_somebody_else_sets_for_reading_spoils_one_shot_at_the_most(command: str, before: int) -> None:
    """It is known to be set, and not set again for every shot."""
    with rig() as bench:
        bench.reader.prepare()
        bench.reader.learn(ALL)
        for seed in range(before):
            bench.captured(of_network(seed))
        bench.server.instrument.message(command.encode())
        shot = of_network(4)
        seen, again = bench.captured(shot), bench.captured(shot)
    assert seen.spikes[seen.ok].tolist() == shot.pulses[seen.ok].tolist()
    assert again.ok.all()
    assert again.spikes.tolist() == shot.pulses.tolist()


def test_a_shot_of_which_a_part_is_missing_is_played_again_and_the_third_is_refused() -> None:
    with rig() as bench:
        shot = of_network(attempt=1)
        for _ in range(2):
            bench.reader.arm(shot)
            bench.play(shot.part(0, 150))
            capture = bench.reader.read()
            assert not capture.ok.any()
            assert "not recorded" in capture.notes[0]
        bench.reader.arm(shot)
        bench.play(shot.part(0, 150))
        with pytest.raises(CaptureError, match="not played or not recorded"):
            bench.reader.read()


def test_what_others_read_of_a_record_with_the_end_of_sync() -> None:
    with rig() as bench:
        bench.reader.prepare()
        bench.reader.learn(ALL)
        bench.captured(of_network())
        capture = bench.captured(of_network())
    axon, sync = capture.traces
    read = (capture.frame, BENCH.spikes, BENCH.board, TICK_S)
    assert len(counted_pulses(read[0], axon, *read[1:])) == capture.spikes.sum()
    assert len(counted_pulses(read[0], sync, *read[1:])) == SLOTS + 1
    again = decode(capture.frame, capture.traces, BENCH.spikes, BENCH.board, TICK_S, capture.bench_s)
    assert again.spikes.tolist() == capture.spikes.tolist()  # as hil replay does
    assert again.ok.all()


def test_of_a_record_that_ended_before_late_pulses_did_what_it_holds_is_kept() -> None:
    with rig() as bench:
        bench.reader.prepare()
        bench.reader.learn(ALL)
        shot = of_network()
        bench.reader.arm(shot)
        bench.play(shot, late_after=20, late_us=4_000)
        capture = bench.reader.read()
    known = np.flatnonzero(capture.ok)
    assert 250 < len(known) < SLOTS - 5
    assert not capture.ok[19]  # the one that was late
    assert capture.spikes[known].tolist() == shot.pulses[known].tolist()
