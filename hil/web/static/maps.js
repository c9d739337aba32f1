// Maps of slots that can be clicked and walked with the arrow keys.

import { el, svg } from "./dom.js";
import { colourBar, heatmap, MISSING } from "./colours.js";

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// How the neurons of a part lie in a map: a kernel's rows and columns, or all units of a dense layer.
export function layout(part) {
  if (part.side > 1) return { columns: part.side, cells: part.side * part.side };
  const cells = part.stop - part.start;
  return { columns: cells >= 64 ? Math.ceil(Math.sqrt(cells)) : cells, cells };
}

export function largest(values) {
  let most = 0;
  for (const value of values) if (value !== MISSING && value > most) most = value;
  return most;
}

// One map with its colour bar; `pick(cell)` is called for the cell that is clicked or walked to.
export function slotMap(values, columns, title, unit, pick) {
  const most = Math.max(largest(values), 1), rows = Math.ceil(values.length / columns);
  const canvas = heatmap(el("canvas", { class: "pixels" }), values, columns, most);
  const mark = svg("rect", { class: "mark", width: 1, height: 1 });
  const cover = svg("svg", { viewBox: `0 0 ${columns} ${rows}`, class: "cover", "aria-hidden": "true" }, mark);
  let chosen = 0;
  const told = el("output", { class: "told" });
  const choose = (cell) => { if (cell >= 0 && cell < values.length) pick(cell); };
  const frame = el("div", {
    class: "map", tabindex: 0, role: "application", "aria-label": `${title}: arrow keys choose a slot`,
    click: (event) => {
      const box = frame.getBoundingClientRect();
      const column = Math.min(columns - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * columns)));
      const row = Math.min(rows - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * rows)));
      choose(row * columns + column);
    },
    keydown: (event) => {
      if (!(event.key in STEPS)) return;
      event.preventDefault();
      const [across, down] = STEPS[event.key], column = chosen % columns + across;
      if (column >= 0 && column < columns) choose(chosen + across + down * columns);
    },
  }, canvas, cover);
  const node = el("figure", { class: "slotmap" },
    el("figcaption", {}, title), frame, el("div", { class: "under" }, colourBar(el, most, unit), told));
  const select = (cell) => {
    chosen = cell;
    mark.setAttribute("x", cell % columns);
    mark.setAttribute("y", Math.floor(cell / columns));
    told.textContent = values[cell] === MISSING ? "not recorded" : `${values[cell]} ${unit}`;
  };
  return { node, select };
}

// Small maps of all kernels of a part, each a button.
export function kernelGrid(part, spikes, pick) {
  const { columns, cells } = layout(part);
  const most = Math.max(largest(spikes), 1);
  const buttons = [];
  for (let k = 0; k * cells < spikes.length; k++) {
    const values = spikes.subarray(k * cells, (k + 1) * cells);
    const name = part.side > 1 ? `${part.layer} kernel ${part.start + k}` : part.layer;
    buttons.push(el("button", {
      type: "button", class: "kernel", title: name, "aria-label": name, "aria-pressed": "false", click: () => pick(k),
    }, heatmap(el("canvas", { class: "pixels" }), values, columns, most)));
  }
  const node = el("div", { class: "kernels" }, ...buttons);
  const select = (k) => buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === k)));
  return { node, select };
}
