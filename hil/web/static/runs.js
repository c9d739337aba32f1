// The list of runs, and two or more of them side by side.

import { el, renew, section, table } from "./dom.js";
import { count, megabytes, percent, span } from "./numbers.js";
import { ask } from "./served.js";

const REFRESHED_MS = 2000;

export function runsPage() {
  let runs = [], words = "";
  const picked = new Set(), list = el("div"), side = el("div");
  const search = el("input", { type: "search", id: "filter", placeholder: "name, device, layers, state …", input: () => { words = search.value.toLowerCase(); draw(); } });
  const node = el("main", {},
    el("header", {}, el("h1", {}, "Runs"), el("p", {}, "Each can be opened while it is being recorded; tick several to compare them.")),
    el("section", {}, el("label", { for: "filter" }, "Show only "), search, list), side);

  function draw() {
    const kept = runs.filter((run) => words.split(/\s+/).every((word) => JSON.stringify(Object.values(run)).toLowerCase().includes(word)));
    renew(list, [kept, [...picked], runs.length], () => (kept.length ? table(["", "run", "begun", "what", "device", "state", "digits", "right", "bench", "size"], kept.map(row), { class: "runs" })
      : el("p", { class: "note" }, runs.length ? "No run fits." : "No runs in this folder yet; hil run records one.")));
    side.replaceChildren(...(picked.size > 1 ? [compared(runs.filter((run) => picked.has(run.name) && !run.trouble))] : []));
  }

  function row(run) {
    const tick = el("input", {
      type: "checkbox", "aria-label": `compare ${run.name}`, checked: picked.has(run.name), disabled: Boolean(run.trouble),
      change: () => { if (picked.has(run.name)) picked.delete(run.name); else picked.add(run.name); draw(); },
    });
    if (run.trouble) return [tick, run.name, "", el("span", { class: "wrong" }, run.trouble), "", "", "", "", "", ""];
    return [tick, el("a", { href: `/run/${encodeURIComponent(run.name)}` }, run.name), run.begun.slice(0, 16).replace("T", " "), run.what, run.device,
      el("span", { class: "state", "data-state": run.state }, run.state), `${count(run.done)} of ${count(run.wanted)}`,
      run.done ? percent(run.correct / run.done) : "", span(run.bench_s), megabytes(run.bytes)];
  }

  function compared(some) {
    const rows = [
      ["physical", (r) => r.physical], ["device", (r) => r.device], ["V_th", (r) => `${r.vth_v} V`], ["slots", (r) => r.timing],
      ["noise", (r) => r.noise], ["digits", (r) => `${count(r.done)} of ${count(r.wanted)}`],
      ["right", (r) => (r.done ? percent(r.correct / r.done, 2) : "–")],
      ["95 % interval", (r) => (r.done ? r.interval.map((x) => percent(x, 2)).join(" to ") : "–")],
      ["pulses a digit", (r) => (r.done ? count(r.pulses / r.done) : "–")], ["spikes a digit", (r) => (r.done ? count(r.spikes / r.done) : "–")],
      ["bench time a digit", (r) => (r.done ? span(r.bench_s / r.done) : "–")],
    ];
    const note = el("p", { class: "note" });
    if (some.length === 2) {
      ask(`/api/compare/${some.map((run) => encodeURIComponent(run.name)).join("/")}`).then((found) => {
        note.textContent = `On the ${count(found.shared)} digits that both have done, the answers agree on ${count(found.agree)}; only the first is right on ${count(found.only[0])}, only the second on ${count(found.only[1])}.`;
      }).catch((error) => { note.textContent = error.message; });
    }
    return section("Side by side", "", table(["", ...some.map((run) => run.name)], rows.map(([name, value]) => [el("b", {}, name), ...some.map(value)])), note);
  }

  async function refresh() {
    try {
      runs = (await ask("/api/runs")).runs;
      if (!list.contains(document.activeElement)) draw();
    } catch (error) {
      list.replaceChildren(el("p", { class: "note" }, error.message));
    }
    setTimeout(refresh, REFRESHED_MS);
  }
  refresh();
  return node;
}
