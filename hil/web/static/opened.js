// What a run file holds of a digit, unpacked: the same whether it came over HTTP or lay in the report's file.

import { fromBase64, inflated, inflatedFloats, inflatedInts } from "./codec.js";

const AROUND = 6; // slots on either side of the chosen one

export async function openDigit(raw) {
  const parts = await Promise.all(raw.parts.map(async (part) => ({
    ...part, pulses: await inflatedInts(part.pulses), spikes: await inflatedInts(part.spikes),
  })));
  return { ...raw, image: raw.image ? await inflated(raw.image) : new Uint8Array(784), parts };
}

export async function openMaps(raw) {
  if (!raw) return null;
  const layers = {};
  for (const [name, map] of Object.entries(raw.layers)) layers[name] = { ...map, values: await inflatedFloats(map.values) };
  return { ...raw, layers };
}

// One slot out of a piece of a shot (null: without traces): its numbers, and traces and neighbours around it.
export function slotOf(piece, part, { channel, position }, why) {
  const cells = part.side > 1 ? part.side * part.side : 1;
  const number = (channel - part.start) * cells + position;
  const counts = { pulses: part.pulses[number], spikes: part.spikes[number], traces: [], why };
  if (counts.pulses === 65535) return { ...counts, pulses: 0, spikes: 0, why: "This slot has not been recorded." };
  const at = piece === null ? -1 : piece.position.findIndex((p, i) => p === position && piece.channel[i] === channel);
  if (at < 0) return { ...counts, why: why || (counts.pulses ? "" : "It was not played: there was nothing to send.") };
  const measured = { slot_s: piece.slot_s[at], planned_s: piece.planned_s[at], attempts: piece.attempt + 1 };
  if (!piece.rise_s.length) return { ...counts, ...measured, why: why || "This shot's traces do not show its slots." };
  const from = Math.max(at - AROUND, 0), to = Math.min(at + 1 + AROUND, piece.position.length);
  const slots = [];
  for (let i = from; i < to; i++) {
    slots.push({
      begin_s: piece.rise_s[i], end_s: piece.rise_s[i + 1], channel: piece.channel[i], position: piece.position[i],
      pulses: piece.pulses[i], spikes: piece.spikes[i], address: piece.addresses ? piece.number[i] % piece.addresses : null,
    });
  }
  const [begin, end] = [piece.rise_s[from], piece.rise_s[to]];
  return {
    ...counts, ...measured, vth_v: piece.vth_v, slots, chosen: at - from,
    spikes_s: piece.axon_s.filter((t) => t >= begin && t <= end),
    traces: piece.traces.map((trace) => cut(trace, begin, end)),
  };
}

function cut(trace, begin, end) {
  if (typeof trace.codes === "string") trace.codes = fromBase64(trace.codes);
  const clamp = (i) => Math.min(Math.max(Math.trunc(i), 0), trace.codes.length);
  const a = clamp((begin - trace.start_s) / trace.step_s), b = clamp((end - trace.start_s) / trace.step_s + 1);
  return { ...trace, codes: trace.codes.subarray(a, b), start_s: trace.start_s + a * trace.step_s };
}
