// A run as the live application serves it: read over HTTP while it is being written.

import { openDigit, openMaps, slotOf } from "./opened.js";

export async function ask(path, options = {}) {
  const response = await fetch(path, { credentials: "same-origin", ...options });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? `${path}: ${response.status} ${response.statusText}`);
  return body;
}

export function servedRun(name) {
  const base = `/api/runs/${encodeURIComponent(name)}`;
  let overview = null, stopAsked = false;
  const digits = new Map();

  function follow(listener, failed) {
    const stream = new EventSource(`${base}/events`);
    stream.addEventListener("run", (event) => {
      overview = JSON.parse(event.data);
      digits.clear();
    });
    stream.addEventListener("digits", (event) => {
      for (const digit of JSON.parse(event.data)) digits.set(`${digit.noise}/${digit.index}`, digit);
    });
    stream.addEventListener("state", (event) => {
      overview = { ...overview, ...JSON.parse(event.data), digits: [...digits.values()] };
      listener(overview);
    });
    stream.addEventListener("trouble", (event) => failed(JSON.parse(event.data).error));
    stream.addEventListener("error", () => failed("The connection is lost; trying again …"));
  }

  // What the stop button depends on.
  const controls = (now) => [now.state, now.may_stop, stopAsked];

  // The stop button, where this browser may use it; `el` makes it.
  function control(now, el) {
    if (now.state === "stopping" || stopAsked && now.state === "running") return [el("p", { class: "note" }, "Stopping after the shot in hand; this page says when the bench is at rest.")];
    if (now.state !== "running") return [];
    if (!now.may_stop) return [el("p", { class: "note" }, "Read-only: to stop this run, open the address with the token that hil serve printed.")];
    const stop = () => {
      if (!window.confirm("Stop this run after the shot in hand? It can be resumed.")) return;
      stopAsked = true;
      ask(`${base}/stop`, { method: "POST" }).catch((error) => { stopAsked = false; window.alert(error.message); });
    };
    return [el("button", { type: "button", id: "stop", class: "stop", click: stop }, "stop the run")];
  }

  const digitPath = (noise, index) => `${base}/digits/${noise}/${index}`;
  return {
    follow,
    controls,
    control,
    result: (noise, index) => digits.get(`${noise}/${index}`),
    digit: async (noise, index) => openDigit(await ask(digitPath(noise, index))),
    maps: async (noise, index) => (digits.has(`${noise}/${index}`) ? openMaps(await ask(`${digitPath(noise, index)}/maps`)) : null),
    kernel: (noise, index, layer, channel) => ask(`${digitPath(noise, index)}/${layer}/${channel}`).then((body) => body.raster),
    async slot(noise, index, layer, channel, position) {
      const [raw, found] = await Promise.all([ask(digitPath(noise, index)), ask(`${digitPath(noise, index)}/${layer}/${channel}/${position}`)]);
      const part = (await openDigit(raw)).parts.find((one) => one.layer === layer);
      return slotOf(found.pieces, part, { channel, position }, found.why);
    },
    statistics: () => ask(`${base}/statistics`),
  };
}
