// A run inside the file of its report: what the live application would be asked for is already here.

import { inflated } from "./codec.js";
import { openDigit, openMaps, slotOf } from "./opened.js";

async function unpacked(text) {
  return JSON.parse(new TextDecoder().decode(await inflated(text)));
}

async function openPiece(text) {
  const piece = await unpacked(text);
  await Promise.all(piece.traces.map(async (trace) => { trace.codes = await inflated(trace.codes); }));
  return piece;
}

export function embeddedRun(data) {
  const key = (...names) => names.join("/");
  const digits = new Map(data.overview.digits.map((digit) => [key(digit.noise, digit.index), digit]));
  const kept = new Map();

  async function pieces(noise, index, layer) {
    const name = key(noise, index, layer);
    if (!(name in data.pieces)) return null;
    if (!kept.has(name)) {
      kept.clear(); // one digit's traces are some megabytes
      kept.set(name, Promise.all(data.pieces[name].map(openPiece)));
    }
    return kept.get(name);
  }

  async function slot(noise, index, layer, channel, position) {
    const digit = await source.digit(noise, index), part = digit.parts.find((one) => one.layer === layer);
    const place = { channel, position }, found = await pieces(noise, index, layer);
    const holds = (piece) => piece.channel.some((c, i) => c === channel && piece.position[i] === position);
    const own = new Map((found ?? []).filter(holds).map((piece) => [piece.helping, piece])); // of each helping its last attempt
    const why = !data.traced ? "This run has no oscilloscope traces."
      : found === null ? `The traces of this digit are not in this file: hil report --image ${index}, or hil serve, shows them.` : "";
    return slotOf([...own.values()], part, place, why);
  }

  const source = {
    follow: (listener) => listener(data.overview),
    controls: () => [],
    control: () => [],
    result: (noise, index) => digits.get(key(noise, index)),
    async digit(noise, index) {
      const raw = data.digits[key(noise, index)];
      if (!raw) throw new Error(`digit ${index} is not in this file`);
      return openDigit(raw);
    },
    maps: async (noise, index) => openMaps(data.maps[key(noise, index)] ?? null),
    kernel: async (noise, index, layer, channel) => {
      const packed = data.rasters[key(noise, index, layer)];
      return packed ? (await unpacked(packed))[channel] ?? null : null;
    },
    slot,
    statistics: async () => data.statistics,
  };
  return source;
}
