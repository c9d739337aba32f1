// Numbers as people read them, with their units.

export const count = (value) => Math.round(value).toLocaleString("en-GB");

// A number and its unit stay on one line.
export const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)}\u00a0%`;

const PREFIXES = [[1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];

// A value with an SI prefix: 0.0000123 s → "12.3 µs".
export function si(value, unit, digits = 4) {
  const size = Math.abs(value);
  const [factor, prefix] = size >= 1e6 ? [1e6, "M"] : size >= 1e3 ? [1e3, "k"]
    : PREFIXES.find(([least]) => size >= least * 0.9999) ?? (size === 0 ? [1, ""] : [1e-9, "n"]);
  return `${parseFloat((value / factor).toPrecision(digits))}\u00a0${prefix}${unit}`;
}

// A span of time for a person: "1 h 05 min", "12 s".
export function span(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)}\u00a0s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes}\u00a0min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours}\u00a0h\u00a0${String(minutes % 60).padStart(2, "0")}\u00a0min`;
  return `${Math.floor(hours / 24)}\u00a0d\u00a0${hours % 24}\u00a0h`;
}

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)}\u00a0MB`;

// Round numbers within a range, about as many as wanted and at least two, which an axis needs to be read.
export function ticks(low, high, wanted = 6) {
  const raw = Math.abs(high - low) / wanted;
  if (!(raw > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const found = [];
  const [from, to] = [Math.min(low, high), Math.max(low, high)];
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + step * 1e-9; i++) found.push(parseFloat((i * step).toPrecision(12)));
  return found.length < 2 && wanted < 64 ? ticks(low, high, wanted * 2) : found;
}

// The 95 % interval of a share, as Wilson (1927) gives it.
export function wilson(right, all) {
  if (!all) return [0, 1];
  const z = 1.959963984540054, share = right / all, more = z * z / all;
  const middle = (share + more / 2) / (1 + more);
  const half = z / (1 + more) * Math.sqrt(share * (1 - share) / all + more / (4 * all));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
