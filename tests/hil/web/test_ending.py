"""How `hil serve` ends: in one line, whoever is still reading."""

from __future__ import annotations

import shutil
import signal
from http.client import HTTPConnection
from pathlib import Path

import pytest

from hil.cli import main
from tests.hil.web.conftest import heard, hil

READERS = 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_read_from_ends_in_one_line(number: signal.Signals, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    assert main(["run", "--digits", "0:1", "--physical", "none", "--out", str(runs / "a.sqlite"), "--json"]) == 0
    shutil.copy(runs / "a.sqlite", runs / "b.sqlite")
    process = hil("serve", "--runs", str(runs), "--bind", "127.0.0.1:0", cwd=tmp_path)
    try:
        address = heard(process, r"http://(127\.0\.0\.1:\d+)/\?token=")[1]
        followers = [HTTPConnection(address, timeout=30) for _ in range(READERS)]
        for n, follower in enumerate(followers):
            follower.request("GET", f"/api/runs/{'ab'[n % 2]}.sqlite/events")
            assert follower.getresponse().readline() == b"event: run\n"
        process.send_signal(number)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (said, process.returncode) == ("hil: interrupted\n", 130)
    for follower in followers:
        follower.close()
