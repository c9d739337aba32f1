"""Recordings by others: exact codes, the words said of what is lost, and a named error for whatever cannot be read."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.decode.spikes import decode
from drivers.errors import InputError
from drivers.settings import BoardSettings, SpikeSettings
from drivers.signals import Trace
from drivers.tracefile.reading import read_recordings
from drivers.tracefile.recording import Recording
from tests.drivers.synthetic import TICK_S, Shot, shot_of
from tests.drivers.tracefile.files import write_csv, write_ds4000, write_sr

SPIKES = [3, 0, 5, 1, 7, 2]


@pytest.fixture(scope="module")
def shot() -> Shot:
    made = shot_of([12, 4, 20, 9, 30, 8])
    for slot, count in enumerate(SPIKES):
        for i in range(count):
            made.spike(slot, 1_500 + i * 9_000)
    return made


@pytest.fixture(scope="module")
def traces(shot: Shot) -> list[Trace]:
    return shot.traces(seed=3)


def only(path: Path) -> Recording:
    (found,) = read_recordings(path)
    return found


def counts(shot: Shot, found: Recording, axon: str = "CH1", sync: str = "CH2") -> list[int]:
    named = found.named(axon=axon, sync=sync)
    capture = decode(shot.frame, named, SpikeSettings(), BoardSettings(), TICK_S, 0.1)
    assert capture.ok.all()
    return [int(n) for n in capture.spikes]


@pytest.mark.parametrize("style", ["sequence", "second", "mso5000", "ultrascope", "spaced"])
def test_csv_of_every_series_gives_the_codes_that_were_written(
    shot: Shot, traces: list[Trace], style: str, tmp_path: Path
) -> None:
    write_csv(tmp_path / "shot.csv", traces, style)
    found = only(tmp_path / "shot.csv")
    assert [trace.name for trace in found.traces] == ["CH1", "CH2"]
    for was, now in zip(traces, found.traces, strict=True):
        assert now.y_increment_v == pytest.approx(was.y_increment_v, rel=1e-6)
        assert len(np.unique(now.codes.astype(int) - was.codes)) == 1  # the same codes, counted from elsewhere
        assert np.abs(now.volts - was.volts).max() < 1e-5
        assert now.x_increment_s == pytest.approx(was.x_increment_s, rel=1e-6)
    assert counts(shot, found) == SPIKES


def test_a_csv_of_the_screen_is_told(traces: list[Trace], tmp_path: Path) -> None:
    write_csv(tmp_path / "screen.csv", [replace(t, codes=t.codes[:1400]) for t in traces])
    assert "1,400 points, those of the screen" in only(tmp_path / "screen.csv").said[0]
    write_csv(tmp_path / "memory.csv", [replace(t, codes=t.codes[:1401]) for t in traces])
    assert only(tmp_path / "memory.csv").said == ()


def test_times_printed_with_few_digits_are_told(tmp_path: Path) -> None:
    rows = "".join(f"{t:.2e},{i % 7}.0e-01,\n" for i, t in enumerate(np.arange(3000) * 1e-6 + 0.011))
    (tmp_path / "few.csv").write_text(f"X,CH1,\nSecond,Volt,\n{rows}", encoding="utf-8")
    found = only(tmp_path / "few.csv")
    assert found.traces[0].x_increment_s == pytest.approx(1e-6, rel=0.05)
    assert "step is known to" in found.said[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no recording that can be read"),
        ("hello\nworld\n", "no RIGOL CSV"),
        ("X,CH1,Start,Increment,\nSequence,Volt,0,1e-6,\n0,1.0,\n2,1.0,\n", "after point 0 comes 2"),
        ("X,CH1,Start,Increment,\nSequence,Volt,0,-1e-6,\n0,1.0,\n1,1.0,\n", "expected more than 0"),
        ("X,CH1,Start,Increment,\nSequence,Volt,zero,1e-6,\n0,1.0,\n1,1.0,\n", "'zero' in its header"),
        ("X,CH1,Start,Increment,\nSequence,Volt,0,1e-6,\n0,one,\n1,1.0,\n", "must hold 2 numbers"),
        ("X,CH1,\nSecond,Volt,\n0,1.0,\n1e-6,1.0,\n5e-6,1.0,\n", "not evenly spaced"),
        ("X,CH1,Start,Increment,\nSequence,Volt,0,1e-6,\n0,nan,\n1,1.0,\n", "no numbers"),
    ],
)
def test_a_csv_that_cannot_be_trusted_is_refused_by_name(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=why) as caught:
        only(tmp_path / "bad.csv")
    assert "bad.csv" in str(caught.value) or "CH1" in str(caught.value)


def test_a_wfm_keeps_its_codes_and_a_fractional_origin(shot: Shot, traces: list[Trace], tmp_path: Path) -> None:
    pytest.importorskip("RigolWFM", reason="the extra 'rigol' is not installed")
    codes = [t.codes for t in traces]
    zero = traces[0].y_origin + traces[0].y_reference + 0.43
    offset_v = (zero - 127) * 0.5 / 32
    write_ds4000(tmp_path / "a.wfm", codes, v_per_div=0.5, offset_v=offset_v, step_s=4e-7)
    found = only(tmp_path / "a.wfm")
    assert [trace.name for trace in found.traces] == ["CH1", "CH2"]
    for raw, trace in zip(codes, found.traces, strict=True):
        assert (trace.codes == raw).all()
        assert trace.y_increment_v == pytest.approx(0.5 / 32)
        assert trace.y_origin == pytest.approx(zero, abs=1e-4)  # not a whole code
        assert trace.x_increment_s == pytest.approx(4e-7, rel=1e-6)
    assert counts(shot, found) == SPIKES
    assert found.said == ()


def test_a_channel_that_counts_downwards_is_turned_over(shot: Shot, traces: list[Trace], tmp_path: Path) -> None:
    pytest.importorskip("RigolWFM", reason="the extra 'rigol' is not installed")
    codes = [255 - t.codes for t in traces]
    zero = 255 - traces[0].y_origin - traces[0].y_reference
    offset_v = (127 - zero) * 0.5 / 32
    write_ds4000(tmp_path / "a.wfm", codes, v_per_div=0.5, offset_v=offset_v, step_s=4e-7, inverted=True)
    found = only(tmp_path / "a.wfm")
    for trace, was in zip(found.traces, traces, strict=True):
        assert trace.y_increment_v > 0
        assert (trace.codes == was.codes).all()
        assert np.abs(trace.volts - was.volts).max() < 1e-5
    assert counts(shot, found) == SPIKES


def test_a_damaged_wfm_is_refused_by_name(traces: list[Trace], tmp_path: Path) -> None:
    pytest.importorskip("RigolWFM", reason="the extra 'rigol' is not installed")
    path = tmp_path / "a.wfm"
    write_ds4000(path, [traces[0].codes], v_per_div=0.5, offset_v=0.0, step_s=4e-7)
    whole = path.read_bytes()
    for size in (3, 40, 300, 700, len(whole) - 10):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"a\.wfm"):
            only(path)


def test_a_session_of_sigrok_gives_analog_and_logic(shot: Shot, traces: list[Trace], tmp_path: Path) -> None:
    axon, sync = traces
    high = {f"D{i}": sync.volts > 1.65 if i == 8 else np.zeros(len(sync.codes), dtype=np.bool_) for i in range(10)}
    write_sr(tmp_path / "a.sr", {"A0": axon.volts}, high, "2.5 MHz")
    found = only(tmp_path / "a.sr")
    assert [trace.name for trace in found.traces] == [*high, "A0"]
    assert found.traces[0].x_increment_s == pytest.approx(4e-7)
    assert np.abs(found.channel("a0").volts - axon.volts).max() < 1e-5
    assert counts(shot, found, "A0", "D8") == SPIKES
    assert "taken as 0 V and 3.3 V" in found.said[0]


def test_sessions_that_cannot_be_trusted_are_refused_by_name(tmp_path: Path) -> None:
    samples = np.zeros(100, dtype=np.float32)
    samples[40:60] = 3.3
    write_sr(tmp_path / "good.sr", {"A0": samples}, {}, "1 MHz")
    assert only(tmp_path / "good.sr").traces[0].codes.max() > 0

    def changed(**members: bytes) -> dict[str, bytes]:
        with zipfile.ZipFile(tmp_path / "good.sr") as good:
            return {name: members.get(name.replace("-", "_"), good.read(name)) for name in good.namelist()}

    metadata = b"[device 1]\nsamplerate=1 MHz\ntotal analog=1\nanalog1=A0\n"
    for members, why in (
        (changed(version=b"3"), "version 3"),
        (changed(metadata=b"no section"), "metadata cannot be read"),
        (changed(metadata=metadata.replace(b"1 MHz", b"fast")), "samplerate is 'fast'"),
        (changed(metadata=metadata.replace(b"analog1=A0", b"analog2=A0")), "holds no samples"),
        (changed(metadata=metadata + b"total probes=9\nunitsize=1\ncapturefile=logic-1\n"), "9 probes do not fit"),
        (changed(analog_1_1_1=b"abc"), "expected a multiple of 4|samples a channel"),
        (changed(analog_1_1_1=np.array([0, np.nan], dtype="<f4").tobytes()), "no numbers"),
    ):
        with zipfile.ZipFile(tmp_path / "bad.sr", "w") as bad:
            for name, content in members.items():
                bad.writestr(name, content)
        with pytest.raises(InputError, match=why):
            only(tmp_path / "bad.sr")
    (tmp_path / "bad.sr").write_bytes((tmp_path / "good.sr").read_bytes()[:60])
    with pytest.raises(InputError, match=r"bad\.sr"):
        only(tmp_path / "bad.sr")


def test_npz_keeps_codes_flips_negative_increments_and_says_what_wide_codes_lose(
    shot: Shot, traces: list[Trace], tmp_path: Path
) -> None:
    axon, sync = traces
    zero = axon.y_origin + axon.y_reference + 0.31
    scale: dict[str, Any] = {"x_increment_s": axon.x_increment_s, "CH2_y_increment_v": sync.y_increment_v}
    scale |= {"CH2_y_origin": sync.y_origin + sync.y_reference}
    np.savez(
        tmp_path / "a.npz",
        CH1=255 - axon.codes,
        CH2=sync.codes,
        y_increment_v=-axon.y_increment_v,
        y_origin=255 - zero,
        **scale,
    )
    found = only(tmp_path / "a.npz")
    assert (found.channel("CH1").codes == axon.codes).all()
    assert found.channel("CH1").y_increment_v == pytest.approx(axon.y_increment_v)
    assert found.channel("CH1").y_origin == pytest.approx(zero)
    assert counts(shot, found) == SPIKES
    wide = (axon.codes.astype(np.uint16) << 4) + np.arange(len(axon.codes), dtype=np.uint16) % 16
    np.savez(tmp_path / "w.npz", CH1=wide, CH2=sync.volts, y_increment_v=axon.y_increment_v / 16, **scale)
    found = only(tmp_path / "w.npz")
    assert "CH1 has codes" in found.said[0]
    assert np.abs(found.channel("CH1").volts - wide * axon.y_increment_v / 16).max() < axon.y_increment_v
    np.savez(tmp_path / "t.npz", CH1=axon.volts, CH2=sync.volts, times_s=axon.times_s)
    assert counts(shot, only(tmp_path / "t.npz")) == SPIKES


def test_archives_that_do_not_say_enough_are_refused_by_name(tmp_path: Path) -> None:
    volts, codes = np.linspace(0, 1, 100), np.arange(100, dtype=np.uint8)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"CH1": volts}, "does not say x_increment_s"),
        ({"CH1": codes, "x_increment_s": 1e-6}, "say what one is with CH1_y_increment_v"),
        ({"CH1": codes, "x_increment_s": 1e-6, "y_increment_v": 0.0}, "it has no scale"),
        ({"CH1": volts, "CH2": volts[:50], "x_increment_s": 1e-6}, "not as many each"),
        ({"CH1": volts.reshape(10, 10), "x_increment_s": 1e-6}, "flat numbers"),
        ({"x_increment_s": 1e-6}, "holds no channel"),
        ({"CH1": volts, "times_s": volts**2}, "not evenly spaced"),
        ({"CH1": np.array([object(), object()]), "x_increment_s": 1e-6}, "no NumPy archive that can be read"),
    ]
    for arrays, why in cases:
        np.savez(tmp_path / "bad.npz", **arrays)
        with pytest.raises(InputError, match=why):
            only(tmp_path / "bad.npz")


def test_what_is_no_recording_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(bytes(range(200)))
    with pytest.raises(InputError, match=r"a\.dat is no recording that can be read: RIGOL"):
        only(tmp_path / "a.dat")
    with pytest.raises(InputError, match="No such file"):
        only(tmp_path / "none.wfm")
