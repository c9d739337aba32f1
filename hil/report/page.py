"""A run as one self-contained HTML page: no network, no libraries, everything inline."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.estimate import wilson_interval
from hil.network.physical import parse_physical
from hil.report.charts import confusion, firing_chart, raster_chart, timing_chart
from hil.report.figures import tiles

if TYPE_CHECKING:
    from hil.report.data import ReportData, Shown, Zoom

_LAYER_SHEETS = (("conv1", 8), ("conv2", 16))


def render(data: ReportData, name: str) -> str:
    """The page; `name` is the run file's."""
    folder = files("hil") / "data"
    text = {kind: (folder / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}
    config = data.config
    sections = [
        f'<div class="two">{_section("Set-up", "", _setup(data))}'
        f"{_section('Confusion', 'Rows: the true digit. Columns: the answer.', confusion(data.results))}</div>",
        _section(*_digits(data)),
        _zoom_section(data),
        _statistics(data),
        _section("Events", "", _events(data.events)),
        _section("Provenance", "", _provenance(data, name)),
    ]
    return Template(text["html"]).substitute(
        title=escape(f"{config.physical} on {config.bench.name}: test digits {config.digits}"),
        question=escape(_question(data)),
        tiles="".join(
            f'<div class="tile"><b>{escape(big)}</b><span>{escape(small)}</span></div>' for big, small in _tiles(data)
        ),
        body="\n".join(section for section in sections if section),
        footer=escape(f"hil report of {name}"),
        data=_trace_data(data.zoom),
        css=text["css"],
        js=text["js"],
    )


def _question(data: ReportData) -> str:
    slots = sum(part.slots for part in parse_physical(data.config.physical))
    noise = ", ".join(f"{level} %" for level in data.config.noise)
    if not slots:
        return f"How well does the network recognise digits in software alone, with {noise} of the pixels set to zero?"
    kind = "simulated" if data.config.bench.kind == "mock" else "physical"
    return (
        f"Can one {kind} memristive neuron, standing in for {slots:,} neurons one after another, recognise handwritten "
        f"digits, with {noise} of the pixels set to zero?"
    )


def _tiles(data: ReportData) -> list[tuple[str, str]]:
    results, totals = data.results, data.totals
    wanted = len(data.config.images) * len(data.config.noise)
    right = sum(r.correct for r in results)
    made = [(f"{len(results):,} of {wanted:,}", "digits done")]
    if results:
        low, high = wilson_interval(right, len(results))
        made.insert(0, (f"{right / len(results):.1%}", f"right; 95 % interval {low:.1%} to {high:.1%}"))
    return [
        *made,
        (f"{totals['pulses']:,}", "dendrite pulses"),
        (f"{totals['spikes']:,}", "axon spikes"),
        (f"{totals['bench_s']:,.1f} s", "on the bench"),
        (f"{data.retaken:,}", "slots taken again"),
    ]


def _section(title: str, text: str, body: str) -> str:
    note = f"<p>{text}</p>" if text else ""
    return f"<section><h2>{escape(title)}</h2>{note}{body}</section>"


def _facts(rows: list[tuple[str, str]]) -> str:
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'<table class="facts">{lines}</table>'


def _setup(data: ReportData) -> str:
    config, slot = data.config, data.config.timing
    pace = (
        f"adaptive, {slot.dendrite_clock_hz:g} Hz"
        if slot.mode == "adaptive"
        else f"fixed, pulses spread over {slot.window_s:g} s"
    )
    scales = ", ".join(
        f"{part.layer.name} {config.full_scale_pulses[part.layer.name]:,}" for part in parse_physical(config.physical)
    )
    return _facts(
        [
            ("bench", f"{config.bench.name} ({config.bench.kind})"),
            ("device", f"{config.device.id} {config.device.description}"),
            ("on the neuron", config.physical if config.play == "all" else f"{config.physical}, {config.play}"),
            ("threshold", f"{config.vth_v:g} V"),
            ("slots", pace),
            ("pulse width", f"{slot.pulse_width_s * 1e6:g} µs"),
            ("full scale", f"{scales} pulses" if scales else "none"),
            ("zeroed pixels", ", ".join(f"{level} %" for level in config.noise)),
            ("calibration", config.calibration_id or "transfer curve measured as the run began"),
            ("seed", f"{config.seed}"),
        ]
    )


def _digits(data: ReportData) -> tuple[str, str, str]:
    wrong = sum(not r.correct for r in data.results)
    if not data.results:
        return "Digits", "None is finished yet.", ""
    if wrong:
        many = f"{wrong:,} answers are wrong" if wrong > 1 else "One answer is wrong"
        here = f"; here are {len(data.shown)} of them" if wrong > len(data.shown) else ""
        text = f"{many}{here}. With the maps after ReLU and max-pool."
    else:
        text = "No answer is wrong; these are the least certain ones, with their maps after ReLU and max-pool."
    return "Digits it got wrong" if wrong else "Least certain digits", text, "".join(map(_digit, data.shown))


def _digit(shown: Shown) -> str:
    result = shown.result
    verdict = "right" if result.correct else "wrong"
    sheets = "".join(
        f"<figure>{picture(tiles(shown.maps[name], columns), 'magma', f'{name} maps')}"
        f"<figcaption>{name}, {len(shown.maps[name])} maps</figcaption></figure>"
        for name, columns in _LAYER_SHEETS
    )
    return (
        f'<div class="digit"><div>{picture(255.0 - shown.image, "gray", f"digit {result.index}")}'
        f'<p class="answer">test digit {result.index}, a <b>{result.label}</b><br>'
        f'answer <b class="{verdict}">{result.answer}</b> ({result.confidence:.1%})<br>'
        f"software alone: {shown.software}</p></div>{sheets}</div>"
    )


def picture(values: NDArray[Any], colours: str, text: str) -> str:
    """An array (rows, columns) as an inline PNG; NaN is transparent."""
    from matplotlib import image

    buffer = io.BytesIO()
    image.imsave(buffer, np.ma.masked_invalid(values), cmap=colours, format="png")
    code = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{code}">'


def _zoom_section(data: ReportData) -> str:
    zoom = data.zoom
    if zoom is None:
        return ""
    side = zoom.part.layer.side
    name = zoom.part.layer.name
    where = f"row {zoom.position // side}, column {zoom.position % side}" if side > 1 else "its only slot"
    title = f"One kernel, one slot: digit {zoom.image}, {name} kernel {zoom.channel}, {where}"
    sheets = ""
    if side > 1:
        sheets = (
            '<div class="maps">'
            + "".join(
                f"<figure>{picture(counts.reshape(side, side).astype(float), 'magma', what)}"
                f"<figcaption>{what}, at most {counts.max()} in a slot</figcaption></figure>"
                for what, counts in (("dendrite pulses", zoom.pulses), ("axon spikes", zoom.spikes))
            )
            + "</div>"
        )
    if zoom.raster is None:
        return _section(title, "This run has no oscilloscope traces; what each slot got and gave:", sheets)
    hint = '<p class="hint">The wheel zooms, dragging moves, a double click shows everything.</p>'
    scope = f'<svg id="scope" role="img" aria-label="oscilloscope traces"></svg>{hint}' if zoom.traces else ""
    chosen = f"{zoom.pulses[zoom.position]} pulses in, {zoom.spikes[zoom.position]} spikes out in the chosen slot."
    return _section(title, chosen, f"{sheets}{raster_chart(data, zoom)}{hint}{scope}")


def _trace_data(zoom: Zoom | None) -> str:
    if zoom is None or not zoom.traces or zoom.slot_s is None:
        return ""
    traces = [
        {
            "name": trace.name,
            "codes": base64.b64encode(trace.codes.tobytes()).decode(),
            "volts": trace.y_increment_v,
            "zero": trace.y_origin + trace.y_reference,
            "step_s": trace.x_increment_s,
            "start_s": trace.x_origin_s,
            "low": float(trace.volts.min()),
            "high": max(float(trace.volts.max()), float(trace.volts.min()) + 0.1),
        }
        for trace in zoom.traces
    ]
    text = json.dumps({"traces": traces, "slot": zoom.slot_s}).replace("</", "<\\/")
    return f'<script type="application/json" id="traces">{text}</script>'


def _statistics(data: ReportData) -> str:
    if not data.timing.slots:
        return ""
    fire_text, fire = firing_chart(data)
    time_text, time = timing_chart(data)
    return (
        f'<div class="two">{_section("Firing against the calibration", escape(fire_text), fire)}'
        f"{_section('Slot timing, measured against planned', escape(time_text), time)}</div>"
    )


def _events(events: list[tuple[str, str, str]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(at[:19].replace('T', ' '))}</td><td>{escape(kind)}</td><td>{escape(text)}</td></tr>"
        for at, kind, text in events
    )
    return f"<table><tr><th>UTC</th><th>event</th><th></th></tr>{rows}</table>"


def _provenance(data: ReportData, name: str) -> str:
    facts = data.facts
    rows = [
        (
            "run file",
            f"{name}, {data.totals['bytes'] / 1e6:,.1f} MB, {data.totals['shots']:,} shots, all checksums good",
        ),
        ("begun", str(facts["begun"])),
        *((f"software: {key}", str(value)) for key, value in facts["software"].items() if value),
        *((f"bench: {key}", str(value)) for key, value in facts["identity"].items()),
        ("weights", data.config.weights_digest),
    ]
    settings = json.dumps(json.loads(data.config.model_dump_json(exclude={"curve"})), indent=1)
    return f"{_facts(rows)}<details><summary>Configuration</summary><pre>{escape(settings)}</pre></details>"
