"""The tables of a run file, and what tells a run file from any other file."""

from __future__ import annotations

APPLICATION_ID = 0x48494C52  # "HILR", in bytes 68-71 of the file (SQLite file format, section 1.3)
SCHEMA_VERSION = 2  # 1: arrays of slots with all their bytes, and lengths of slots one by one; read as ever
MAGIC = b"SQLite format 3\x00"

# A shot is unique by what it measured; a slot that was late or unreadable (`ok` false) is measured again by a shot of
# the next attempt over just those slots. A damaged shot stays for inspection, and is measured again as if it were new.
TABLES = """
CREATE TABLE run (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, digest BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE shots (
    id INTEGER PRIMARY KEY,
    purpose TEXT NOT NULL, image INTEGER NOT NULL, noise INTEGER NOT NULL, attempt INTEGER NOT NULL,
    layer INTEGER NOT NULL, first_slot INTEGER NOT NULL, slots INTEGER NOT NULL,
    first_channel INTEGER NOT NULL, first_position INTEGER NOT NULL,
    last_channel INTEGER NOT NULL, last_position INTEGER NOT NULL,
    taken_utc TEXT NOT NULL, bench_s REAL NOT NULL, timing TEXT NOT NULL, pulses_before INTEGER NOT NULL,
    total_pulses INTEGER NOT NULL, total_spikes INTEGER NOT NULL, resets INTEGER NOT NULL, bad_slots INTEGER NOT NULL,
    stray_before INTEGER NOT NULL, stray_guard INTEGER NOT NULL, stray_after INTEGER NOT NULL, notes TEXT NOT NULL,
    channel BLOB NOT NULL, position BLOB NOT NULL, pulses BLOB NOT NULL, spikes BLOB NOT NULL, slot_s BLOB NOT NULL,
    ok BLOB NOT NULL, digest BLOB NOT NULL, damaged INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX one_shot ON shots (purpose, image, noise, layer, first_slot, attempt) WHERE damaged = 0;
CREATE TABLE traces (
    shot INTEGER NOT NULL REFERENCES shots (id), name TEXT NOT NULL, samples INTEGER NOT NULL,
    y_increment_v REAL NOT NULL, y_origin INTEGER NOT NULL, y_reference INTEGER NOT NULL,
    x_increment_s REAL NOT NULL, x_origin_s REAL NOT NULL, settings TEXT NOT NULL,
    codes BLOB NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (shot, name)
);
CREATE TABLE results (
    noise INTEGER NOT NULL, image INTEGER NOT NULL, label INTEGER NOT NULL, answer INTEGER NOT NULL,
    detail TEXT NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (noise, image)
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, at_utc TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL
);
"""


def statements() -> list[str]:
    """The schema, statement by statement."""
    made = [part.strip() for part in TABLES.split(";") if part.strip()]
    return [*made, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {SCHEMA_VERSION}"]
