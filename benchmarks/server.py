"""A running `hil serve`, asked as a browser asks it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path


class Server:
    """A running `hil serve` over a folder."""

    def __init__(self, pid: int | None, host: str) -> None:
        self.pid = pid
        self.host = host

    def get(self, path: str) -> bytes:
        """The body of an answer, which has to be well."""
        connection = HTTPConnection(self.host, timeout=600)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            return body
        finally:
            connection.close()

    def events(self, path: str) -> Iterator[tuple[str, str]]:
        """Kind and data of server-sent events."""
        connection = HTTPConnection(self.host, timeout=600)
        try:
            connection.request("GET", path)
            kind = ""
            for raw in connection.getresponse():
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    yield kind, line[6:]
        finally:
            connection.close()

    def peak_mb(self) -> float:
        """The most memory it ever had resident."""
        text = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) / 1e3

    def cpu_s(self) -> float:
        """Processor time that it has taken (proc(5): utime and stime, the 14th and 15th field)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-m", "hil", "serve", "--runs", str(folder), "--bind", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://(\S+)/ ", process.stdout.readline())
        assert found is not None
        yield Server(process.pid, found[1])
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()  # type: ignore[union-attr]
