"""Tapes of `--record-wire`: ten conversations with something wrong, played again without any hardware."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from drivers.device import load_device
from drivers.ds4024.link import Pace
from drivers.errors import HilError, InputError
from drivers.opening import make_bench
from drivers.signals import SlotTiming, probe_frame
from drivers.wire.requests import renumbered
from drivers.wire.script import differing
from drivers.wire.tape import read_tape, recording
from drivers.wire.taps import tapped_socket
from firmware import protocol
from hil.cli import main
from hil.offline.wirereplay import replay_wire
from tests.wire.twin import twin

pytestmark = pytest.mark.wire

Faults = Mapping[str, tuple[str, ...]]
QUICK = partial(Pace, command_s=0.0, memory_s=0.0, settle_s=0.001, poll_s=0.002, depth_s=0.0, rearm_s=0.02)
LONG = SlotTiming(mode="fixed", window_s=2e-3)  # shots of some 0.2 s, in which a Pico's faults strike
SOUND: tuple[tuple[str, str, Faults], ...] = (
    ("pigpio", "pico", {}),
    ("pico", "pico", {}),
    ("pigpio", "scope", {}),
    ("pigpio", "gpio", {}),
)
WRONG: tuple[tuple[str, str, Faults, str], ...] = (
    ("pigpio", "pico", {"pigpiod": ("dies_in_shot",)}, "stopped answering in wave_tx_at"),
    ("pigpio", "pico", {"pigpiod": ("out_of_control_blocks",)}, "No more CBs for waveform"),
    ("pigpio", "gpio", {"pigpiod": ("lost_samples",)}, ""),
    ("pico", "pico", {"pico": ("unplugged",)}, "is gone"),
    ("pico", "pico", {"pico": ("garbled_line",)}, ""),
    ("pico", "pico", {"pico": ("stale_firmware",)}, "has firmware 0.9.0"),
    ("pico", "pico", {"board": ("stuck_axon_high",)}, "the axon is high at rest"),
    ("pico", "scope", {"board": ("sync_axon_swapped",)}, "sync and axon are swapped"),
    ("pigpio", "scope", {"scope": ("disconnect_mid_block:1",)}, ""),
    ("pigpio", "scope", {"scope": ("axon_echo",)}, ""),
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.ds4024.reader.Pace", QUICK)


def taped(path: Path, source: str, reader: str, faults: Faults) -> tuple[list[list[int]], str]:
    """Play two frames on the twin with a tape running: their spikes, and the error that ended it."""
    rng = np.random.default_rng(4)
    timing = LONG if "pico" in faults else SlotTiming()
    slots = 100 if "pico" in faults else 40
    frames = [probe_frame("wire", timing, rng.integers(0, 9, slots, dtype=np.int32), image=i) for i in range(2)]
    counts: list[list[int]] = []
    with twin(source, reader, faults=faults) as (file, _), recording(path, {"command": ["test"]}):
        try:
            with make_bench(file, load_device("ideal")) as bench:
                bench.set_threshold(0.7)
                counts += [capture.spikes.tolist() for capture in bench.play(frames)]
        except HilError as error:
            return counts, str(error)
    return counts, ""


@pytest.mark.parametrize(("source", "reader", "faults", "error"), [*((*sound, "") for sound in SOUND), *WRONG])
def test_a_tape_is_played_to_the_client_libraries_with_the_same_end(
    source: str, reader: str, faults: Faults, error: str, tmp_path: Path
) -> None:
    path = tmp_path / "bug.wire"
    counts, ended = taped(path, source, reader, faults)
    assert error in ended
    assert bool(error) == bool(ended)
    found = replay_wire(path)
    assert found.difference is None, str(found.difference)
    assert found.otherwise is None, str(found.otherwise)
    assert found.captures == len(counts)
    assert error in found.ended


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tape") / "sound.wire"
    taped(path, "pigpio", "pico", {})
    return path


def changed(tape: Path, to: Path, link: str, way: str, which: int, byte: int, change: int) -> tuple[int, bytes]:
    """The tape with one byte of a link's `which`-th event of a way made another; how many bytes went before it."""
    lines, seen, before = tape.read_text(encoding="utf-8").splitlines(keepends=True), -1, 0
    for i, line in enumerate(lines[1:], start=1):
        event = json.loads(line)
        if event.get("link") != link or way not in event:
            continue
        seen += 1
        data = bytearray(base64.b64decode(event[way]))
        if seen == which:
            was = bytes(data)
            data[byte] ^= change
            lines[i] = json.dumps({**event, way: base64.b64encode(data).decode()}) + "\n"
            to.write_text("".join(lines), encoding="utf-8")
            return before + byte % len(data), was
        before += len(data)
    raise AssertionError(f"no event {which} {way} on {link}")


@pytest.mark.parametrize(("which", "byte"), [(3, 5), (9, 0), (20, 14)])
def test_the_first_byte_that_differs_is_named(
    tape: Path, which: int, byte: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.wire"
    offset, was = changed(tape, path, "pigpiod 1", "to", which, byte, 0x40)
    assert main(["replay", "--wire", str(path), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert not said["identical"]
    assert (said["difference"]["link"], said["difference"]["offset"]) == ("pigpiod 1", offset)
    assert repr(was[byte:][:1])[1:-1] in said["difference"]["text"]
    assert main(["replay", "--wire", str(path)]) == 1
    assert f"the first byte that differs: pigpiod 1: byte {offset:,} to the other side" in capsys.readouterr().out


@pytest.mark.parametrize("which", [0, 1])
def test_another_count_of_the_pico_is_told(tape: Path, which: int, tmp_path: Path) -> None:
    """What the other side said otherwise comes out otherwise, although we say the same."""
    lines = tape.read_text(encoding="utf-8").splitlines(keepends=True)
    captures = [i for i, line in enumerate(lines) if '"bench": "capture"' in line]
    event = json.loads(lines[captures[which]])
    event["spikes"][3] += 1
    lines[captures[which]] = json.dumps(event) + "\n"
    path = tmp_path / "other.wire"
    path.write_text("".join(lines), encoding="utf-8")
    found = replay_wire(path)
    assert found.difference is None
    assert found.otherwise is not None
    assert found.otherwise.call == f"capture {which + 1}"
    assert found.otherwise.was == f"40 slots from 0, {event['spikes'][3]} spikes in slot 3, 0 not trusted"
    assert found.otherwise.now == f"40 slots from 0, {event['spikes'][3] - 1} spikes in slot 3, 0 not trusted"


def test_outcomes_that_differ_in_anything_are_told_apart() -> None:
    one = {"spikes": [1, 2, 3], "ok": [0], "first_slot": 5}
    assert differing(one, dict(one))[0] == differing(one, dict(one))[1]
    changes: list[dict[str, object]] = [
        {"spikes": [1, 2, 4]},
        {"spikes": [1, 2]},
        {"ok": []},
        {"ok": [2]},
        {"first_slot": 4},
    ]
    for change in changes:
        was, now = differing(one, {**one, **change})
        assert was != now
    assert differing(one, {**one, "ok": [2]})[1] == "3 slots from 5, slot 5 trusted, 1 not trusted"


def test_a_tape_that_a_crash_cut_short_is_played_as_far_as_it_goes(tape: Path, tmp_path: Path) -> None:
    whole = tape.read_bytes()
    path = tmp_path / "cut.wire"
    path.write_bytes(whole[: len(whole) // 2])
    assert len(read_tape(path).calls) < len(read_tape(tape).calls)
    replay_wire(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no tape of"),
        ("SQLite format 3", "no tape of"),
        ('{"hil_wire": 9}\n', "of version 9"),
        ('{"hil_wire": 1}\n', "no bench was opened"),
        ('{"hil_wire": 1}\nnonsense\n', "no tape that can be read"),
        ('{"hil_wire": 1}\n{"t": 0, "link": "pico 1", "to": "***"}\n', "no tape that can be read"),
        ('{"hil_wire": 1}\n{"t": 0, "bench": "open", "file": {}, "device": {}}\n', "of another version"),
    ],
)
def test_what_is_no_tape_is_refused(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "a.wire").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=why):
        replay_wire(tmp_path / "a.wire")


def test_the_command_line_records_and_says_what_a_tape_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["run", "--digits", "4", "--physical", "conv1:3", "--full-scale", "conv1=4", "--record-wire", "m.wire"]
    assert main([*argv, "--json"]) == 0  # the simulated bench in process has no wires
    assert main([*argv, "--json"]) == 2
    assert "m.wire: File exists; give the name of a new file" in capsys.readouterr().err
    assert main(["replay", "--wire", "m.wire"]) == 2
    assert "no bench was opened while it ran" in capsys.readouterr().err
    assert main(["replay"]) == 2
    assert "a run file, or --wire FILE" in capsys.readouterr().err
    assert main(["replay", "--wire", "m.wire", "--digits", "0:1"]) == 2
    assert "--digits is for runs" in capsys.readouterr().err


def test_replies_get_the_number_of_the_request_that_was_made() -> None:
    late = protocol.seal("OK 6 latch=none") + protocol.seal("OK 7 uv=3 code=1") + b"garbled\n"
    assert renumbered(late, 7, 9) == protocol.seal("OK 9 uv=3 code=1") + b"garbled\n"
    assert renumbered(protocol.seal("ERR 7 range no"), 7, 1) == protocol.seal("ERR 1 range no")


@pytest.mark.parametrize(("who", "ways"), [("client", ["to"]), ("other side", ["to", "end"])])
def test_only_what_the_other_side_ends_has_an_end_on_the_tape(who: str, ways: list[str], tmp_path: Path) -> None:
    with recording(tmp_path / "ends.wire", {"command": ["test"]}):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            tapped = tapped_socket(ours, "pigpiod")
            tapped.sendall(b"asked")
            (tapped if who == "client" else theirs).shutdown(socket.SHUT_RDWR)
            assert tapped.recv(16) == b""
    assert [event.way for event in read_tape(tmp_path / "ends.wire").links["pigpiod 1"]] == ways
