// Elements are made, never parsed: whatever a run file says stays text.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) node.style.setProperty(key, text);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// An HTML element; a function among the attributes listens to the event of that name.
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

const made = new WeakMap();

// New children where `key` tells that there is something new; a press that is under way and the focus stay otherwise.
export function renew(node, key, make) {
  const text = JSON.stringify(key);
  if (made.get(node) === text) return;
  made.set(node, text);
  const pressable = () => [...node.querySelectorAll("button, a, input, summary")];
  const held = pressable().indexOf(document.activeElement);
  node.replaceChildren(...[make()].flat());
  if (held >= 0) pressable()[held]?.focus();
}

export function section(title, note, ...children) {
  return el("section", {}, el("h2", {}, title), note ? el("p", { class: "note" }, note) : null, ...children);
}

export function table(head, rows, attributes = {}) {
  const cells = (tag, row) => row.map((cell, i) => el(tag, { "data-name": tag === "td" && head ? head[i] : null }, cell));
  return el("div", { class: "scroll" }, el("table", attributes,
    head ? el("thead", {}, el("tr", {}, ...cells("th", head))) : null,
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells("td", row))))));
}

export function facts(rows) {
  return el("div", { class: "scroll" }, el("table", { class: "facts" },
    el("tbody", {}, ...rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value))))));
}
