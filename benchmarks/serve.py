"""What `hil serve` costs: how soon a page of a large run is there, in what memory, and what a run loses by it.

    python -m benchmarks.serve

A run of 1,000 digits with the traces of all four channels (about 3 GB; its digits repeat four that were really played)
is served. The first page, with all its parts and every digit's result, must come in under a second; a slot with its
traces in under 0.3 s; the serving side must stay under 200 MB, statistics over all slots and maps of layers included.
Then the same digits are recognised with and without twenty readers that do what open pages do, in turn, several times:
the median loss of speed must be under 2 %. That needs a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.recording import settled
from drivers.errors import HilError
from hil.network.weights import load_weights
from hil.run.session import begin, go_on
from hil.store.rows import digest

FIRST_PAGE_S, SLOT_S, MEMORY_MB, MOST_LOSS = 1.0, 0.3, 200.0, 0.02
PLAYED = 4
SLOTS_TRIED = 60
READERS = 20
COMPONENTS = (
    *("app", "charts", "codec", "colours", "digit", "digits", "dom", "maps", "numbers", "opened", "page", "plot"),
    *("runs", "scope", "served", "zoom"),
)
PAGE_PARTS = ("/static/app.css", *(f"/static/{name}.js" for name in COMPONENTS))


def large_run(path: Path, digits: int) -> None:
    """A run file of so many digits with traces: four are played and recorded, the others are copies of them."""
    weights = load_weights()
    config, bench = settled(weights, f"0:{digits}", "pulses", traces=True)
    with bench, begin(path, config, {}, {"bench": "mock", "device": "nominal", "calibration": None}) as run:
        for _ in islice(go_on(run, config, weights, bench), PLAYED):
            pass
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("DELETE FROM traces WHERE shot IN (SELECT id FROM shots WHERE image >= ?)", (PLAYED,))
        db.execute("DELETE FROM shots WHERE image >= ?", (PLAYED,))
        for image in range(PLAYED, digits):
            copy(db, image % PLAYED, image)
            db.commit()
        db.execute("PRAGMA journal_mode = DELETE")  # one file, as a run that has ended leaves it


def copy(db: sqlite3.Connection, source: int, image: int) -> None:
    """The shots, traces and result of one digit once more under another index, with checksums that fit."""
    columns = [row[1] for row in db.execute("PRAGMA table_info(shots)")][1:-2]
    names = ", ".join(columns)
    traced = "name, samples, y_increment_v, y_origin, y_reference, x_increment_s, x_origin_s, settings, codes, digest"
    for shot, *values in db.execute(f"SELECT id, {names} FROM shots WHERE image = ?", (source,)).fetchall():  # noqa: S608
        values[columns.index("image")] = image
        traces = db.execute(f"SELECT {traced} FROM traces WHERE shot = ? ORDER BY name", (shot,)).fetchall()  # noqa: S608
        check = digest(tuple(values), *(trace[-1] for trace in traces))
        marks = ", ".join("?" * (len(values) + 1))
        made = db.execute(f"INSERT INTO shots ({names}, digest) VALUES ({marks})", (*values, check)).lastrowid  # noqa: S608
        insert = f"INSERT INTO traces (shot, {traced}) VALUES ({', '.join('?' * 11)})"  # noqa: S608
        db.executemany(insert, [(made, *trace) for trace in traces])
    noise, label, answer, detail = db.execute(
        "SELECT noise, label, answer, detail FROM results WHERE image = ?", (source,)
    ).fetchone()
    text = json.dumps({**json.loads(detail), "index": image}, ensure_ascii=False)
    row = (noise, image, label, answer, text)
    db.execute("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)", (*row, digest(row)))


class Server:
    """A running `hil serve` over a folder."""

    def __init__(self, process: subprocess.Popen[str], host: str) -> None:
        self.process = process
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
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) / 1e3


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
        yield Server(process, found[1])
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()  # type: ignore[union-attr]


def first_page_s(server: Server, name: str) -> float:
    began = time.perf_counter()
    for part in (f"/run/{name}", *PAGE_PARTS):
        server.get(part)
    for kind, _ in server.events(f"/api/runs/{name}/events"):
        if kind == "state":
            break
    return time.perf_counter() - began


def slots_s(server: Server, name: str, digits: int) -> list[float]:
    """Each a slot of a digit that nobody has asked for yet, as the page asks for it: its counts and its traces."""
    draw = np.random.default_rng(0)
    found = []
    for index in draw.permutation(digits)[:SLOTS_TRIED]:
        began = time.perf_counter()
        base = f"/api/runs/{name}/digits/0/{index}"
        server.get(base)
        server.get(f"{base}/conv1/{draw.integers(32)}/{draw.integers(200, 600)}")
        found.append(time.perf_counter() - began)
    return found


def run_s(digits: int, path: Path) -> tuple[float, float]:
    """Wall time of a run, as it says itself, and the processor time it took, s."""
    argv = ["run", "--digits", f"0:{digits}", "--out", str(path), "--json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "hil", *argv], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(json.loads(done.stdout)["wall_s"]), cpu_s


def reader(server: Server, name: str, over: threading.Event) -> None:
    """What an open page does: it hears every state, and at most once a second opens what is being played."""
    opened = 0.0
    while not over.is_set():
        try:
            for kind, data in server.events(f"/api/runs/{name}/events"):
                if over.is_set():
                    return
                if kind != "state" or time.monotonic() - opened < 1:
                    continue
                opened = time.monotonic()
                state = json.loads(data)
                now = state["under_way"]
                index = now["index"] if now else 0
                server.get(f"/api/runs/{name}/digits/0/{index}")
                server.get(f"/api/runs/{name}/digits/0/{index}/conv1/0/400")
                server.get(f"/api/runs/{name}/digits/0/{index}/conv1/0")
        except (OSError, AssertionError, ValueError):  # the run is not there yet
            time.sleep(0.1)


def loss(digits: int, pairs: int, folder: Path) -> list[float]:
    """Share of a run's speed that twenty readers cost, once a pair of runs."""
    found = []
    for n in range(pairs):
        alone = run_s(digits, folder / f"alone{n}.sqlite")
        name = f"watched{n}.sqlite"
        over = threading.Event()
        with serving(folder) as server:
            threads = [threading.Thread(target=reader, args=(server, name, over), daemon=True) for _ in range(READERS)]
            for thread in threads:
                thread.start()
            watched = run_s(digits, folder / name)
            over.set()
        found.append(1 - alone[0] / watched[0])
        share = 1 - alone[1] / watched[1]
        print(
            f"  alone {alone[0]:6.2f} s, with {READERS} readers {watched[0]:6.2f} s: {found[-1]:+.1%}; "
            f"of the processor {alone[1]:6.2f} and {watched[1]:6.2f} s: {share:+.1%}"
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=int, default=1_000)
    parser.add_argument("--run-digits", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        large = folder / "large.sqlite"
        large_run(large, args.digits)
        print(f"{args.digits} digits with traces, {large.stat().st_size / 1e9:.2f} GB")
        with serving(folder) as server:
            page = first_page_s(server, large.name)
            slots = slots_s(server, large.name, args.digits)
            server.get(f"/api/runs/{large.name}/statistics")
            for index in range(3):
                server.get(f"/api/runs/{large.name}/digits/0/{index}/maps")
            memory = server.peak_mb()
        print(f"first page      {page:6.2f} s  (allowed {FIRST_PAGE_S:g})")
        print(
            f"a slot          {max(slots):6.2f} s at worst, {statistics.median(slots):.3f} s in the median ({SLOT_S:g})"
        )
        print(f"serving side    {memory:6.0f} MB at most  (allowed {MEMORY_MB:g})")
        large.unlink()
        lost = statistics.median(loss(args.run_digits, args.pairs, folder))
        print(f"speed of a run  {lost:+6.1%} lost to {READERS} readers  (allowed {MOST_LOSS:.0%})")
    good = page < FIRST_PAGE_S and max(slots) < SLOT_S and memory < MEMORY_MB and lost < MOST_LOSS
    print("within the limits" if good else "NOT within the limits")
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HilError as error:
        sys.exit(str(error))
