"""A served folder, and a run on the wire twin to be followed in it: every part a process of its own, as on a bench."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0


def hil(*argv: str, cwd: Path) -> subprocess.Popen[str]:
    """A command of hil as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "hil", *argv],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> str:
    """Ctrl-C, and what it said."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        said, _ = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    return said


def heard(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first line that fits."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"{pattern!r} was never said: {''.join(said)}")


def until(what: str, ask: Callable[[], Any]) -> Any:
    """The first answer that is true."""
    latest = time.monotonic() + PATIENCE_S
    while time.monotonic() < latest:
        if found := ask():
            return found
        time.sleep(0.02)
    raise AssertionError(f"in vain waited for {what}")


@dataclass(frozen=True)
class Served:
    """A running `hil serve`."""

    address: str
    token: str
    runs: Path

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.ask("GET", path, headers)

    def post(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.ask("POST", path, headers)

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        """The status and the answer; the path is sent as it is."""
        connection = HTTPConnection(self.address.removeprefix("http://"), timeout=30)
        try:
            connection.request(method, path, headers=dict(headers))
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(body)
        except ValueError:
            return answer.status, body.decode()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over an empty folder."""
    folder = tmp_path_factory.mktemp("served")
    runs = folder / "runs"
    runs.mkdir()
    process = hil("serve", "--runs", str(runs), "--bind", "127.0.0.1:0", cwd=folder)
    try:
        found = heard(process, r"(http://127\.0\.0\.1:\d+)/\?token=(\S+)")
        yield Served(found[1], found[2], runs)
    finally:
        said = end(process)
    assert "Traceback" not in said, said


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bench file of a simulated bench behind its real wire protocols, whose host may be kept from running."""
    folder = tmp_path_factory.mktemp("wire")
    process = hil("mock", "serve", "--source", "pico", "--reader", "both", "--out", "bench.toml", cwd=folder)
    try:
        heard(process, "wrote")
        bench = folder / "bench.toml"
        text = bench.read_text(encoding="utf-8")
        assert text.count("[pico]\n") == 1
        bench.write_text(text.replace("[pico]\n", f"[pico]\nheartbeat_timeout_s = {PATIENCE_S}\n"), encoding="utf-8")
        yield bench
    finally:
        end(process)
