"""Charts as inline SVG: a few marks on two axes, for the report's page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 44


@dataclass
class Chart:
    """A chart with linear axes over (low, high) ranges; marks are drawn in data coordinates."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_label: str
    y_label: str
    name: str
    width: int = WIDTH
    height: int = HEIGHT
    marks: list[str] = field(default_factory=list)

    def x(self, value: float) -> float:
        """Pixels from the left."""
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        low, high = self.y_range
        return self.height - BOTTOM - (value - low) / (high - low) * (self.height - TOP - BOTTOM)

    def line(self, xs: Iterable[float], ys: Iterable[float], style: str) -> None:
        """A line through points."""
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        self.marks.append(f'<polyline class="{style}" points="{points}"/>')

    def band(self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], style: str) -> None:
        """The area between two lines."""
        edge = [*zip(xs, high, strict=True), *reversed(list(zip(xs, low, strict=True)))]
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in edge)
        self.marks.append(f'<polygon class="{style}" points="{points}"/>')

    def dots(self, points: Iterable[tuple[float, float, str]], style: str, radius: float = 3) -> None:
        """Dots (x, y, what the pointer shows)."""
        for x, y, text in points:
            self.marks.append(
                f'<circle class="{style}" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="{radius:g}">'
                f"<title>{escape(text)}</title></circle>"
            )

    def spans(self, spans: Iterable[tuple[float, float, float]], style: str) -> None:
        """Vertical bars (x, low, high), such as intervals."""
        for x, low, high in spans:
            self.marks.append(
                f'<line class="{style}" x1="{self.x(x):.1f}" x2="{self.x(x):.1f}" '
                f'y1="{self.y(low):.1f}" y2="{self.y(high):.1f}"/>'
            )

    def bars(self, edges: Sequence[float], heights: Sequence[float], style: str) -> None:
        """A histogram: edges (n + 1,), heights (n,)."""
        floor = self.y(self.y_range[0])
        for a, b, height in zip(edges, edges[1:], heights, strict=False):
            top = self.y(height)
            self.marks.append(
                f'<rect class="{style}" x="{self.x(a):.1f}" width="{max(self.x(b) - self.x(a) - 1, 0.5):.1f}" '
                f'y="{top:.1f}" height="{max(floor - top, 0):.1f}"><title>{a:.4g}…{b:.4g}: {height:,.0f}</title></rect>'
            )

    def path(self, commands: str, style: str) -> None:
        """An SVG path in pixels, for very many marks at once."""
        self.marks.append(f'<path class="{style}" d="{commands}"/>')

    def render(self, *, zoomable: bool = False) -> str:
        """The SVG element."""
        x0, x1, y0, y1 = LEFT, self.width - RIGHT, self.height - BOTTOM, TOP
        axes = []
        for tick in ticks(*self.x_range):
            x = self.x(tick)
            axes.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{y0}" y2="{y1}"/>')
            axes.append(f'<text class="tick" x="{x:.1f}" y="{y0 + 16}" text-anchor="middle">{tick:.6g}</text>')
        for tick in ticks(*self.y_range):
            y = self.y(tick)
            axes.append(f'<line class="grid" x1="{x0}" x2="{x1}" y1="{y:.1f}" y2="{y:.1f}"/>')
            axes.append(f'<text class="tick" x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:.6g}</text>')
        middle = (y0 + y1) / 2
        return (
            f'<svg class="chart{" zoomable" if zoomable else ""}" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(self.name)}">{"".join(axes)}{"".join(self.marks)}'
            f'<text class="label" x="{(x0 + x1) / 2:.0f}" y="{self.height - 8}" text-anchor="middle">'
            f"{escape(self.x_label)}</text>"
            f'<text class="label" transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y_label)}</text></svg>"
        )


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Round numbers within a range, which may run backwards, about as many as wanted."""
    low, high = min(low, high), max(low, high)
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]
