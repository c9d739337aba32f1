"use strict";

// Wheel zooms about the pointer, dragging pans, a double click shows everything again.
function zoomable(element, get, set, whole) {
  let drag = null;
  const at = (event) => {
    const box = element.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    set(get(), Math.exp(event.deltaY * 0.0015), at(event), null);
  }, { passive: false });
  element.addEventListener("pointerdown", (event) => {
    drag = at(event);
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    if (drag === null) return;
    const now = at(event);
    set(get(), 1, drag, now);
    drag = now;
  });
  element.addEventListener("pointerup", () => { drag = null; });
  element.addEventListener("dblclick", whole);
}

for (const svg of document.querySelectorAll("svg.zoomable")) {
  const box = svg.viewBox.baseVal;
  const start = [box.x, box.y, box.width, box.height];
  const show = ([x, y, w, h]) => svg.setAttribute("viewBox", `${x} ${y} ${w} ${h}`);
  zoomable(svg, () => [box.x, box.y, box.width, box.height], ([x, y, w, h], factor, from, to) => {
    const size = Math.min(start[2], w * factor) / w;
    const move = to === null ? [0, 0] : [(from[0] - to[0]) * w, (from[1] - to[1]) * h];
    const left = x + from[0] * w * (1 - size) + move[0];
    const top = y + from[1] * h * (1 - size) + move[1];
    const limit = (value, low, high) => Math.min(Math.max(value, low), high);
    show([
      limit(left, start[0], start[0] + start[2] - w * size),
      limit(top, start[1], start[1] + start[3] - h * size), w * size, h * size,
    ]);
  }, () => show(start));
}

// Traces: codes as received, drawn as the lowest and highest value of every pixel column.
const scope = document.getElementById("scope");
if (scope !== null) {
  const data = JSON.parse(document.getElementById("traces").textContent);
  const colours = ["#f7c948", "#5ec9f0", "#f08bc0", "#7bdc8a"];
  const width = 1060, pane = 120, left = 70, bottom = 30;
  const height = pane * data.traces.length + bottom;
  scope.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const trace of data.traces) {
    const raw = atob(trace.codes);
    trace.values = Uint8Array.from(raw, (c) => c.charCodeAt(0));
  }
  const first = data.traces[0];
  const whole = [first.start_s, first.start_s + first.step_s * first.values.length];
  let range = [...whole];

  const tick = (low, high) => {
    const raw = (high - low) / 8, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
    const out = [];
    for (let i = Math.ceil(low / step); i * step <= high; i++) out.push(i * step);
    return out;
  };
  const x = (t) => left + (t - range[0]) / (range[1] - range[0]) * (width - left);

  function wave(trace, top) {
    const volts = (code) => (code - trace.zero) * trace.volts;
    const y = (code) => top + pane - 14 - (volts(code) - trace.low) / (trace.high - trace.low) * (pane - 28);
    const a = Math.max(0, Math.floor((range[0] - trace.start_s) / trace.step_s));
    const b = Math.min(trace.values.length, Math.ceil((range[1] - trace.start_s) / trace.step_s) + 1);
    const columns = width - left, every = Math.max(1, Math.floor((b - a) / columns));
    let path = "";
    for (let i = a; i < b; i += every) {
      let low = 255, high = 0;
      for (let j = i; j < Math.min(i + every, b); j++) {
        low = Math.min(low, trace.values[j]);
        high = Math.max(high, trace.values[j]);
      }
      const px = x(trace.start_s + i * trace.step_s).toFixed(1);
      path += `${path ? "L" : "M"}${px} ${y(low).toFixed(1)}`;
      if (every > 1) path += `L${px} ${y(high).toFixed(1)}`;
    }
    return path;
  }

  function draw() {
    const parts = [];
    const clip = (value) => Math.min(Math.max(value, left), width);
    const slot = data.slot.map((t) => clip(x(t)));
    parts.push(`<rect class="slot" x="${slot[0]}" width="${Math.max(slot[1] - slot[0], 0)}" y="0" height="${height - bottom}"/>`);
    for (const since of tick(range[0] - data.slot[0], range[1] - data.slot[0])) {
      const t = since + data.slot[0];
      parts.push(`<line class="rule" x1="${x(t)}" x2="${x(t)}" y1="0" y2="${height - bottom}"/>`);
      const text = `${parseFloat((since * 1e6).toPrecision(6))} µs`;
      parts.push(`<text x="${x(t)}" y="${height - 10}" text-anchor="middle">${text}</text>`);
    }
    data.traces.forEach((trace, i) => {
      const top = i * pane;
      parts.push(`<line class="rule" x1="0" x2="${width}" y1="${top + pane}" y2="${top + pane}"/>`);
      parts.push(`<path class="wave" stroke="${colours[i % colours.length]}" d="${wave(trace, top)}"/>`);
      parts.push(`<rect x="0" y="${top}" width="${left - 4}" height="${pane}" fill="#0f1722"/>`);
      parts.push(`<text x="8" y="${top + 20}" style="fill:${colours[i % colours.length]}">${trace.name}</text>`);
      parts.push(`<text x="8" y="${top + pane - 12}">${trace.low.toFixed(2)} V</text>`);
      parts.push(`<text x="8" y="${top + 36}">${trace.high.toFixed(2)} V</text>`);
    });
    scope.innerHTML = parts.join("");
  }

  zoomable(scope, () => range, ([a, b], factor, from, to) => {
    const share = (p) => (p[0] * width - left) / (width - left);
    const size = Math.min(Math.max((b - a) * factor, 20 * first.step_s), whole[1] - whole[0]);
    let start = a + share(from) * ((b - a) - size);
    if (to !== null) start += (share(from) - share(to)) * (b - a);
    start = Math.min(Math.max(start, whole[0]), whole[1] - size);
    range = [start, start + size];
    draw();
  }, () => { range = [...whole]; draw(); });
  draw();
}
