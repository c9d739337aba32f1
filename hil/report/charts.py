"""The charts of a report: confusion, firing statistics, timing and the spike raster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration.estimate import Z_95
from calibration.transfer import TransferCurve
from hil.report.svg import LEFT, RIGHT, Chart

if TYPE_CHECKING:
    from hil.report.data import ReportData, Zoom
    from hil.run.execute import DigitResult

_LEAST_SLOTS = 30  # of a pulse count, to be compared
_MOST_BINS = 41


def confusion(results: list[DigitResult]) -> str:
    """A table of true digits against answers, shaded by the share of a row."""
    counts = np.zeros((10, 10), dtype=int)
    for result in results:
        counts[result.label, result.answer] += 1
    rows = ["<tr><th></th>" + "".join(f"<th>{d}</th>" for d in range(10)) + "</tr>"]
    for label in range(10):
        total = max(int(counts[label].sum()), 1)
        cells = []
        for answer in range(10):
            n = int(counts[label, answer])
            colour = "43,138,90" if answer == label else "178,24,43"
            shade = 0.15 + 0.75 * n / total if n else 0.0
            ink = "#fff" if shade > 0.55 else "inherit"
            background = f"rgba({colour},{shade:.2f})" if n else "var(--wash)"
            cells.append(f'<td style="background:{background};color:{ink}">{n or ""}</td>')
        rows.append(f"<tr><th>{label}</th>{''.join(cells)}</tr>")
    return f'<table class="confusion">{"".join(rows)}</table>'


def firing_chart(data: ReportData) -> tuple[str, str]:
    """Mean spikes by pulses against the transfer curve, with 95 % intervals; the finding in words, and the chart."""
    firing = data.firing
    seen = np.flatnonzero(firing.slots >= _LEAST_SLOTS)
    seen = seen[seen > 0]
    if not len(seen) or data.config.curve is None:
        return "Too few slots to compare.", ""
    curve = TransferCurve.from_dict(data.config.curve)
    slots, mean = firing.slots[seen], firing.total[seen] / firing.slots[seen]
    variance = np.maximum(firing.squares[seen] / slots - mean**2, 0) * slots / (slots - 1)
    expected = np.interp(seen, curve.pulses, curve.mean_spikes)
    # The curve was measured too: its own error belongs to the comparison.
    curve_variance = np.interp(seen, curve.pulses, curve.sd_spikes**2 / np.maximum(curve.slots, 1))
    error = np.sqrt(variance / slots + curve_variance)
    z = (mean - expected) / np.maximum(error, 1e-12)
    share = float((np.abs(z) <= Z_95).mean())
    most = float(seen.max())
    top = float(max((mean + Z_95 * error).max(), np.interp(most, curve.pulses, curve.mean_spikes + curve.sd_spikes)))
    chart = Chart(
        (0, most * 1.03), (0, top * 1.05), "dendrite pulses in a slot", "axon spikes", "firing statistics", 520
    )
    x = curve.pulses[curve.pulses <= most * 1.03]
    m, sd = curve.mean_spikes[: len(x)], curve.sd_spikes[: len(x)]
    chart.band(x.tolist(), np.maximum(m - sd, 0).tolist(), (m + sd).tolist(), "band")
    chart.line(x.tolist(), m.tolist(), "curve")
    chart.spans(zip(seen, mean - Z_95 * error, mean + Z_95 * error, strict=True), "span")
    chart.dots(
        (
            (float(p), float(y), f"{p} pulses: {y:.2f} spikes in {n:,} slots")
            for p, y, n in zip(seen, mean, slots, strict=True)
        ),
        "dot",
    )
    text = (
        f"Mean spikes of {int(firing.slots.sum()):,} slots by their pulses (orange, 95 % intervals) on the measured "
        f"transfer curve (blue, with one standard deviation): {share:.0%} of {len(seen)} counts agree; 95 % would."
    )
    return text, chart.render()


def timing_chart(data: ReportData) -> tuple[str, str]:
    """How far measured slot lengths are from the plan; the finding in words, and the histogram."""
    timing = data.timing
    sample_us = np.concatenate(timing.sample_s) * 1e6
    tolerance = data.config.bench.spikes.slot_tolerance
    how = "by the bench itself"
    if data.zoom is not None and data.zoom.traces:
        how = f"on the sync line, sampled every {data.zoom.traces[0].x_increment_s * 1e6:.3g} µs"
    text = (
        f"{timing.slots:,} slots measured {how}: "
        f"{timing.lowest_s * 1e6:+.3f} to {timing.highest_s * 1e6:+.3f} µs off the plan, at worst "
        f"{timing.worst_share:.3%} of the slot (allowed {tolerance:.0%}); {data.retaken:,} slots were taken again."
    )
    reach = max(float(np.abs(sample_us).max()) * 1.1, 0.05)
    heights, edges = np.histogram(sample_us, bins=_MOST_BINS, range=(-reach, reach))
    chart = Chart(
        (-reach, reach), (0, float(heights.max()) * 1.08), "measured less planned, µs", "slots", "slot timing", 520
    )
    chart.bars(edges.tolist(), heights.tolist(), "bar")
    return text, chart.render()


def raster_chart(data: ReportData, zoom: Zoom) -> str:
    """Every spike of the kernel's played slots: time within the slot across, slots in order down.

    A grey line shows how long a slot's pulses last.
    """
    if zoom.raster is None:
        return ""
    timing = data.config.timing
    adaptive = timing.mode == "adaptive"
    played = np.flatnonzero(zoom.pulses) if adaptive else np.arange(len(zoom.pulses))
    if not len(played):
        return ""
    pulsed_s = zoom.pulses[played] / timing.dendrite_clock_hz if adaptive else np.full(len(played), timing.window_s)
    longest_us = max(float(zoom.raster[:, 1].max(initial=0.0)), float(pulsed_s.max())) * 1e6 * 1.03
    rows = float(len(played))
    chart = Chart(
        (0, longest_us), (rows, 0.0), "time within the slot, µs", "played slots, in order", "raster", 1060, 460
    )
    tall = max((chart.y(1) - chart.y(0)) * 0.8, 2.0)
    lasts = (f"M{chart.x(0):.1f} {chart.y(i + 0.5):.1f}H{chart.x(s * 1e6):.1f}" for i, s in enumerate(pulsed_s))
    chart.path("".join(lasts), "extent")
    if zoom.position in played:
        top = chart.y(float(np.searchsorted(played, zoom.position)))
        size = f'x="{LEFT}" width="{chart.width - LEFT - RIGHT}" y="{top - 1:.1f}" height="{tall + 3:.1f}"'
        chart.marks.append(f'<rect class="chosen" {size}/>')
    row = np.searchsorted(played, zoom.raster[:, 0])
    spikes = (
        f"M{chart.x(s * 1e6):.1f} {chart.y(i + 0.1):.1f}v{tall:.1f}"
        for i, s in zip(row.tolist(), zoom.raster[:, 1].tolist(), strict=True)
    )
    chart.path("".join(spikes), "spikes")
    return chart.render(zoomable=True)
