"""Inputs that somebody or something has spoilt, by kind, each a pure function of a seed; and what is made of them.

Whatever comes of one is a value or an error of ours, within bounded memory. Everything else is a fault.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import socket
import sqlite3
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from pydantic import ValidationError

from calibration.plausible import check_curve
from calibration.record import CalibrationRecord, check_made, load_record
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.ds4024.link import as_number
from drivers.ds4024.memory import parse_preamble
from drivers.ds4024.settings import identify
from drivers.errors import HilError
from drivers.pico.replies import Fields
from drivers.pigpio.count import Hearing, count
from drivers.pigpio.instep import REPLY_BYTES, InStep
from drivers.pigpio.reports import REPORT, Reports
from drivers.settings import BoardSettings, SpikeSettings
from drivers.signals import SlotTiming, probe_frame
from drivers.timing import length_ticks, slot_ticks
from firmware import protocol
from hil.cli import main
from hil.network.weights import load_weights
from hil.report.page import gather
from hil.run.session import config_of, results_of
from hil.store.frozen import kind_of
from hil.store.rows import digest
from hil.store.runfile import RunFile

COMMANDS = (
    *(("runs",), ("runs", "--json"), ("report",), ("resume",), ("replay",), ("replay", "--json")),
    ("replay", "--set", "spikes.threshold_v=0.9"),
    *(("export", "--to", "csv"), ("export", "--to", "hdf5", "--traces"), ("export", "--to", "vcd", "--traces")),
    *(("export", "--to", "sr", "--traces"), ("export", "--to", "neo"), ("export", "--to", "nir")),
)
RAW = set(map(chr, range(32))) - {"\n", "\r", "\t"}  # what a terminal may take for an order
ROOT = Path(__file__).parents[2]
NUMBERS = (
    "0",
    "-1",
    "1e-300",
    "1e308",
    "inf",
    "nan",
    "9" * 5000,
    "1_0",
    "true",
    '""',
    "[]",
    "{}",
    "1979-05-27",
    "0x7f",
)
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1 << 63, 1e308, 1e-300, float("inf"), float("nan"), "", "x" * 10_000, "\u001b[2J", "\x00"),
    *([], {}, [[]], {"": None}, [1] * 5000),
)
DEEP = 200_000  # brackets
SYNC, AXON = 1 << 22, 1 << 13
SAID = (
    b"0,2,7000,1,4.000000e-07,-1.4e-03,0,4.000000e-02,0,127",
    b"RIGOL TECHNOLOGIES,DS4024,DS4A000000001,00.02.03",
    b"2.500000e+06",
)


class EndedError(HilError):
    """A command refused what it was given, as it should."""


Case = Callable[[Random], None]


def spoilt_text(text: str, rng: Random) -> str:
    """Some characters changed, a line lost or doubled, a value replaced, or brackets without end."""
    lines = text.splitlines()
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                del lines[at]
                lines = lines or [""]
            case 1:
                lines.insert(at, lines[at])
            case 2 | 3:
                key, equals, _ = lines[at].partition("=")
                lines[at] = f"{key}{equals} {rng.choice(NUMBERS)}" if equals else lines[at] + rng.choice(NUMBERS)
            case 4:
                place = rng.randrange(len(lines[at]) + 1)
                lines[at] = (
                    lines[at][:place] + chr(rng.choice((0, 10, 27, 34, 91, 93, 0xFEFF, 0x1F600))) + lines[at][place:]
                )
            case _:
                lines[at] = "x = " + "[" * rng.choice((10, DEEP))
    return "\n".join(lines)


def spoilt_bytes(data: bytes, rng: Random, most: int | None = None) -> bytes:
    """Some bytes changed, a piece cut out or doubled, or the end gone."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(min(most or len(made), len(made)) or 1)
        match rng.randrange(5):
            case 0:
                del made[at : at + rng.randint(1, 64)]
            case 1:
                made[at:at] = made[at : at + rng.randint(1, 64)]
            case 2:
                del made[at:]
            case _:
                if made:
                    made[at % len(made)] = rng.randrange(256)
    return bytes(made)


def spoilt_json(value: Any, rng: Random) -> Any:
    """One value in a tree of them replaced, lost, or put where another belongs."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: spoilt_json(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], spoilt_json(value[at], rng), *value[at + 1 :]]
    return rng.choice(VALUES)


@dataclass
class Inputs:
    """Every kind of input; `folder` is where files are put, one at a time."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._benches = [
            (ROOT / name).read_text(encoding="utf-8")
            for name in ("drivers/benches/mock.toml", "examples/benches/pigpio-scope.toml")
        ]
        self._devices = [(ROOT / "drivers/mock/devices/nominal.toml").read_text(encoding="utf-8")]
        self._run = self.folder / "whole.sqlite"
        argv = ["run", "--digits", "0:1", "--physical", "conv1:0-0", "--full-scale", "conv1=4", "--traces"]
        assert main([*argv, "--out", str(self._run), "--json"]) == 0
        record = self.folder / "whole.json"
        assert main(["calibrate", "transfer", "--full-scale", "2", "--out", str(record), "--json"]) == 0
        (self._sweep,) = self.folder.glob("whole-*.sqlite")
        self._record = json.loads(record.read_text(encoding="utf-8"))
        self._weights = (ROOT / "hil/data/weights.safetensors").read_bytes()

    @property
    def kinds(self) -> dict[str, Case]:
        """By name."""
        return {
            "config": self.config,
            "record": self.record,
            "weights": self.weights,
            "reply": self.reply,
            "run file": self.run_file,
            "command": self.command,
        }

    def config(self, rng: Random) -> None:
        """A bench file, and what it makes of a frame; or a device file."""
        file = self.folder / "c.toml"
        bench = rng.random() < 0.7
        text = spoilt_text(rng.choice(self._benches if bench else self._devices), rng)
        raw = text.encode("utf-8", "surrogatepass")
        file.write_bytes(spoilt_bytes(raw, rng) if rng.random() < 0.1 else raw)
        if not bench:
            load_device(str(file))
            return
        found = load_bench(str(file))
        frame = probe_frame("spoilt", found.slot, [1, 0, 40])
        assert (length_ticks(frame, found.tick_s)[frame.played] > 0).all()
        found.check_frame(frame)

    def record(self, rng: Random) -> None:
        """A calibration record, garbled or with the id that goes with what was changed; and what a run asks of it."""
        file = self.folder / "r.json"
        document = spoilt_json(self._record, rng)
        if isinstance(document, dict) and rng.random() < 0.7:
            with contextlib.suppress(ValidationError, RecursionError):
                content = {key: value for key, value in document.items() if key != "id"}
                document = {**content, "id": CalibrationRecord.model_validate(content).id}
        text = json.dumps(document)
        if rng.random() < 0.2:
            file.write_bytes(spoilt_bytes(text.encode(), rng))
        else:
            file.write_text(
                rng.choices((text, "[" * DEEP, text.replace(": 0", ": " + "9" * 5000, 1)), weights=(90, 2, 8))[0]
            )
        record = load_record(file)
        curve = record.curve(self._record["timing_key"], record.threshold_v, 2)
        curve.decode(np.arange(5))
        check_made(curve, record.threshold_v)
        check_curve(curve)

    def weights(self, rng: Random) -> None:
        """A safetensors file: mostly its header, of which a little claims a lot."""
        file = self.folder / "w.safetensors"
        size = struct.unpack("<Q", self._weights[:8])[0]
        if rng.random() < 0.5:
            header = json.dumps(spoilt_json(json.loads(self._weights[8 : 8 + size]), rng)).encode()
            length = len(header) if rng.random() < 0.9 else rng.choice((0, 1 << 30, (1 << 64) - 1))
            file.write_bytes(
                struct.pack("<Q", length) + header + self._weights[8 + size :][: rng.choice((0, 100, 1 << 24))]
            )
        else:
            file.write_bytes(spoilt_bytes(self._weights[: 8 + size + 200], rng, 8 + size))
        load_weights(file)

    def reply(self, rng: Random) -> None:
        """A line from the Pico, what pigpiod sends back or reports, or what an oscilloscope says of itself."""
        if (which := rng.random()) < 0.2:
            (self._pigpiod if which < 0.1 else self._reports if which < 0.13 else self._scope)(rng)
            return
        said = f"OK {rng.randrange(9)} boot={rng.randrange(99)} latch=none spikes={rng.choice(NUMBERS)}"
        line = protocol.seal(said) if rng.random() < 0.5 else spoilt_bytes(protocol.seal(said), rng)
        try:
            _, fields, code, _ = protocol.parse_reply(line.rstrip(b"\n"))
        except protocol.ProtocolError:
            return
        if not code:
            Fields("read", fields).number(rng.choice(("spikes", "boot", "gone")))
        return

    def _pigpiod(self, rng: Random) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(1.0)
            link = InStep(ours)
            link.sendall(struct.pack("<4I", 16, 0, 0, 0))
            sound = struct.pack("<4I", 16, 0, 0, 7)
            theirs.sendall(spoilt_bytes(sound * rng.randint(1, 3), rng))
            theirs.shutdown(socket.SHUT_RDWR)
            try:
                assert len(link.recv(REPLY_BYTES)) == REPLY_BYTES
            except OSError:  # what the link makes a ConnectionLostError of
                return

    def _reports(self, rng: Random) -> None:
        """Of a shot of 3 slots of 2 pulses, each of which fires."""
        frame = probe_frame("spoilt", SlotTiming(), [2, 2, 2])
        lengths, lead = length_ticks(frame, 1e-6), slot_ticks(frame.timing, 1e-6).lead
        edges: list[tuple[int, int]] = []
        for start in np.concatenate([[0], np.cumsum(lengths)]).tolist():
            edges += [(start, SYNC), (start + lead, 0)]
            edges += [(start + lead + 15 + us, level) for us, level in ((0, AXON), (2, 0), (10, AXON), (12, 0))]
        edges = edges[:-4]
        reports = np.zeros(len(edges), dtype=REPORT)
        reports["sequence"] = np.arange(len(edges))
        reports["tick"], reports["levels"] = np.array(edges).T
        came = spoilt_bytes(reports.tobytes(), rng) if rng.random() < 0.9 else reports.tobytes()
        found = np.frombuffer(came[: len(came) // REPORT.itemsize * REPORT.itemsize], dtype=REPORT)
        gaps = np.diff(found["sequence"].astype(np.int64), prepend=-1) != 1
        bits = SYNC.bit_length() - 1, AXON.bit_length() - 1
        hearing = Hearing(*bits, 1e-6, 1e-6, SpikeSettings(), BoardSettings())
        capture = count(frame, Reports(found["tick"], found["levels"], gaps), 0, 0, hearing)
        assert capture.ok.shape == capture.spikes.shape == (3,)

    def _scope(self, rng: Random) -> None:
        spoilt = spoilt_bytes(rng.choice(SAID), rng).decode("latin-1")
        match rng.randrange(3):
            case 0:
                parse_preamble(spoilt)
            case 1:
                identify(spoilt)
            case _:
                as_number(":ACQ:SRAT?", rng.choice((spoilt, *NUMBERS)))

    def run_file(self, rng: Random) -> None:
        """Bytes of a run file spoilt, or a value of it with the checksums that go with it."""
        path = self._spoilt_run(rng, self._run)
        with RunFile.open(path) as run:
            kind_of(run)
            config = config_of(run)
            results_of(run)
            run.totals(), run.notes(), run.events()
            for shot in run.shot_ids()[:20]:
                run.load(shot, None)
            if rng.random() < 0.05:
                gather(run, load_weights(config.weights_path), "r", trace_bytes=0)

    def _spoilt_run(self, rng: Random, whole: Path) -> Path:
        path = self.folder / "r.sqlite"
        for stale in self.folder.glob("r.*"):
            stale.unlink()
        if rng.random() < 0.3:
            path.write_bytes(spoilt_bytes(whole.read_bytes(), rng))
        else:
            shutil.copyfile(whole, path)
            forge(path, rng)
        return path

    def command(self, rng: Random) -> None:
        """A spoilt run file, given to a command: exit code 0, 1 or 2, and nothing reaches the terminal raw."""
        path = self._spoilt_run(rng, self._run if rng.random() < 0.8 else self._sweep)
        command, *more = rng.choice(COMMANDS)
        out = ["--out", str(self.folder / "r.out")] if command in ("report", "export") else []
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main([command, str(path), *more, *out])
        assert code in (0, 1, 2), code
        assert not set(said.getvalue()) & RAW, said.getvalue()
        if code:
            raise EndedError(f"exit {code}: {command}")


def forge(path: Path, rng: Random) -> None:
    """Change one value, and make every checksum right again."""
    db = sqlite3.connect(path)
    try:
        table = rng.choice(("run", "shots", "traces", "results", "events", "schema"))
        if table == "results" and not db.execute("SELECT count(*) FROM results").fetchone()[0]:
            table = "shots"  # a sweep has none
        if table == "schema":
            db.execute(rng.choice(HOSTILE_SCHEMAS))
        elif table == "run":
            key, text = rng.choice(db.execute("SELECT key, value FROM run").fetchall())
            text = json.dumps(spoilt_json(json.loads(text), rng)) if rng.random() < 0.8 else "[" * DEEP
            db.execute("UPDATE run SET value = ?, digest = ? WHERE key = ?", (text, digest((key, text)), key))
        elif table == "results":
            detail = json.dumps(spoilt_json(json.loads(db.execute("SELECT detail FROM results").fetchone()[0]), rng))
            row = db.execute("SELECT noise, image, label, answer FROM results").fetchone()
            db.execute("UPDATE results SET detail = ?, digest = ?", (detail, digest((*row, detail))))
        else:
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] not in ("id", "digest")]
            value = rng.choice((None, -1, 1 << 62, 1e308, "\x1b[2J<script>", b"", bytes(100), "[" * 10_000, BOMB))
            db.execute(f"UPDATE {table} SET {rng.choice(columns)} = ?", (value,))
            remake(db)
        db.commit()
    except sqlite3.IntegrityError:
        pass  # such a value cannot even be stored
    finally:
        db.close()


def remake(db: sqlite3.Connection) -> None:
    """All checksums of shots and traces as their values are now."""
    for row in db.execute("SELECT rowid, * FROM traces").fetchall():
        made = digest(tuple(row[2:-1]))
        db.execute("UPDATE traces SET digest = ? WHERE rowid = ?", (made, row[0]))
    for row in db.execute("SELECT * FROM shots").fetchall():
        checks = [found[0] for found in db.execute("SELECT digest FROM traces WHERE shot = ? ORDER BY name", (row[0],))]
        if all(isinstance(check, bytes) for check in checks):
            db.execute("UPDATE shots SET digest = ? WHERE id = ?", (digest(tuple(row[1:-2]), *checks), row[0]))


def _bomb() -> bytes:
    """A kilobyte or so that unpacks to a gigabyte."""
    import zstandard

    packer = zstandard.ZstdCompressor(level=19).compressobj()
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()


BOMB = _bomb()
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
HOSTILE_SCHEMAS = (
    f"CREATE VIEW more AS {ENDLESS} SELECT x FROM n",
    "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM shots; END",
    "CREATE TABLE extra (a, b GENERATED ALWAYS AS (zeroblob(1000000000)))",
    "ALTER TABLE shots RENAME TO old_shots",
    "DROP TABLE results",
)


def tried(case: Case, seed: int) -> str:
    """`taken`, or the name of the error of ours; whatever else is raised is a fault, and passes."""
    try:
        case(Random(seed))
    except HilError as error:
        return type(error).__name__
    return "taken"
