"""What is said when something outside is not as it should be: the true cause, and advice that can be pasted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drivers.errors import ConnectionLostError, InputError, RunFileError
from drivers.panel import GpioPanel
from drivers.settings import PanelSettings
from hil.cli import main
from hil.commands.served import bench_file
from hil.store.locking import explained
from hil.store.runfile import RunFile

ROOT = Path(__file__).parents[2]
LONG = "a" * 300
QUOTED = ("quote(", "of", "made_file", "file")  # names that hold what is quoted already


def test_a_host_that_nobody_knows_is_called_that() -> None:
    from drivers.ds4024.link import Pace, ScopeLink

    with pytest.raises(ConnectionLostError, match=r"no host 'no-such-host\.invalid' is known .*: check its spelling"):
        ScopeLink("TCPIP::no-such-host.invalid::INSTR", 1.0, Pace()).open()


@pytest.mark.parametrize(
    "argv",
    [
        ["run", "--digits", "0:1", "--physical", "none", "--out", f"{LONG}.sqlite"],
        ["report", f"{LONG}.sqlite"],
        ["plan", "--bench", f"{LONG}.toml"],
        ["plan", "--device", f"{LONG}.toml"],
        ["run", "--digits", "0:1", "--calibration", f"{LONG}.json"],
    ],
    ids=["out", "run file", "bench", "device", "calibration"],
)
def test_a_path_that_is_too_long_is_one_line(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert main(argv) in (1, 2)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("hil: ")
    assert last.endswith("File name too long")


def test_without_a_home_a_run_is_a_run(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "hil.cli", "run", "--digits", "0:1", "--physical", "none", "--json"]
    there = {name: os.environ[name] for name in ("PATH", "HIL_LOCKS") if name in os.environ}
    done = subprocess.run(
        argv, cwd=tmp_path, env={**there, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["digits"]) == 1


def test_files_with_a_byte_order_mark_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    mark = b"\xef\xbb\xbf"
    Path("d.toml").write_bytes(mark + (ROOT / "drivers/mock/devices/nominal.toml").read_bytes())
    Path("b.toml").write_bytes(mark + (ROOT / "drivers/benches/mock.toml").read_bytes())
    assert main(["plan", "--digits", "0:1", "--physical", "conv1:0-0", "--device", "d.toml", "--bench", "b.toml"]) == 0
    assert main(["calibrate", "transfer", "--full-scale", "4", "--out", "c.json", "--json"]) == 0
    Path("c.json").write_bytes(mark + Path("c.json").read_bytes())
    capsys.readouterr()
    argv = ["--digits", "0:1", "--physical", "conv1:0-0", "--full-scale", "conv1=4", "--calibration", "c.json"]
    assert main(["run", *argv, "--json"]) == 0, capsys.readouterr().err


def test_no_advice_names_a_file_that_a_shell_would_read_as_several() -> None:
    """Every command in a message of ours has its file quoted."""
    command = re.compile(r"\b(?:hil \w+|sqlite3)\b[^`\"\n{]*\{([^}]*)")
    bare = [
        f"{file.relative_to(ROOT)}: {found[0]}"
        for room in ("hil", "drivers", "calibration")
        for file in sorted((ROOT / room).rglob("*.py"))
        for found in command.finditer(file.read_text(encoding="utf-8"))
        if re.search(r"path(?!\.name)|out|file|bench|given", found[1]) and not found[1].startswith(QUOTED)
    ]
    assert bare == []


def test_advice_for_a_file_with_spaces_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    with pytest.raises(RunFileError, match=r"sqlite3 'a b\.sqlite' \.recover"), explained(Path("a b.sqlite")):
        raise _named(sqlite3.DatabaseError("broken"), "SQLITE_CORRUPT")
    argv = ["--digits", "0:1", "--physical", "none", "--out", "a b.sqlite"]
    assert main(["run", *argv, "--json"]) == 0
    assert main(["run", *argv]) == 1
    assert "hil resume 'a b.sqlite'" in capsys.readouterr().err


def _named(error: Exception, name: str) -> Exception:
    error.sqlite_errorname = name  # type: ignore[attr-defined]
    return error


def test_a_full_disk_advises_to_go_on_only_with_a_file_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """/dev/full takes nothing."""
    assert main(["run", "--digits", "0:1", "--physical", "none", "--out", "/dev/full/r.sqlite"]) in (1, 2)
    assert "hil resume" not in capsys.readouterr().err


def test_quotes_in_the_path_of_a_served_bench(tmp_path: Path) -> None:
    out = tmp_path / 'my "best" bench.toml'
    args = Namespace(source="pico", reader="pico", device='de"vice.toml', out=out)
    made = cast("Any", SimpleNamespace(host="127.0.0.1", port=1, vxi11_resource="TCPIP0::127.0.0.1::INSTR"))
    read = tomllib.loads(bench_file(args, made, made, made))
    assert read["device"] == 'de"vice.toml'
    assert read["passports"] == 'my "best" bench.passports'
    assert 'my "best" bench' in read["calibration"]


def test_a_usb_oscilloscope_is_told_what_it_needs() -> None:
    from drivers.ds4024.address import USB_ADVICE

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert any(name.lower().startswith("pyusb") for name in extras["usb"])
    guide = (ROOT / "docs/how-to/bring-up.md").read_text(encoding="utf-8")
    for text in (USB_ADVICE, guide):
        assert "pip install '.[usb]'" in text
        assert 'ATTR{idVendor}=="1ab1"' in text


def test_what_a_library_prints_is_not_taken_for_the_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """gpiozero tries pigpio's client, which prints a page on standard output when no daemon answers."""
    import gpiozero

    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "pigpio")
    monkeypatch.setenv("PIGPIO_PORT", "1")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    with pytest.raises(InputError, match=r"panel\.estop = 6"):
        GpioPanel(PanelSettings(estop=6), lambda: None)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Can't connect to pigpio" in err


def test_a_run_file_is_not_created_by_looking_for_it() -> None:
    with pytest.raises(RunFileError):
        RunFile.open(Path("not there.sqlite"))
    assert not Path("not there.sqlite").exists()


@pytest.mark.parametrize(
    "argv", [["run", "--digits", "0:1", "--figure", "f.png"], ["calibrate", "transfer"], ["characterize"]], ids=str
)
def test_what_cannot_be_drawn_is_said_before_anything_is_played(argv: list[str], tmp_path: Path) -> None:
    there = {name: os.environ[name] for name in ("PATH", "HIL_LOCKS", "HIL_PASSPORTS")}
    ended = subprocess.run(
        [sys.executable, "-m", "hil.cli", *argv],
        cwd=tmp_path,
        env={**there, "MPLBACKEND": "nonsense", "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("hil: MPLBACKEND is 'nonsense', which matplotlib does not know")
    assert not list(tmp_path.rglob("*"))
