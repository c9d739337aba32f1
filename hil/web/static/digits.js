// The digits of a run as a strip: what was right, what was wrong, which one is open.

import { el, renew } from "./dom.js";

const PAGE = 200;

// `choose(digit)` is called for the one that is picked.
export function digitStrip(choose) {
  let digits = [], filter = { name: "all" }, from = 0, chosen = null, follows = true;
  const buttons = new Map();
  const cells = el("div", { class: "strip", role: "group", "aria-label": "digits" });
  const pager = el("div", { class: "buttons" });
  const filters = el("div", { class: "tabs", role: "group", "aria-label": "which digits" });
  const node = el("div", {}, filters, cells, pager);

  const kept = () => digits.filter((d) => (filter.name === "wrong" ? d.label >= 0 && d.answer !== d.label
    : filter.name === "pair" ? d.label === filter.label && d.answer === filter.answer : true));

  function draw() {
    const names = [["all", "all"], ["wrong", "wrong answers"]];
    renew(filters, filter, () => [...names.map(([name, text]) => el("button", {
      type: "button", "aria-pressed": String(filter.name === name), click: () => { filter = { name }; from = 0; draw(); },
    }, text)), ...(filter.name === "pair" ? [el("button", { type: "button", "aria-pressed": "true" }, `${filter.label} answered ${filter.answer}`)] : [])]);
    const found = kept();
    if (follows && filter.name === "all") from = Math.floor(Math.max(found.length - 1, 0) / PAGE) * PAGE;
    const some = found.slice(from, from + PAGE);
    const wanted = some.map(button);
    const there = [...cells.children];
    if (there.every((node, i) => node === wanted[i])) cells.append(...wanted.slice(there.length));
    else cells.replaceChildren(...wanted);
    if (some.length && !cells.querySelector('[tabindex="0"]')) cells.firstChild.tabIndex = 0;
    if (!some.length) cells.append(el("p", { class: "note" }, filter.name === "all" ? "None is finished yet." : "None."));
    const step = (by) => el("button", {
      type: "button", disabled: from + by < 0 || from + by >= found.length, click: () => { from += by; follows = false; draw(); },
    }, by < 0 ? "earlier" : "later");
    renew(pager, [from, some.length, found.length], () => (found.length > PAGE
      ? [step(-PAGE), el("span", {}, `${from + 1}…${from + some.length} of ${found.length}`), step(PAGE)] : []));
  }

  // The button of a digit, the same one for as long as its answer is: a press under way must not lose it.
  function button(d) {
    const right = d.label < 0 || d.answer === d.label, key = [d.noise, d.index, d.label, d.answer].join("/");
    const truth = d.label < 0 ? "unlabelled" : `a ${d.label}`;
    if (!buttons.has(key)) {
      buttons.set(key, el("button", {
        type: "button", class: right ? "hit" : "miss", title: `digit ${d.index}: ${truth}, answer ${d.answer}`,
        "aria-label": `digit ${d.index}, ${truth}, answer ${d.answer}${d.noise ? `, noise ${d.noise} %` : ""}`, click: () => choose(d),
      }, right ? String(d.answer) : `${d.label}→${d.answer}`));
    }
    const node = buttons.get(key), open = Boolean(chosen && chosen.index === d.index && chosen.noise === d.noise);
    node.setAttribute("aria-pressed", String(open));
    node.tabIndex = open ? 0 : -1;
    return node;
  }

  cells.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], all = [...cells.children], at = all.indexOf(document.activeElement);
    if (!step || at < 0 || !all[at + step]) return;
    event.preventDefault();
    all[at].tabIndex = -1;
    all[at + step].tabIndex = 0;
    all[at + step].focus();
  });

  return {
    node,
    update(now) { digits = now; draw(); },
    select(digit, following) { chosen = digit; follows = following; draw(); },
    pair(label, answer) { filter = { name: "pair", label, answer }; from = 0; draw(); },
    wrong() { filter = { name: "wrong" }; from = 0; draw(); },
  };
}
