"""Imported recordings as one HTML page without scripts: each recording's picture, its table, and what is noted."""

from __future__ import annotations

import base64
import html
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hil.offline.decoding import Decoded
from hil.offline.recordings import Imported, shots_of_import
from hil.report.recording_figure import draw_recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.store.runfile import RunFile

_SLOTS = 200  # rows of a table
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; color: #222; background: #fff }
img { max-width: 100% } table { border-collapse: collapse } td, th { padding: 0 .8em; text-align: right }
.doubtful { color: #b00 } code { background: #eee } .said { color: #555 }
"""


def import_page(run: RunFile, progress: Callable[[int, int], None] | None = None) -> str:
    """The page; raises RunFileError, InputError."""
    total, parts = len(run.shot_ids()), []
    for done, (imported, capture, found) in enumerate(shots_of_import(run), start=1):
        parts.append(_recording(imported, int(capture.spikes.sum()), found))
        if progress is not None:
            progress(done, total)
    title = html.escape(run.path.name)
    notes = "".join(f"<li>{html.escape(str(noted))}</li>" for noted in run.notes())
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{title}</h1><p>{total} recordings, imported {html.escape(str(run.fact('begun')))}</p>"
        f"<ul>{notes}</ul>{''.join(parts)}</body></html>\n"
    )


def _recording(imported: Imported, spikes: int, found: Decoded | str) -> str:
    name = html.escape(f"{imported.file} {imported.part}".rstrip())
    said = "".join(f"<li>{html.escape(line)}</li>" for line in imported.said)
    digest = html.escape(imported.sha256)
    head = f"<h2>{name}</h2><p class=said>SHA-256 <code>{digest}</code></p><ul class=said>{said}</ul>"
    if isinstance(found, str):
        return f"{head}<p class=doubtful>{html.escape(found)}; {spikes} spikes were counted when it was imported</p>"
    rest, top, noise = found.look.levels_v
    levels = f"rest {rest:.3g} V, top {top:.3g} V, noise {noise * 1e3:.3g} mV rms"
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in found.capture.notes)
    return (
        f"{head}<p>{spikes} spikes; {levels}</p><ul>{notes}</ul>"
        f'<img alt="traces of {name}" src="data:image/png;base64,{_picture(found, imported.file)}">{_table(found)}'
    )


def _picture(found: Decoded, title: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recording.png"
        draw_recording(file, found, title)
        return base64.b64encode(file.read_bytes()).decode("ascii")


def _table(found: Decoded) -> str:
    capture = found.capture
    second = ("planned", capture.frame.pulses) if found.planned else ("at sync", found.look.at_sync)
    rows = []
    for i in range(min(len(capture.spikes), _SLOTS)):
        trust = "" if capture.ok[i] else " class=doubtful"
        cells = (capture.frame.first_slot + i, second[1][i], capture.spikes[i], f"{capture.slot_s[i] * 1e6:.2f}")
        rows.append(f"<tr{trust}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    more = len(capture.spikes) - _SLOTS
    tail = f"<p>… {more} more; hil export tells all</p>" if more > 0 else ""
    return (
        f"<table><tr><th>{'slot' if found.planned else 'interval'}</th><th>{second[0]}</th><th>spikes</th>"
        f"<th>length, µs</th></tr>{''.join(rows)}</table>{tail}"
    )
