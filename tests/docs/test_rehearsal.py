"""The commands of rehearse.md, as they stand there, from nothing to a digit over the wire."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivers.pico.finding import find_port
from hil.bringup.picoproof import GAPS
from hil.bringup.verdict import CLAIMS
from hil.cli import main
from tests.docs.documents import ROOT, blocks

PAGE = (ROOT / "docs" / "how-to" / "rehearse.md").read_text(encoding="utf-8")


@pytest.mark.wire
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_rehearsal_goes_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hil.bringup.look._scopes", lambda _manager: iter(()))  # nobody's LAN is searched by a test
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    with pytest.raises(ConnectionError):
        find_port()
    files, looks, digits, proof = blocks(PAGE, "sh")
    (server,) = blocks(PAGE, "server")
    for line in files.splitlines():
        assert main(shlex.split(line)[1:]) == 0, line
    capsys.readouterr()
    command = [sys.executable, "-m", *shlex.split(server)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as serving:
        try:
            assert serving.stdout is not None
            until = time.monotonic() + 100
            while "wrote mock-wire.toml" not in (line := serving.stdout.readline()):
                assert line, "the server ended"
                assert time.monotonic() < until
            for line in [*looks.splitlines(), *digits.splitlines()]:
                assert main(shlex.split(line)[1:]) == 0, (line, capsys.readouterr())
            out = capsys.readouterr().out
            assert out.count("all is well") == 2
            assert "identical" in out
            (line,) = proof.splitlines()
            assert main(shlex.split(line)[1:]) == 0, capsys.readouterr()
            proven(capsys.readouterr().out)
        finally:
            with contextlib.suppress(ProcessLookupError):
                serving.send_signal(signal.SIGINT)


def proven(said: str) -> None:
    """Every step but that for a hand and that of a real Pico's time is ok over the wire; the report has each figure."""
    facts = json.loads(Path("accepted/accept.json").read_text(encoding="utf-8"))
    states = {step["name"]: step["state"] for step in facts["steps"]}
    not_done = {name for name, state in states.items() if state == "not done"}
    assert not_done == {"emergency stop", GAPS}  # no stop is wired to that board, and its Pico is this machine
    assert {state for name, state in states.items() if name not in not_done} == {"ok"}, facts["steps"]
    assert {name for _, needs in CLAIMS for name in needs} <= states.keys()
    shown = [not_done.isdisjoint(needs) for _, needs in CLAIMS]
    assert [claim["supported"] for claim in facts["claims"]] == shown
    known = next(step["figures"] for step in facts["steps"] if step["name"] == "slot timing and known pulses")
    assert len(known["spikes_by_address"]) == 4
    assert said.count("  supported  ") == len(CLAIMS) - 2
    page = Path("accepted/report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") >= 3
    assert "spikes_by_address" in page
