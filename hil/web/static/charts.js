// The charts of a run: confusion, firing against the calibration, slot timing, the raster of a kernel.

import { el, section, svg } from "./dom.js";
import { count } from "./numbers.js";
import { band, line, plot } from "./plot.js";

// True digits down, answers across; a share of its row decides how strong a cell is, its place whether it is right.
export function confusion(digits, pick) {
  const counts = Array.from({ length: 10 }, () => new Array(10).fill(0));
  for (const digit of digits) if (digit.label >= 0) counts[digit.label][digit.answer] += 1; // -1: nobody has labelled it
  const cell = (n, label, answer, total) => {
    const attributes = { class: n ? (label === answer ? "hit" : "miss") : "none", style: { "--share": n ? 0.15 + 0.75 * n / total : 0 } };
    if (!n) return el("td", attributes);
    return el("td", attributes, el("button", {
      type: "button", "aria-label": `${n} of digit ${label} answered ${answer}`, click: () => pick(label, answer),
    }, String(n)));
  };
  return el("table", { class: "confusion" },
    el("thead", {}, el("tr", {}, el("th", {}), ...counts.map((_, d) => el("th", { scope: "col" }, String(d))))),
    el("tbody", {}, ...counts.map((row, label) => {
      const total = Math.max(row.reduce((a, b) => a + b, 0), 1);
      return el("tr", {}, el("th", { scope: "row" }, String(label)), ...row.map((n, answer) => cell(n, label, answer, total)));
    })));
}

export function firingChart(firing) {
  const { points } = firing;
  if (!points.length) return null;
  const most = Math.max(...points.map((p) => p.pulses)) * 1.03;
  const curves = firing.curves.map((curve) => {
    const kept = curve.pulses.filter((p) => p <= most).length, mean = curve.mean.slice(0, kept), sd = curve.sd.slice(0, kept);
    return { xs: curve.pulses.slice(0, kept), mean, low: mean.map((m, i) => Math.max(m - sd[i], 0)), high: mean.map((m, i) => m + sd[i]) };
  });
  const top = Math.max(...points.map((p) => p.high), ...curves.flatMap((curve) => curve.high)) * 1.05;
  return plot({
    xRange: [0, most], yRange: [0, top], xLabel: "dendrite pulses in a slot", yLabel: "axon spikes", name: "firing statistics",
    marks: (x, y) => [
      ...curves.map((curve) => band(x, y, curve.xs, curve.low, curve.high, "band")),
      ...curves.map((curve) => line(x, y, curve.xs, curve.mean, "curve")),
      ...points.map((p) => svg("line", { class: "span", x1: x(p.pulses), x2: x(p.pulses), y1: y(p.low), y2: y(p.high) })),
      ...points.map((p) => svg("circle", { class: "dot", cx: x(p.pulses), cy: y(p.mean), r: 3 },
        svg("title", {}, `${p.pulses} pulses: ${p.mean.toFixed(2)} spikes in ${count(p.slots)} slots`))),
    ],
  });
}

export function timingChart({ edges, heights }) {
  if (!heights.length) return null;
  return plot({
    xRange: [edges[0], edges[edges.length - 1]], yRange: [0, Math.max(...heights, 1) * 1.08],
    xLabel: "measured less planned, µs", yLabel: "slots", name: "slot timing",
    marks: (x, y) => heights.map((n, i) => svg("rect", {
      class: "column", x: x(edges[i]), width: Math.max(x(edges[i + 1]) - x(edges[i]) - 1, 0.5), y: y(n), height: Math.max(y(0) - y(n), 0),
    }, svg("title", {}, `${edges[i].toPrecision(3)}…${edges[i + 1].toPrecision(3)} µs: ${count(n)}`))),
  });
}

// Every spike of a kernel's played slots: time within the slot across, slots in order down; a bar is how long pulses last.
export function raster({ played, pulsed_s: pulsed, row, after_s: after }, chosen) {
  if (!played.length) return null;
  const longest = Math.max(...pulsed, ...after, 1e-6) * 1.03e6;
  return plot({
    xRange: [0, longest], yRange: [played.length, 0], xLabel: "time within the slot, µs", yLabel: "played slots, in order",
    name: "raster of the kernel's spikes", height: 380,
    marks: (x, y) => {
      const tall = Math.max((y(1) - y(0)) * 0.8, 2);
      const extent = pulsed.map((s, i) => `M${x(0).toFixed(1)} ${y(i + 0.5).toFixed(1)}H${x(s * 1e6).toFixed(1)}`).join("");
      const spikes = row.map((at, i) => `M${x(after[i] * 1e6).toFixed(1)} ${y(at + 0.1).toFixed(1)}v${tall.toFixed(1)}`).join("");
      const mark = played.flatMap((position, i) => (position === chosen
        ? [svg("rect", { class: "chosen", x: x(0), width: Math.max(x(longest) - x(0), 0), y: y(i) - 1, height: tall + 3 })] : []));
      return [svg("path", { class: "extent", d: extent }), ...mark, svg("path", { class: "spikes", d: spikes })];
    },
  });
}

export function statistics({ firing, timing }) {
  if (!timing || !timing.heights.length) return null;
  return el("div", { class: "two" },
    section("Firing against the calibration", firing.text, firingChart(firing)),
    section("Slot timing, measured against planned", timing.text, timingChart(timing)));
}
