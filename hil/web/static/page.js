// The page of one run, in the live application and in an exported report alike: only its source differs.

import { confusion, statistics } from "./charts.js";
import { digitPanel } from "./digit.js";
import { digitStrip } from "./digits.js";
import { el, facts, renew, section, table } from "./dom.js";
import { count, megabytes, percent, si, span, wilson } from "./numbers.js";

const RECALCULATED_S = 5; // between statistics over all slots of a run that goes on
const FOLLOWED_MS = 1000; // between openings of what is being played

export function runPage(source) {
  let overview = null, chosen = null, following = true, underWay = "", openedAt = -Infinity, later = null, countedAt = -Infinity, counted = -1;
  const tiles = el("div", { class: "tiles" }), state = el("span", { class: "state" }), bar = el("progress", { max: 1, value: 0, "aria-label": "share of the digits done" });
  const place = el("p", { class: "note", "aria-live": "polite" }), matrix = el("div"), bench = el("div"), numbers = el("div");
  const events = el("div"), notes = el("div"), control = el("div", { class: "control" });
  const strip = digitStrip((digit) => choose({ noise: digit.noise, index: digit.index }));
  const panel = digitPanel(source, (change) => choose({ ...chosen, ...change }));
  const title = el("h1"), question = el("p");
  const follow = el("button", { type: "button", class: "follow", click: () => { following = true; underWay = ""; newest(); } }, "follow the run");
  const setup = el("div"), provenance = el("div");
  // Who works in the panel has it hold still.
  panel.node.addEventListener("focusin", () => {
    if (!following || overview === null) return;
    following = false;
    follow.hidden = overview.state !== "running";
    if (chosen) strip.select(chosen, false);
  });
  const node = el("main", {},
    el("header", {}, el("div", { class: "headline" }, title, state), question, control),
    tiles, bar, place,
    section("Digits", "Each one can be opened; arrow keys move along them.", strip.node, follow),
    section("The digit", "", panel.node),
    el("div", { class: "two" },
      section("Confusion", "Rows: the true digit. Columns: the answer. A cell shows its digits.", matrix),
      section("The bench", "", bench)),
    numbers, section("Events", "", events), section("Notes of shots", "The first of each kind, and how many shots have one.", notes), el("div", { class: "two" }, section("Set-up", "", setup), section("Provenance", "", provenance)));

  async function choose(wanted) {
    following = false;
    await open(wanted);
    history.replaceState(null, "", `#${[wanted.noise, wanted.index, wanted.layer, wanted.channel, wanted.position].filter((x) => x !== undefined && x !== null).join("/")}`);
  }

  async function open(wanted, again = false) {
    chosen = wanted;
    follow.hidden = following || overview.state !== "running";
    strip.select(wanted, following);
    try {
      await panel.open(wanted, again);
    } catch (error) {
      place.textContent = error.message;
    }
  }

  function fromAddress() {
    const [noise, index, layer, channel, position] = location.hash.slice(1).split("/");
    if (!/^\d+$/.test(noise) || !/^\d+$/.test(index ?? "")) return null;
    const number = (text) => (/^\d+$/.test(text ?? "") ? Number(text) : null);
    return { noise: Number(noise), index: Number(index), layer, channel: number(channel), position: number(position) };
  }

  // The digit that is being played if the bench goes slowly enough to be watched, else the last one done.
  function newest() {
    if (!overview) return;
    const now = overview.under_way, last = overview.digits[overview.digits.length - 1];
    const next = now ?? last;
    if (!next) return;
    const key = `${next.noise}/${next.index}/${now ? now.slots : "done"}`;
    if (key === underWay && chosen) return;
    const wait = openedAt + FOLLOWED_MS - performance.now();
    if (wait > 0) {
      later ??= setTimeout(() => { later = null; if (following) newest(); }, wait);
      return;
    }
    [underWay, openedAt] = [key, performance.now()];
    open({ ...(chosen ?? {}), noise: next.noise, index: next.index }, true);
  }

  function update(now) {
    const first = overview === null;
    overview = now;
    document.title = `${now.digits.length} of ${now.wanted}: ${now.name}`;
    title.textContent = now.title;
    question.textContent = now.question;
    state.textContent = now.state;
    state.dataset.state = now.state;
    tiles.replaceChildren(...tileRows(now).map(([big, small]) => el("div", { class: "tile" }, el("b", {}, big), el("span", {}, small))));
    bar.value = now.progress;
    place.textContent = told(now);
    strip.update(now.digits);
    renew(matrix, now.digits.map((d) => [d.label, d.answer]), () => confusion(now.digits, (label, answer) => strip.pair(label, answer)));
    bench.replaceChildren(facts(benchRows(now)));
    events.replaceChildren(table(["UTC", "event", ""], now.events.slice(-200).map(([at, kind, text]) => [at.slice(0, 19).replace("T", " "), kind, text])));
    notes.replaceChildren(now.notes.length ? table(["shots", ""], now.notes.map(([shots, text]) => [count(shots), text])) : "None.");
    renew(control, source.controls(now), () => source.control(now, el));
    if (first) {
      setup.replaceChildren(facts(now.setup));
      provenance.replaceChildren(facts(now.provenance), el("details", {}, el("summary", {}, "Configuration"), el("pre", {}, now.configuration)));
      const wanted = fromAddress() ?? now.opened;
      if (wanted) { following = false; open(wanted); }
    }
    if (following) newest();
    recount();
  }

  function recount() {
    const now = performance.now() / 1000;
    if (counted === overview.totals.shots || (overview.state === "running" && now - countedAt < RECALCULATED_S)) return;
    [countedAt, counted] = [now, overview.totals.shots];
    source.statistics().then((found) => {
      if (found) numbers.replaceChildren(statistics(found) ?? "");
    }).catch((error) => numbers.replaceChildren(el("p", { class: "note" }, error.message)));
  }

  source.follow(update, (error) => { place.textContent = error; });
  return node;
}

function tileRows(now) {
  const done = now.digits.length, known = now.digits.filter((d) => d.label >= 0);
  const right = known.filter((d) => d.label === d.answer).length, [low, high] = wilson(right, known.length);
  return [
    ...(known.length ? [[percent(right / known.length), `right; 95 % interval ${percent(low)} to ${percent(high)}`]] : []),
    [`${count(done)} of ${count(now.wanted)}`, "digits done"],
    ...(now.state === "running" ? [[now.left_s === null ? "–" : span(now.left_s), "left, at this pace"]] : []),
    [count(now.totals.pulses), "dendrite pulses"], [count(now.totals.spikes), "axon spikes"],
    [span(now.totals.bench_s), "on the bench"],
    [count(now.totals.retaken), "slots taken again"], [count(now.totals.stray), "stray spikes"],
  ];
}

function told(now) {
  if (now.state === "stopping") return "Stopping after the shot in hand …";
  if (now.under_way && now.state === "running") {
    const at = now.under_way;
    return `Playing digit ${at.index}: ${at.layer}, ${count(at.slots)} of ${count(at.of)} slots.`;
  }
  return now.state === "interrupted" ? `${howItEnded(now)}: ${now.digits.length} digits are done and safe.` : "";
}

// A run that is stopped, or fails, brings its bench to rest and writes that down; one that was killed writes nothing.
function howItEnded({ events }) {
  const [, kind, text] = events[events.length - 1] ?? [];
  if (kind !== "stopped") return "It ended without a word (killed, or out of power), the bench left to its own protection";
  return text === "on request" ? "Stopped and at rest" : `Stopped: ${text}`;
}

function benchRows(now) {
  const bench = now.bench;
  return [
    ["V_th", `${bench.vth_v} V`],
    ["temperature", bench.temperature_c === null ? "no sensor" : `${bench.temperature_c.toFixed(1)} °C`],
    ["drift statistic", now.drift ? [`${now.drift.statistic.toFixed(2)} of ${now.drift.limit.toFixed(2)}, where it alarms`, driftBar(now.drift)] : "not recorded yet"],
    ["strays", `${count(now.totals.stray)} axon spikes outside any slot`],
    ...Object.entries(bench.parts_s).map(([part, s]) => [part, `${si(s, "s", 3)}${now.totals.shots ? `, ${si(s / now.totals.shots, "s", 3)} a shot` : ""}`]),
    ["run file", megabytes(now.totals.bytes)],
  ];
}

function driftBar(drift) {
  return el("meter", { min: 0, max: drift.limit, high: drift.limit * 0.8, value: Math.min(drift.statistic, drift.limit), "aria-label": "drift statistic against its alarm" });
}
