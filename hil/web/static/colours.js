// One scale of colours for every map: magma (matplotlib; Smith and van der Walt, CC0), even to the eye and to the colour-blind.

const STOPS = [
  [0, 0, 4], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122], [229, 80, 100], [251, 135, 97], [254, 194, 135], [252, 253, 191],
];
const TABLE = Array.from({ length: 256 }, (_, i) => {
  const at = i / 255 * (STOPS.length - 1), below = Math.min(Math.floor(at), STOPS.length - 2), part = at - below;
  return STOPS[below].map((value, c) => Math.round(value + part * (STOPS[below + 1][c] - value)));
});

export const MISSING = 65535; // a slot that was not recorded

// Values in rows as a canvas of one pixel a cell; `most` is the top of the scale, what is missing is left clear.
export function heatmap(canvas, values, columns, most) {
  const rows = Math.ceil(values.length / columns);
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  values.forEach((value, i) => {
    if (value === MISSING) return;
    const [r, g, b] = TABLE[Math.min(255, Math.max(0, Math.round(value / Math.max(most, 1e-12) * 255)))];
    image.data.set([r, g, b, 255], i * 4);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

export function greys(canvas, bytes, columns) {
  const rows = bytes.length / columns, context = canvas.getContext("2d");
  canvas.width = columns;
  canvas.height = rows;
  const image = context.createImageData(columns, rows);
  bytes.forEach((value, i) => image.data.set([255 - value, 255 - value, 255 - value, 255], i * 4));
  context.putImageData(image, 0, 0);
  return canvas;
}

// The scale itself, with its ends and its unit beside it.
export function colourBar(el, most, unit) {
  const canvas = heatmap(el("canvas", { class: "pixels", "aria-hidden": "true" }), Array.from({ length: 64 }, (_, i) => i / 63), 64, 1);
  const end = Number.isInteger(most) ? String(most) : most.toPrecision(3);
  return el("div", { class: "bar", role: "img", "aria-label": `colours from 0 to ${end} ${unit}` },
    el("span", {}, "0"), canvas, el("span", {}, `${end} ${unit}`));
}
