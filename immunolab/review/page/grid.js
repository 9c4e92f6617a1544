// The grid of one gate over all tubes: worst first, or a patient's visits side by side, with filters.

import { card, fill } from "./card.js";
import { html } from "./editor.js";
import { gateOf, groups, meaningOf, pictureOf, shown, store, tubeOf } from "./store.js";
import { forget } from "./thumbs.js";
import { DECISIONS, count, decisionOf, many, menu, nameOf, numberOf, plain, say, share } from "./words.js";

const section = document.getElementById("grid");
const head = html("div", { class: "head" });
const tools = html("div", { class: "tools", role: "group", "aria-label": "Which tubes are shown" });
const list = html("div", { class: "list" });
const strip = html("div", { class: "strip", "aria-hidden": "true" });
section.append(head, tools, list, strip);

let commands = {};
/** @param {object} found commands of the page that cards and buttons call */
export const setUp = (found) => (commands = found);

export function showGrid() {
  showHead();
  showTools();
  showList();
}

function showHead() {
  const gate = gateOf(store.gate);
  const title = html("h2", { id: "gate-name", tabindex: "-1" }, gate.name, html("span", { class: "quiet", text: ` of ${nameOf(gate.parent)}` }));
  head.replaceChildren(title, axes());
}

function axes() {
  const picture = store.tubes.map((one) => pictureOf(one.tube)).find(Boolean);
  if (!picture) return html("p", { class: "quiet", text: "The run kept no picture of this gate." });
  const x = picture.x?.label || "";
  const y = picture.histogram || !picture.y ? "events" : picture.y.label;
  const note = picture.note ? [html("span", { text: picture.lines.length ? picture.note : `dots are events of the gate: ${picture.note}` })] : [];
  return html("p", { class: "quiet axes" }, html("span", { text: `→ ${x}` }), html("span", { text: `↑ ${y}` }), "same axes in every picture", ...note);
}

const some = (field) => [...new Set(store.tubes.map((one) => one[field]).filter(Boolean))].sort();

function showTools() {
  const { filters } = store;
  const set = (name) => (value) => {
    filters[name] = value;
    showList();
  };
  const words = [...new Set(store.tubes.flatMap((one) => one.flags))].sort();
  const n = (word) => store.tubes.filter((one) => one.flags.includes(word)).length;
  const flags = [["", "any"], ["*", "with a flag"], ...words.map((word) => [word, `${plain(word)} (${n(word)})`])];
  if (!flags.some(([value]) => value === filters.flag)) filters.flag = "";
  const made = [menu("Flag", flags, filters.flag, set("flag"))];
  for (const [name, label] of [["batch", "Batch"], ["panel", "Panel"]]) {
    const found = some(name);
    if (!found.includes(filters[name])) filters[name] = "";
    if (found.length > 1) made.push(menu(label, [["", "all"], ...found.map((one) => [one, one])], filters[name], set(name)));
  }
  made.push(toggle("Undecided only", "undecided", filters.undecided), toggle("Patients side by side", "grouped", store.grouped));
  const all = html("button", { type: "button", text: "Accept all shown…", onclick: () => commands.acceptAll() });
  tools.replaceChildren(...made, all, html("p", { class: "quiet", id: "n-shown" }));
}

function toggle(text, name, on) {
  return html("button", { type: "button", text, "data-toggle": name, "aria-pressed": String(on), onclick: () => flip(name) });
}

/** Turn a filter of the grid on or off. */
export function flip(name) {
  const of = name === "grouped" ? store : store.filters;
  of[name] = !of[name];
  tools.querySelector(`[data-toggle="${name}"]`).setAttribute("aria-pressed", String(of[name]));
  showList();
  const words = { grouped: ["Worst first.", "Patients side by side."], undecided: ["All.", "Undecided only."] }[name][Number(of[name])];
  say(`${words} ${document.getElementById("n-shown").textContent}.`);
}

export function showList() {
  const tubes = shown();
  forget(list);
  document.getElementById("n-shown").textContent =
    tubes.length === store.tubes.length ? many(tubes.length, "tube") : `${count(tubes.length)} of ${many(store.tubes.length, "tube")}`;
  list.classList.toggle("grouped", store.grouped && tubes.length > 0);
  if (!tubes.length) list.replaceChildren(nothing());
  else if (store.grouped) list.replaceChildren(...groups(tubes).map(row));
  else list.replaceChildren(html("ul", { class: "cards" }, ...tubes.map(item)));
  const first = list.querySelector(".card");
  if (first) first.tabIndex = 0;
  describe(null);
}

const item = (one) => html("li", {}, card(one, () => commands.open(one.tube)));

function row({ group, members }) {
  const sorted = members.every((one) => one.visit) ? [...members].sort((a, b) => a.visit.localeCompare(b.visit, "en", { numeric: true })) : members;
  const title = html("h3", { text: `Patient ${group}` });
  return html("section", { class: "patient" }, title, html("ul", { class: "cards" }, ...sorted.map(item)));
}

function nothing() {
  const clear = () => {
    Object.assign(store.filters, { flag: "", batch: "", panel: "", undecided: false });
    showTools();
    showList();
    list.querySelector(".card")?.focus();
  };
  const text = store.filters.undecided && store.tubes.every((one) => decisionOf(one) !== "undecided");
  const words = text ? "Every tube of this gate is decided." : "No tube matches these filters.";
  return html("p", { class: "nothing" }, `${words} `, html("button", { type: "button", text: "Show all", onclick: clear }));
}

/** Write a tube's card anew. */
export function refresh(code) {
  const made = cardOf(code);
  if (made) fill(made, tubeOf(code));
}

const cardOf = (code) => [...list.querySelectorAll(".card")].find((one) => one.dataset.tube === code);

/** The card that has the focus, or had it last. */
export const current = () => list.querySelector('.card[tabindex="0"]')?.dataset.tube || "";

/** Move the focus to a tube's card, or to the first. */
export function focusOn(code) {
  const to = cardOf(code) || list.querySelector(".card");
  if (to) to.focus();
  else document.getElementById("gate-name").focus();
}

/** The card after one: where the focus goes when that one is decided. */
export function after(code) {
  const all = [...list.querySelectorAll(".card")];
  return all[all.findIndex((one) => one.dataset.tube === code) + 1]?.dataset.tube || code;
}

// -- the line below the grid says in words what the card under the hand or the focus shows ---------------------------------

function describe(one) {
  if (!one) {
    strip.replaceChildren(html("span", { class: "quiet", text: "Point at a picture for its flags in words. Enter opens it, ? shows the keys." }));
    return;
  }
  const where = [`patient ${one.group}`, one.visit, one.batch && `batch ${one.batch}`, some("panel").length > 1 && `panel ${one.panel}`].filter(Boolean).join(", ");
  const of = nameOf(gateOf(store.gate).parent);
  const title = html("strong", { text: one.tube });
  const counted = one.behind ? numberOf(one) : `${share(one.percent)} of ${of}, ${count(one.n)} of ${many(one.n_parent, "event")}`;
  const counts = `${counted}, ${DECISIONS[decisionOf(one)]}`;
  strip.replaceChildren(title, ` ${where}. ${counts}.`, ...reasons(one));
  strip.scrollTop = 0;
}

/** Flags with their meanings, why it is where it is in the order, and a comment. */
export function reasons(one) {
  const made = one.flags.map((word) => html("span", { class: "reason" }, html("b", { text: plain(word) }), ` ${meaningOf(word)}`));
  if (one.why) made.push(html("span", { class: "reason" }, html("b", { text: "why here" }), ` ${one.why}`));
  if (one.comment) made.push(html("span", { class: "reason" }, html("b", { text: "comment" }), ` ${one.comment}`));
  return made;
}

list.addEventListener("focusin", (event) => {
  const made = event.target.closest(".card");
  if (!made) return;
  for (const one of list.querySelectorAll('.card[tabindex="0"]')) one.tabIndex = -1;
  made.tabIndex = 0;
  describe(tubeOf(made.dataset.tube));
});
list.addEventListener("pointerover", (event) => {
  const made = event.target.closest(".card");
  if (made) describe(tubeOf(made.dataset.tube));
});

/** Move the focus with the arrows: along the order, or to the card above or below. */
list.addEventListener("keydown", (event) => {
  const made = event.target.closest(".card");
  if (!made || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = [...list.querySelectorAll(".card")];
  const at = all.indexOf(made);
  const to = { ArrowRight: all[at + 1], ArrowLeft: all[at - 1], Home: all[0], End: all[all.length - 1] };
  if (event.key === "ArrowDown" || event.key === "ArrowUp") to[event.key] = beside(all, made, event.key === "ArrowDown" ? 1 : -1);
  if (!(event.key in to)) return;
  event.preventDefault();
  to[event.key]?.focus();
});

/** The nearest card below or above; places are those of list items, which are laid out though not drawn. */
function beside(all, made, way) {
  const from = made.parentElement.getBoundingClientRect();
  let best = null;
  let least = Infinity;
  for (const one of all) {
    const box = one.parentElement.getBoundingClientRect();
    const down = way * (box.top - from.top);
    const far = 4 * down + Math.abs(box.left - from.left);
    if (down > from.height / 2 && far < least) [best, least] = [one, far];
  }
  return best;
}
