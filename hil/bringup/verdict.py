"""What an acceptance supports, and its report: one page with every figure and picture."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.durable import write_durably
from hil.bringup.picoproof import DEAD_IN_PAYLOAD, GAPS, IN_A_ROW, INTERRUPTED, REQUESTS, SILENT_HOST

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from hil.bringup.done import Done

# What this project says of itself, and the steps that have to be ok for it to be said of this bench
CLAIMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("every part answers and known pulses come through", ("doctor and loopback",)),
    ("slots are as long as planned, and every address reaches the neuron", ("slot timing and known pulses",)),
    ("V_th and the transfer curve are measured on this device", ("thresholds and transfer",)),
    ("digits are recognised with this neuron in the first layer", ("thresholds and transfer", "digits")),
    ("a recorded run decodes again to the same answers", ("digits", "replay")),
    ("a killed host leaves the bench at rest", ("at rest after a kill",)),
    ("a run whose host was killed goes on", ("host killed",)),
    ("the Pico answers in time, and counts shots that are loaded beside one another", (REQUESTS, IN_A_ROW)),
    ("the Pico plays shots in a row without a pause", (GAPS,)),
    ("Ctrl-C, twice, leaves the Pico at rest with a REPL that stays", (INTERRUPTED,)),
    (
        "the Pico has the board at rest when its host falls silent or dies in a payload",
        (SILENT_HOST, DEAD_IN_PAYLOAD),
    ),
    ("the emergency stop stops", ("emergency stop",)),
)
_STYLE = (
    "body{font:15px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}td,th{text-align:left;padding:.2rem "
    ".8rem .2rem 0;vertical-align:top}.ok{color:#137333}.failed{color:#b3261e}.not{color:#7a5b00}img{max-width:100%}"
    "pre{background:#f4f4f4;padding:.6rem;overflow:auto;max-height:24rem}"
)


def supported(steps: Sequence[Done], file: BenchFile) -> list[tuple[str, bool]]:
    """Each claim, and whether what was seen supports it; a simulated bench supports none about hardware."""
    fine = {step.name for step in steps if step.state == "ok"}
    where = "of the simulated bench: " if file.kind == "mock" else ""
    return [(where + claim, fine.issuperset(needs)) for claim, needs in CLAIMS]


def write_report(steps: Sequence[Done], file: BenchFile, spent: str, folder: Path) -> Path:
    """Write accept.json and report.html into the folder; returns the page. Raises InputError."""
    claims = supported(steps, file)
    facts = {
        "bench": file.model_dump(mode="json"),
        "steps": [{"name": s.name, "state": s.state, "detail": s.detail, "figures": s.figures} for s in steps],
        "claims": [{"claim": claim, "supported": good} for claim, good in claims],
    }
    write_durably(folder / "accept.json", json.dumps(facts, indent=1, default=str), "acceptance")
    page = folder / "report.html"
    write_durably(page, _page(steps, file, spent, claims), "report")
    return page


def _page(steps: Sequence[Done], file: BenchFile, spent: str, claims: list[tuple[str, bool]]) -> str:
    esc = html.escape
    rows = "".join(
        f"<tr><td>{esc(s.name)}</td><td class='{s.state.split()[0]}'>{esc(s.state)}</td><td>{esc(s.detail)}</td></tr>"
        for s in steps
    )
    said = "".join(
        f"<tr><td class='{style}'>{word}</td><td>{esc(claim)}</td></tr>"
        for claim, good in claims
        for style, word in ([("ok", "supported")] if good else [("not", "not shown")])
    )
    details = "".join(
        f"<h2>{esc(s.name)}</h2>{''.join(map(_picture, s.pictures))}"
        f"<pre>{esc(json.dumps(s.figures, indent=1, default=str)[:20_000])}</pre>"
        for s in steps
        if s.figures or s.pictures
    )
    kind = "simulated in process: no claim about hardware" if file.kind == "mock" else "parts as its file names them"
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>acceptance of {esc(file.name)}</title>"
        f"<style>{_STYLE}</style><h1>Acceptance of bench {esc(file.name)}</h1><p>{esc(kind)}. {esc(spent)}</p>"
        f"<table>{rows}</table><h2>What this supports</h2><table>{said}</table>{details}</html>"
    )


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f"<p><img alt='{html.escape(path.stem)}' src='data:image/png;base64,{data}'></p>"
