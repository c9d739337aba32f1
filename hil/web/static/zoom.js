// Looking closer: the same gestures for every picture with axes.

const KEYS = { "+": [0.7, 0], "=": [0.7, 0], "-": [1 / 0.7, 0], ArrowLeft: [1, -0.1], ArrowRight: [1, 0.1] };

// `view` has low, high (the range shown), least, first, last (its limits) and changed(); `share` says how far along
// the axis, 0…1, a client x lies. The wheel zooms when the picture has the focus or Ctrl is held, so that a page can
// still be scrolled over it; dragging moves, two fingers pinch, + − ← → 0 do it by keyboard, a double click shows all.
export function zoomable(element, view, share) {
  const held = new Map();
  element.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !element.contains(document.activeElement)) return;
    event.preventDefault();
    zoom(view, Math.exp(event.deltaY * 0.0015), share(event.clientX));
  }, { passive: false });
  element.addEventListener("pointerdown", (event) => {
    if (event.target.closest("[data-handle]")) return;
    held.set(event.pointerId, share(event.clientX));
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) return;
    const before = held.get(event.pointerId), now = share(event.clientX);
    const others = [...held].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    held.set(event.pointerId, now);
    if (others.length === 0) move(view, before - now);
    else if (Math.abs(now - others[0]) > 0.02) zoom(view, Math.abs(before - others[0]) / Math.abs(now - others[0]), others[0]);
  });
  for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, (event) => held.delete(event.pointerId));
  element.addEventListener("dblclick", () => whole(view));
  element.addEventListener("keydown", (event) => {
    if (event.target !== element) return;
    if (event.key === "0") whole(view);
    else if (event.key in KEYS) {
      const [factor, by] = KEYS[event.key];
      if (by) move(view, by);
      else zoom(view, factor, 0.5);
    } else return;
    event.preventDefault();
  });
}

export function zoom(view, factor, at) {
  const width = view.high - view.low;
  const wanted = Math.min(Math.max(width * factor, view.least), view.last - view.first);
  const low = view.low + at * (width - wanted);
  show(view, low, low + wanted);
}

export function move(view, by) {
  const width = view.high - view.low;
  show(view, view.low + by * width, view.low + by * width + width);
}

export function whole(view) {
  show(view, view.first, view.last);
}

export function show(view, low, high) {
  const width = Math.min(high - low, view.last - view.first);
  view.low = Math.min(Math.max(low, view.first), view.last - width);
  view.high = view.low + width;
  view.changed();
}

export function zoomButtons(el, view, more = []) {
  const button = (text, label, act) => el("button", { type: "button", "aria-label": label, title: label, click: act }, text);
  return el("div", { class: "buttons" },
    button("−", "zoom out", () => zoom(view, 1 / 0.6, 0.5)), button("+", "zoom in", () => zoom(view, 0.6, 0.5)),
    button("←", "move left", () => move(view, -0.25)), button("→", "move right", () => move(view, 0.25)),
    button("all", "show everything", () => whole(view)), ...more);
}
