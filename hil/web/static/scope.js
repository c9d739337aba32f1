// One slot as the oscilloscope saw it: traces, the threshold, sync and select, spikes, and two cursors to measure with.

import { el, svg, table } from "./dom.js";
import { si, ticks } from "./numbers.js";
import { show, zoomable, zoomButtons } from "./zoom.js";

const LEFT = 62, RIGHT = 10, PANE = 96, LANE = 24, FOOT = 26, PAD = 14;
const ORDER = ["sync", "dendrite", "membrane", "axon"];

function prepared(slot) {
  const traces = [...slot.traces].sort((a, b) => ORDER.indexOf(a.name) - ORDER.indexOf(b.name));
  return traces.map((trace) => {
    let low = 255, high = 0;
    for (const code of trace.codes) { if (code < low) low = code; if (code > high) high = code; }
    const volts = (code) => (code - trace.zero) * trace.volts;
    const shown = trace.name === "membrane" ? [Math.min(volts(low), slot.vth_v), Math.max(volts(high), slot.vth_v * 1.05)] : [volts(low), volts(high)];
    const room = Math.max((shown[1] - shown[0]) * 0.06, 0.05);
    return { ...trace, toVolts: volts, low: shown[0] - room, high: shown[1] + room };
  });
}

// The path of a trace within the range: lowest and highest of every pixel column where samples are denser than pixels.
function wave(trace, view, x, y, columns) {
  const a = Math.max(0, Math.floor((view.low - trace.start_s) / trace.step_s));
  const b = Math.min(trace.codes.length, Math.ceil((view.high - trace.start_s) / trace.step_s) + 1);
  const every = Math.max(1, Math.floor((b - a) / columns));
  const parts = [];
  for (let i = a; i < b; i += every) {
    let low = 255, high = 0;
    for (let j = i; j < Math.min(i + every, b); j++) {
      const code = trace.codes[j];
      if (code < low) low = code;
      if (code > high) high = code;
    }
    const px = x(trace.start_s + i * trace.step_s).toFixed(1);
    parts.push(`${px} ${y(trace.toVolts(low)).toFixed(1)}`);
    if (every > 1) parts.push(`${px} ${y(trace.toVolts(high)).toFixed(1)}`);
  }
  return parts.length ? `M${parts.join("L")}` : "";
}

function valueAt(trace, time) {
  const at = Math.round((time - trace.start_s) / trace.step_s);
  return at >= 0 && at < trace.codes.length ? trace.toVolts(trace.codes[at]) : null;
}

export function scopeView(slot) {
  const traces = prepared(slot), chosen = slot.slots[slot.chosen];
  const first = traces[0].start_s, last = first + traces[0].step_s * traces[0].codes.length;
  const view = { first, last, low: first, high: last, least: 20 * traces[0].step_s, changed: () => draw() };
  const top = 2 * LANE, height = top + PANE * traces.length + FOOT;
  let width = 900;
  const x = (t) => LEFT + (t - view.low) / (view.high - view.low) * (width - LEFT - RIGHT);
  const time = (clientX) => {
    const box = picture.getBoundingClientRect();
    return view.low + ((clientX - box.left) / box.width * width - LEFT) / (width - LEFT - RIGHT) * (view.high - view.low);
  };
  const drawn = svg("g"), cursorLayer = svg("g");
  const picture = svg("svg", {
    class: "scope", tabindex: 0, role: "group",
    "aria-label": "oscilloscope traces; plus and minus zoom, arrow keys move, 0 shows everything, tab reaches the cursors",
  }, drawn, cursorLayer);
  zoomable(picture, view, (clientX) => (time(clientX) - view.low) / (view.high - view.low));

  const readout = el("div", { class: "readout", "aria-live": "polite" });
  const length = chosen.end_s - chosen.begin_s;
  const cursors = [["A", chosen.begin_s + 0.25 * length], ["B", chosen.begin_s + 0.75 * length]].map(([name, at]) => cursor(name, at));

  function cursor(name, at) {
    const line = svg("line", { class: "cursor", y1: 0, y2: height - FOOT });
    const grip = svg("g", { tabindex: 0, role: "slider", class: "grip", "data-handle": name, "aria-label": `cursor ${name}` },
      svg("rect", { class: "reach", x: -18, y: 0, width: 36, height: 2 * LANE }),
      svg("rect", { class: "reach along", x: -7, y: 0, width: 14, height: height - FOOT }),
      line, svg("path", { d: "M-9 0H9V11L0 19L-9 11Z" }), svg("text", { y: 11, "text-anchor": "middle" }, name));
    const self = { name, at, grip };
    const go = (t) => { self.at = Math.min(Math.max(t, view.first), view.last); place(); };
    grip.addEventListener("pointerdown", (event) => { grip.setPointerCapture(event.pointerId); grip.focus(); });
    grip.addEventListener("pointermove", (event) => { if (grip.hasPointerCapture(event.pointerId)) go(time(event.clientX)); });
    grip.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const pixel = (view.high - view.low) / (width - LEFT - RIGHT);
      go(self.at + step * (event.shiftKey ? 20 : 1) * Math.max(pixel, traces[0].step_s));
    });
    cursorLayer.append(grip);
    return self;
  }

  function place() {
    for (const one of cursors) {
      const inside = one.at >= view.low && one.at <= view.high;
      one.grip.setAttribute("transform", `translate(${x(Math.min(Math.max(one.at, view.low), view.high)).toFixed(1)} 0)`);
      one.grip.classList.toggle("outside", !inside);
      one.grip.setAttribute("aria-valuetext", si(one.at - chosen.begin_s, "s"));
    }
    const [a, b] = cursors, gap = b.at - a.at;
    const row = (trace) => {
      const [u, v] = [valueAt(trace, a.at), valueAt(trace, b.at)];
      return u === null || v === null ? [trace.name, "–", "–", "–"] : [trace.name, si(u, "V", 3), si(v, "V", 3), si(v - u, "V", 3)];
    };
    readout.replaceChildren(table(["", "A", "B", "Δ = B − A"], [
      ["time in the slot", si(a.at - chosen.begin_s, "s"), si(b.at - chosen.begin_s, "s"),
        `${si(gap, "s")}${gap ? `  (${si(1 / Math.abs(gap), "Hz", 3)})` : ""}`],
      ...traces.map(row),
    ], { class: "measures" }));
  }

  function lanes() {
    const parts = [svg("text", { class: "name", x: 6, y: 16 }, "slot"), svg("text", { class: "name", x: 6, y: LANE + 16 }, "select")];
    for (const one of slot.slots) {
      if (one.end_s < view.low || one.begin_s > view.high) continue;
      const a = x(Math.max(one.begin_s, view.low)), b = x(Math.min(one.end_s, view.high)), room = b - a;
      const box = (lane, kind) => svg("rect", { class: kind, x: a + 0.5, width: Math.max(room - 1, 0.5), y: lane * LANE + 3, height: LANE - 6, rx: 3 });
      parts.push(box(0, one === chosen ? "bus chosen" : "bus"), box(1, "bus"));
      const label = (text, lane) => { if (room > text.length * 6.6 + 4) parts.push(svg("text", { x: (a + b) / 2, y: lane * LANE + 16, "text-anchor": "middle" }, text)); };
      label(`${one.position}: ${one.pulses} in, ${one.spikes} out`, 0);
      if (one.address !== null) label(String(one.address), 1);
    }
    return parts;
  }

  function pane(trace, i) {
    const ceiling = top + i * PANE;
    const y = (volts) => ceiling + PANE - PAD - (volts - trace.low) / (trace.high - trace.low) * (PANE - 2 * PAD);
    const parts = [svg("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: ceiling + PANE, y2: ceiling + PANE })];
    for (const volts of ticks(trace.low, trace.high, 3)) {
      parts.push(svg("line", { class: "tickline", x1: LEFT - 4, x2: LEFT, y1: y(volts), y2: y(volts) }));
      parts.push(svg("text", { class: "tick", x: LEFT - 7, y: y(volts) + 4, "text-anchor": "end" }, `${volts} V`));
    }
    if (trace.name === "membrane") {
      parts.push(svg("line", { class: "vth", x1: LEFT, x2: width - RIGHT, y1: y(slot.vth_v), y2: y(slot.vth_v) }));
      parts.push(svg("text", { class: "vthname", x: width - RIGHT - 4, y: y(slot.vth_v) - 4, "text-anchor": "end" }, `V_th ${slot.vth_v} V`));
    }
    parts.push(svg("path", { class: `wave ${trace.name}`, d: wave(trace, view, x, y, width - LEFT - RIGHT) }));
    if (trace.name === "axon") {
      for (const t of slot.spikes_s) {
        if (t >= view.low && t <= view.high) parts.push(svg("path", { class: "spike", d: `M${x(t).toFixed(1)} ${ceiling + 12}l-4 -8h8Z` }));
      }
    }
    parts.push(svg("text", { class: `name ${trace.name}`, x: 6, y: ceiling + 14 }, trace.name));
    return parts;
  }

  function draw() {
    const parts = [];
    const clip = (t) => Math.min(Math.max(x(t), LEFT), width - RIGHT);
    parts.push(svg("rect", { class: "now", x: clip(chosen.begin_s), width: clip(chosen.end_s) - clip(chosen.begin_s), y: 0, height: height - FOOT }));
    for (const since of ticks(view.low - chosen.begin_s, view.high - chosen.begin_s, Math.max(2, width / 130))) {
      const at = x(since + chosen.begin_s);
      parts.push(svg("line", { class: "rule", x1: at, x2: at, y1: top, y2: height - FOOT }));
      parts.push(svg("text", { class: "tick", x: at, y: height - 8, "text-anchor": "middle" }, si(since, "s")));
    }
    drawn.replaceChildren(...parts, ...traces.flatMap(pane), ...lanes());
    place();
  }

  function fit() {
    const now = Math.round(picture.getBoundingClientRect().width) || width;
    width = Math.max(now, 260);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.setAttribute("height", height);
    draw();
  }
  new ResizeObserver(fit).observe(picture);
  const near = () => show(view, chosen.begin_s - length * 0.15, chosen.end_s + length * 0.15);
  const toSlot = el("button", { type: "button", click: near }, "this slot");
  const toCursors = el("button", { type: "button", click: () => {
    const span = view.high - view.low;
    cursors.forEach((one, i) => { one.at = view.low + span * (i ? 0.65 : 0.35); });
    place();
  } }, "fetch cursors");
  const node = el("div", { class: "scopebox" }, picture, zoomButtons(el, view, [toSlot, toCursors]), readout);
  fit();
  near();
  return node;
}
