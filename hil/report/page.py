"""A run as one HTML file that can be explored without a network: the live application's page with all it shows inside.

Counts of every slot of every digit are in it. Traces are some megabytes a digit, so those of a few digits are, up to a
budget; the file says where the others are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from drivers.errors import InputError
from hil.report.bundle import bundle, component, source_hash
from hil.report.pieces import piece, raster, row_of, seen
from hil.report.progress import Progress
from hil.report.sums import Statistics
from hil.report.views import digit_view, maps_view, overview, packed_json, recorded_shots
from hil.run.session import config_of, curve_at, recalibrations_of, results_of
from hil.store.locking import in_use

if TYPE_CHECKING:
    from hil.network.physical import Physical
    from hil.network.weights import Weights
    from hil.run.config import RunConfig
    from hil.run.digits import DigitResult
    from hil.store.runfile import RunFile

MOST_MAPS = 12  # digits with the maps of every layer
Watch = Callable[[int, int], None]
Digit = tuple[int, int]  # noise, index


SlotChoice = tuple[int | None, int | None, int | None]  # image, channel, position; None: where it is worth a look


def gather(
    run: RunFile,
    weights: Weights,
    name: str,
    *,
    slot: SlotChoice = (None, None, None),
    trace_bytes: int = 16_000_000,
    progress: Watch | None = None,
) -> dict[str, Any]:
    """Everything in the file, opened at a `slot`. Raises InputError when that is not there."""
    config, results = config_of(run), results_of(run)
    opened = _opened(run, config, results, slot)
    statistics, sample_s = _statistics(run, progress)
    state = Progress(config)
    state.look(run)
    chosen = _chosen(results, opened)
    digits = [(result.noise, result.index) for result in results]
    begun = state.under_way()
    if begun is not None:
        digits.append((begun["noise"], begun["index"]))
    pieces, rasters = _traces(run, config, chosen, trace_bytes)
    now = state.state(running=in_use(run.path), size=run.bytes_on_disk)
    return {
        "overview": {
            **overview(run, config, name),
            **now,
            "opened": opened,
            "digits": sorted(state.digits.values(), key=lambda digit: (digit["noise"], digit["index"])),
        },
        "digits": {_key(*digit): digit_view(run, config, *digit) for digit in digits},
        "maps": {_key(*digit): view for digit, view in _maps(run, config, weights, chosen[:MOST_MAPS])},
        "pieces": pieces,
        "rasters": rasters,
        "traced": sample_s is not None,
        "statistics": statistics.view(config, sample_s, recalibrations_of(run, config).curves),
    }


def render(data: dict[str, Any]) -> str:
    """The file's text."""
    script, style = bundle("report.js"), component("app.css")
    policy = (
        f"default-src 'none'; script-src {source_hash(script)}; style-src {source_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    # Inside a script element only "<" can end it or open a comment; JSON may write it as an escape.
    content = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    title = escape(data["overview"]["title"])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n"
        f"<body><h1>{title}</h1><noscript>This page draws a run with JavaScript, which is switched off.</noscript>"
        f'\n<script type="application/json" id="run">{content}</script>\n'
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    )


def _key(*names: object) -> str:
    return "/".join(map(str, names))


def _opened(
    run: RunFile,
    config: RunConfig,
    results: list[DigitResult],
    slot: SlotChoice,
) -> dict[str, Any] | None:
    """Where the page opens: the first wrong digit, or else the one it was least sure of, unless chosen."""
    image, channel, position = slot
    parts = config.parts
    if not results or (not parts and (channel is not None or position is not None)):
        if any(choice is not None for choice in (image, channel, position)):
            raise InputError(f"run {run.path} has no recorded slot to show")
        return None
    result = _first(results) if image is None else next((r for r in results if r.index == image), None)
    if result is None:
        raise InputError(f"--image {image}: not among the finished digits of {run.path}")
    if not parts:
        return {"noise": result.noise, "index": result.index}
    part = parts[0]
    if channel is not None and channel not in part.channels:
        first, last = part.channels[0], part.channels[-1]
        raise InputError(f"--channel {channel}: recorded are {first}…{last} of {part.layer.name}")
    if position is not None and not 0 <= position < part.layer.positions:
        raise InputError(f"--position {position}: allowed 0…{part.layer.positions - 1}")
    place = {"layer": part.layer.name, "channel": channel, "position": position}
    return {"noise": result.noise, "index": result.index, **place}


def _first(results: list[DigitResult]) -> DigitResult:
    return next((r for r in results if not r.correct), None) or min(results, key=lambda r: r.confidence)


def _chosen(results: list[DigitResult], opened: dict[str, Any] | None) -> list[Digit]:
    """Digits worth a closer look, the opened one first, then wrong ones, then those it was least sure of."""
    order = sorted(results, key=lambda r: (r.correct, r.confidence))
    digits = [(r.noise, r.index) for r in order]
    if opened is not None:
        first = (opened["noise"], opened["index"])
        digits = [first, *(digit for digit in digits if digit != first)]
    return digits


def _statistics(run: RunFile, progress: Watch | None) -> tuple[Statistics, float | None]:
    """Over all shots; and the oscilloscope's step, s, None where there are no traces. Every checksum is tried."""
    statistics, sample_s = Statistics(), None
    tick_s, number = run.fact("tick_s"), curve_at(run)
    ids = run.shot_ids()
    for done, shot in enumerate(ids, start=1):
        capture = run.load(shot, ("axon",) if sample_s is None else ())
        statistics.add(capture, tick_s, number(shot, capture.frame.key.purpose))
        if capture.traces:
            sample_s = capture.traces[0].x_increment_s
        if progress is not None:
            progress(done, len(ids))
    return statistics, sample_s


def _maps(
    run: RunFile, config: RunConfig, weights: Weights, chosen: list[Digit]
) -> Iterable[tuple[Digit, dict[str, Any]]]:
    return maps_view(run, config, weights, set(chosen)) if chosen else ()


def _traces(
    run: RunFile, config: RunConfig, chosen: list[Digit], most: int
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Shots with traces, and rasters of their kernels, of as many chosen digits as fit; the first always does."""
    pieces: dict[str, list[str]] = {}
    rasters: dict[str, str] = {}
    size = 0
    for digit in chosen:
        made = [_traced(run, config, digit, part) for part in config.parts]
        more = sum(len(text) for _, texts, _ in made for text in texts)
        if not more or (pieces and size + more > most):
            break
        size += more
        for name, texts, kernels in made:
            pieces[name], rasters[name] = texts, kernels
    return pieces, rasters


def _traced(run: RunFile, config: RunConfig, digit: Digit, part: Physical) -> tuple[str, list[str], str]:
    """The name of a digit's frame, its shots with traces, packed, and the rasters of its kernels, packed."""
    shots = []
    for shot in recorded_shots(run, config, *digit, part):
        for capture in shot.captures:
            whole = run.load(row_of(run, capture, part), None)
            if whole.traces:
                shots.append(seen(whole, config))
    texts = [packed_json(piece(shot, config, run.fact("tick_s"))) for shot in shots]
    found = {channel: raster(shots, config, channel) for channel in part.channels} if shots else {}
    return _key(*digit, part.layer.name), texts, packed_json(found)
