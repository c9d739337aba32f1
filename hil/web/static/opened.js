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

// One slot out of pieces of shots, one a helping: its numbers in all, and of each shot those, traces and neighbours.
export function slotOf(pieces, part, { channel, position }, why) {
  const cells = part.side > 1 ? part.side * part.side : 1;
  const number = (channel - part.start) * cells + position;
  const counts = { pulses: part.pulses[number], spikes: part.spikes[number], shots: [], why };
  if (counts.pulses === 65535) return { ...counts, pulses: 0, spikes: 0, why: "This slot has not been recorded." };
  const shots = pieces.map((piece) => shotOf(piece, channel, position)).filter((shot) => shot !== null);
  if (!shots.length) return { ...counts, why: why || (counts.pulses ? "" : "It was not played: there was nothing to send.") };
  return { ...counts, shots, why: why || (shots.some((shot) => shot.traces.length) ? "" : "Its traces do not show its slots.") };
}

// What one shot has of a slot; null where it did not play it.
function shotOf(piece, channel, position) {
  const at = piece.position.findIndex((p, i) => p === position && piece.channel[i] === channel);
  if (at < 0) return null;
  const measured = {
    helping: piece.helping, pulses: piece.pulses[at], spikes: piece.spikes[at],
    slot_s: piece.slot_s[at], planned_s: piece.planned_s[at], attempts: piece.attempt + 1, traces: [],
  };
  if (!piece.rise_s.length) return measured;
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
    ...measured, vth_v: piece.vth_v, slots, chosen: at - from,
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
