// Charts with two linear axes; looking closer stretches the horizontal one, and its numbers stay readable.

import { el, svg } from "./dom.js";
import { ticks } from "./numbers.js";
import { zoomable, zoomButtons } from "./zoom.js";

const MARGIN = { left: 68, right: 12, top: 12, bottom: 42 };

// `marks(x, y, low, high)` returns SVG elements for the range shown; `yRange` may run backwards.
export function plot({ xRange, yRange, xLabel, yLabel, name, height = 300, marks, zooms = true }) {
  const view = { first: xRange[0], last: xRange[1], low: xRange[0], high: xRange[1], least: (xRange[1] - xRange[0]) / 400, changed: () => draw() };
  let width = 560;
  const x = (value) => MARGIN.left + (value - view.low) / (view.high - view.low) * (width - MARGIN.left - MARGIN.right);
  const y = (value) => height - MARGIN.bottom - (value - yRange[0]) / (yRange[1] - yRange[0]) * (height - MARGIN.top - MARGIN.bottom);
  const id = `clip-${plot.made = (plot.made ?? 0) + 1}`;
  const clip = svg("rect", { x: MARGIN.left, y: MARGIN.top, height: height - MARGIN.top - MARGIN.bottom, width: 10 });
  const axes = svg("g"), inside = svg("g", { "clip-path": `url(#${id})` });
  const picture = svg("svg", { class: "chart", tabindex: zooms ? 0 : null, role: "img", "aria-label": name },
    svg("defs", {}, svg("clipPath", { id }, clip)), axes, inside);

  function draw() {
    const parts = [], floor = height - MARGIN.bottom;
    for (const tick of ticks(view.low, view.high, Math.max(3, width / 90))) {
      parts.push(svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: floor, y2: MARGIN.top }));
      parts.push(svg("text", { class: "tick", x: x(tick), y: floor + 16, "text-anchor": "middle" }, String(tick)));
    }
    for (const tick of ticks(yRange[0], yRange[1], 5)) {
      parts.push(svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }));
      parts.push(svg("text", { class: "tick", x: MARGIN.left - 6, y: y(tick) + 4, "text-anchor": "end" }, tick.toLocaleString("en-GB")));
    }
    const middle = (MARGIN.top + floor) / 2;
    parts.push(svg("text", { class: "label", x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 6, "text-anchor": "middle" }, xLabel));
    parts.push(svg("text", { class: "label", transform: `translate(13 ${middle}) rotate(-90)`, "text-anchor": "middle" }, yLabel));
    axes.replaceChildren(...parts);
    inside.replaceChildren(...marks(x, y, view.low, view.high));
  }

  function fit() {
    width = Math.max(Math.round(picture.getBoundingClientRect().width) || width, 240);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.setAttribute("height", height);
    clip.setAttribute("width", width - MARGIN.left - MARGIN.right);
    draw();
  }
  new ResizeObserver(fit).observe(picture);
  fit();
  if (!zooms) return picture;
  zoomable(picture, view, (clientX) => {
    const box = picture.getBoundingClientRect();
    return ((clientX - box.left) / box.width * width - MARGIN.left) / (width - MARGIN.left - MARGIN.right);
  });
  return el("div", { class: "plotbox" }, picture, zoomButtons(el, view));
}

const path = (points) => `M${points.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L")}`;

export const line = (x, y, xs, ys, kind) => svg("path", { class: kind, d: path(xs.map((value, i) => [x(value), y(ys[i])])) });

export function band(x, y, xs, lows, highs, kind) {
  const upper = xs.map((value, i) => [x(value), y(highs[i])]), lower = xs.map((value, i) => [x(value), y(lows[i])]).reverse();
  return svg("path", { class: kind, d: `${path([...upper, ...lower])}Z` });
}
