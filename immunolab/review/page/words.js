// Words and marks that the views share. A state is a shape and a word, and never a colour alone.

import { html, svg } from "./editor.js";

export const DECISIONS = { accept: "accepted", reject: "rejected", undecided: "undecided" };
export const plain = (word) => word.replaceAll("_", " ");
export const count = (n) => n.toLocaleString("en-US");
export const share = (percent) => (percent === null ? "withheld" : `${percent.toFixed(percent < 10 ? 2 : 1)} %`);
/** A tube's percentage with its gates as they are now; none while a moved one is being counted, or where it cannot be. */
export const numberOf = (one) => (one.failed ? "not counted" : one.behind ? "counting…" : share(one.percent));
export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;
/** The name at the end of a path; all events are the root. */
export const nameOf = (path) => path.split("/").pop() || "root";
export const decisionOf = (tube) => (tube.decision in DECISIONS ? tube.decision : "undecided");

const MARKS = {
  accept: ["M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Z", "M4.6 8.4 7 10.8l4.4-5.2"],
  reject: ["M2 2h12v12H2Z", "M5 5l6 6M11 5l-6 6"],
  undecided: ["M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8Z", ""],
  flag: ["M8 1.8 15 14H1Z", "M8 6.2v3.6M8 11.4v1"],
  moved: ["", "M1.5 8h13M4.8 4.6 1.5 8l3.3 3.4M11.2 4.6 14.5 8l-3.3 3.4"],
  comment: ["M2 2.5h12v8.5H7l-3.4 3v-3H2Z", ""],
};

/** A mark of 16 by 16; its word is beside it, so that it is none for a screen reader. */
export function mark(name) {
  const [body, stroke] = MARKS[name];
  const made = svg("svg", { viewBox: "0 0 16 16", class: `mark mark-${name}`, "aria-hidden": "true" });
  if (body) made.append(svg("path", { d: body, class: "mark-body" }));
  if (stroke) made.append(svg("path", { d: stroke, class: "mark-line" }));
  return made;
}

export const unseen = (text) => html("span", { class: "unseen", text });

/** A menu with its label. */
export function menu(label, options, chosen, onchange) {
  const select = html("select", { onchange: (event) => onchange(event.target.value) });
  for (const [value, text] of options) select.append(html("option", { value, text, selected: value === chosen }));
  return html("label", { class: "menu" }, html("span", { text: label }), select);
}

const READ = 4000; // ms that a message stays: a line of words is read in two
let quiet = null;

/** Say something once, in the line that a screen reader reads too. */
export function say(text, wrong = false) {
  const line = document.getElementById("said");
  clearTimeout(quiet);
  line.textContent = text;
  line.classList.toggle("wrong", wrong);
  if (!wrong) quiet = setTimeout(() => (line.textContent = ""), READ);
}
