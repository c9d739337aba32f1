"""What `hil serve` costs: how soon a page of a large run is there, in what memory, and what a run loses by it.

    python -m benchmarks.serve

A run of 1,000 digits with the traces of all four channels (about 3 GB; its digits repeat four that were really
played) is served. The first page, with all its parts and every digit's result, must come in under a second; a slot
with its traces in under 0.3 s; the serving side must stay under 200 MB, statistics over all slots and maps of layers
included. What a run loses by twenty readers is measured by `benchmarks.readers`, on runs that a bench paces: it must
be under 2 %. All of it needs a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.readers import MOST_LOSS, lost_to_readers, told
from benchmarks.recording import settled
from benchmarks.server import Server, serving
from drivers.errors import HilError
from hil.network.weights import load_weights
from hil.run.session import begin, go_on
from hil.store.rows import digest

FIRST_PAGE_S, SLOT_S, MEMORY_MB = 1.0, 0.3, 200.0
PLAYED = 4
SLOTS_TRIED = 60
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=int, default=1_000)
    parser.add_argument("--run-digits", type=int, default=30, help="of each run that is read, or not")
    parser.add_argument("--rounds", type=int, default=6, help="of two such runs, at most")
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
        lost = lost_to_readers(args.run_digits, args.rounds, folder)
        print(f"speed of a run  {told(lost)}")
    good = page < FIRST_PAGE_S and max(slots) < SLOT_S and memory < MEMORY_MB and lost.high < MOST_LOSS
    print("within the limits" if good else "NOT within the limits")
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HilError as error:
        sys.exit(str(error))
