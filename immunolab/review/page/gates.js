// The list of gates: how many tubes of each are flagged, and how many nobody has decided on yet.

import { html } from "./editor.js";
import { store, undecidedOf } from "./store.js";
import { count, mark, nameOf, unseen } from "./words.js";

const list = () => document.getElementById("gates");

export function showGates(go) {
  const { gates } = store.session;
  const least = Math.min(...gates.map((one) => depthOf(one.path)));
  const had = list().contains(document.activeElement) ? document.activeElement.dataset.gate : null;
  const head = html("p", { class: "gates-head", "aria-hidden": "true" });
  head.append(html("span", { text: "Gate" }), html("span", { text: "flagged" }), html("span", { text: "to do" }));
  const items = gates.map((gate) => html("li", {}, button(gate, depthOf(gate.path) - least, go)));
  list().replaceChildren(head, html("ul", {}, ...items));
  list().querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  if (had) [...list().querySelectorAll("button")].find((one) => one.dataset.gate === had)?.focus();
}

const depthOf = (path) => path.split("/").length;

function button(gate, depth, go) {
  const todo = undecidedOf(gate);
  const here = gate.path === store.gate;
  const flagged = html("span", { class: "number" });
  if (gate.n_flagged) flagged.append(mark("flag"), count(gate.n_flagged), unseen(" flagged,"));
  const left = html("span", { class: "number" });
  if (todo) left.append(count(todo), unseen(" undecided"));
  else left.append(mark("accept"), unseen(" all decided"));
  const made = html("button", {
    type: "button",
    "data-gate": gate.path,
    "aria-current": here ? "true" : false,
    tabindex: here ? "0" : "-1",
    title: `${gate.name} of ${nameOf(gate.parent)}`,
    onclick: () => go({ gate: gate.path }),
    onkeydown: step,
  });
  const name = html("span", { class: "gate-name", text: gate.name });
  name.style.paddingLeft = `${Math.min(depth, 8) * 0.5}em`;
  made.append(name, flagged, left);
  return made;
}

function step(event) {
  const all = [...list().querySelectorAll("button")];
  const at = all.indexOf(event.currentTarget);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  all[to]?.focus();
}

/** How much of everything has been decided. */
export function showProgress() {
  const { gates } = store.session;
  const n = gates.reduce((sum, one) => sum + one.n, 0);
  const done = gates.reduce((sum, one) => sum + one.n_decided, 0);
  const bar = document.getElementById("progress");
  bar.max = Math.max(1, n);
  bar.value = done;
  document.getElementById("progress-words").textContent = `${count(done)} of ${count(n)} decided`;
}
