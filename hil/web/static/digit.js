// One digit, opened: the image, every kernel's map, one kernel, one slot with its traces, and the maps of every layer.

import { el, section } from "./dom.js";
import { raster } from "./charts.js";
import { colourBar, greys, heatmap } from "./colours.js";
import { kernelGrid, largest, layout, slotMap } from "./maps.js";
import { count, percent, si } from "./numbers.js";
import { scopeView } from "./scope.js";

const SHEETS = [["conv1", 8], ["conv2", 8], ["fc1", 1], ["fc2", 1]];

// The panel of the chosen digit; `chosen` is { noise, index, layer, channel, position }, `choose` moves it.
export function digitPanel(source, choose) {
  const head = el("div", { class: "digit" }), parts = el("div"), kernel = el("div"), slot = el("div"), sheets = el("div");
  const node = el("div", { id: "digit" }, head, parts, kernel, slot, sheets);
  let shown = null, turn = 0;

  async function open(wanted, again = false) {
    const mine = ++turn;
    node.setAttribute("aria-busy", "true"); // what is shown is the one before
    try {
      await draw(wanted, again, mine);
    } finally {
      if (mine === turn) node.removeAttribute("aria-busy");
    }
  }

  async function draw(wanted, again, mine) {
    const same = shown && shown.noise === wanted.noise && shown.index === wanted.index && !again;
    const digit = same ? shown.digit : await source.digit(wanted.noise, wanted.index);
    if (mine !== turn) return;
    const part = digit.parts.find((one) => one.layer === wanted.layer) ?? digit.parts[0];
    if (!part) {
      head.replaceChildren(...header(digit, source.result(wanted.noise, wanted.index)));
      parts.replaceChildren();
      kernel.replaceChildren();
      slot.replaceChildren();
      if (!same) await openSheets(wanted);
      shown = { ...wanted, digit };
      return;
    }
    const place = settled(part, wanted);
    if (!same) head.replaceChildren(...header(digit, source.result(wanted.noise, wanted.index)));
    if (!same || shown.layer !== place.layer) showPart(digit, part);
    grid.select(part.side > 1 ? place.channel - part.start : 0);
    const moved = !same || shown.layer !== place.layer || shown.channel !== place.channel;
    shown = { ...place, digit };
    if (moved) showKernel(part, place);
    for (const map of maps) map.select(part.side > 1 ? place.position : place.channel - part.start);
    await Promise.all([openSlot(part, place, mine), same ? null : openSheets(place)]);
  }

  let grid = null, maps = [];

  // Where nothing was chosen, the kernel with most pulses and its fullest slot.
  function settled(part, wanted) {
    const { cells } = layout(part), inside = wanted.layer === part.layer;
    let { channel, position } = inside ? wanted : {};
    if (channel === undefined || channel === null || channel < part.start || channel >= part.stop) {
      if (part.side > 1) {
        let most = -1;
        for (let k = 0; k < part.stop - part.start; k++) {
          const sum = part.pulses.subarray(k * cells, (k + 1) * cells).reduce((a, b) => a + (b === 65535 ? 0 : b), 0);
          if (sum > most) [most, channel] = [sum, part.start + k];
        }
      } else channel = part.start + fullest(part.pulses);
      position = null;
    }
    if (part.side === 1) position = 0;
    else if (position === undefined || position === null || position >= cells) {
      position = fullest(part.pulses.subarray((channel - part.start) * cells, (channel - part.start + 1) * cells));
    }
    return { noise: wanted.noise, index: wanted.index, layer: part.layer, channel, position };
  }

  function fullest(pulses) {
    let at = 0;
    pulses.forEach((n, i) => { if (n !== 65535 && (pulses[at] === 65535 || n > pulses[at])) at = i; });
    return at;
  }

  function header(digit, result) {
    const image = greys(el("canvas", { class: "pixels", role: "img", "aria-label": "the digit as it was shown" }), digit.image, 28);
    if (!result) return [image, el("p", {}, `test digit ${digit.index}, under way`)];
    return [image, el("div", { class: "answer" },
      el("p", {}, `test digit ${result.index}, `, el("b", {}, result.label < 0 ? "nobody said what" : `a ${result.label}`), result.noise ? `, ${result.noise} % of its pixels zeroed` : ""),
      el("p", {}, "answer ", el("b", { class: result.label < 0 ? "" : result.answer === result.label ? "right" : "wrong" }, String(result.answer)), ` (${percent(result.confidence)})`),
      el("p", { class: "soft" }, `${count(result.pulses)} pulses, ${count(result.spikes)} spikes, ${si(result.bench_s, "s", 3)} on the bench`,
        result.saturated ? `, ${count(result.saturated)} slots at full scale` : "", result.stray ? `, ${count(result.stray)} strays` : ""))];
  }

  function showPart(digit, part) {
    grid = kernelGrid(part, part.spikes, (k) => part.side > 1 && choose({ layer: part.layer, channel: part.start + k, position: null }));
    const tabs = digit.parts.length > 1 ? el("div", { class: "tabs", role: "group", "aria-label": "layer" }, ...digit.parts.map((one) => el("button", {
      type: "button", "aria-pressed": String(one === part), click: () => choose({ layer: one.layer, channel: null, position: null }),
    }, one.layer))) : null;
    const title = part.side > 1 ? `Axon spikes of ${part.layer}, kernels ${part.start}…${part.stop - 1}` : `Axon spikes of ${part.layer}`;
    const held = parts.querySelector(".tabs")?.contains(document.activeElement);
    parts.replaceChildren(...[tabs, el("h3", {}, title), part.side > 1 ? grid.node : null,
      colourBar(el, Math.max(largest(part.spikes), 1), "spikes in a slot")].filter(Boolean));
    if (held) tabs?.querySelector('[aria-pressed="true"]').focus();
  }

  function showKernel(part, place) {
    const { columns, cells } = layout(part), k = part.side > 1 ? place.channel - part.start : 0;
    const pick = (cell) => choose(part.side > 1
      ? { layer: part.layer, channel: place.channel, position: cell } : { layer: part.layer, channel: part.start + cell, position: 0 });
    maps = [["dendrite pulses", part.pulses, "pulses"], ["axon spikes", part.spikes, "spikes"]].map(
      ([title, values, unit]) => slotMap(values.subarray(k * cells, (k + 1) * cells), columns, title, unit, pick));
    const title = part.side > 1 ? `${part.layer} kernel ${place.channel}` : `${part.layer}, all units`;
    const chart = el("div");
    kernel.replaceChildren(el("h3", {}, title), el("div", { class: "maps" }, ...maps.map((map) => map.node)), chart);
    source.kernel(place.noise, place.index, place.layer, place.channel).then((found) => {
      if (found && shown.channel === place.channel) chart.replaceChildren(el("p", { class: "note" }, "Every spike of this kernel:"), raster(found, place.position) ?? "");
    }).catch((error) => chart.replaceChildren(el("p", { class: "note" }, error.message)));
  }

  async function openSlot(part, place, mine) {
    const where = part.side > 1 ? `row ${Math.floor(place.position / part.side)}, column ${place.position % part.side}` : "its only slot";
    const title = el("h3", {}, `digit ${place.index}, ${place.layer} ${part.side > 1 ? "kernel" : "unit"} ${place.channel}, ${where}`);
    try {
      const found = await source.slot(place.noise, place.index, place.layer, place.channel, place.position);
      if (mine !== turn) return;
      const helped = found.shots.length > 1;
      slot.replaceChildren(title, el("p", { class: "note" }, told(found, helped ? [] : found.shots)), ...found.shots.flatMap((shot) => [
        helped ? el("p", { class: "note helping" }, el("b", {}, `helping ${shot.helping + 1}: `), told(shot, [shot])) : "",
        shot.traces.length ? scopeView(shot) : ""]));
    } catch (error) {
      if (mine === turn) slot.replaceChildren(title, el("p", { class: "note" }, error.message));
    }
  }

  function told(found, shots) {
    const parts = [`${count(found.pulses)} pulses in, ${count(found.spikes)} spikes out`];
    for (const shot of shots) {
      if (shot.slot_s) parts.push(`${si(shot.slot_s, "s")} long, ${si(shot.slot_s - shot.planned_s, "s", 2)} off the plan`);
      if (shot.attempts > 1) parts.push(`taken ${shot.attempts} times`);
    }
    return `${parts.join("; ")}.${found.why ? ` ${found.why}` : ""}`;
  }

  async function openSheets(place) {
    const found = await source.maps(place.noise, place.index);
    sheets.replaceChildren(...(found ? [section("What every layer made of it", found.software === null ? "" : `Software alone answers ${found.software}.`,
      el("div", { class: "sheets" }, ...SHEETS.map(([name, columns]) => sheet(name, columns, found.layers[name]))))] : []));
  }

  // The channels of one layer side by side, each scaled to its own largest value, or the outputs as bars.
  function sheet(name, columns, map) {
    const caption = map.side > 1 ? `${name} after ReLU and max-pool: ${map.channels} channels` : `${name}: ${map.channels} ${name === "fc2" ? "outputs" : "activations"}`;
    const cells = map.side * map.side;
    const pictures = map.side > 1 ? Array.from({ length: map.channels }, (_, k) => {
      const one = map.values.subarray(k * cells, (k + 1) * cells);
      return heatmap(el("canvas", { class: "pixels", title: `${name} channel ${k}, at most ${one.reduce((a, b) => Math.max(a, b), 0).toPrecision(3)}` }), one, map.side, one.reduce((a, b) => Math.max(a, b), 0));
    }) : [];
    const low = Math.min(...map.values), high = Math.max(...map.values);
    const body = map.side > 1 ? el("div", {}, el("div", { class: "channels", style: { "--columns": columns } }, ...pictures), colourBar(el, 1, "of a channel's largest"))
      : name === "fc2" ? outputs(map.values, low, high)
        : el("div", {}, heatmap(el("canvas", { class: "pixels wide" }), map.values, 64, high), colourBar(el, high, "activation"));
    return el("figure", {}, body, el("figcaption", {}, caption));
  }

  function outputs(values, low, high) {
    return el("div", { class: "outputs" }, ...Array.from(values, (value, k) => el("div", { class: value === high ? "best" : "" },
      el("span", { style: { "--share": (value - low) / Math.max(high - low, 1e-9) } }), el("b", {}, String(k)))));
  }

  return { node, open };
}
