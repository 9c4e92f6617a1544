// Questions that are asked before something is done, and the overlay of keys.

import { html } from "./editor.js";
import { KEYS } from "./keys.js";
import { store, tubeOf, gateOf, undecidedOf } from "./store.js";
import { count, many } from "./words.js";

let serial = 0;

/** Show a dialog and resolve to the value of the button that closes it; Escape is "". The focus goes back where it was. */
function ask(title, body, buttons, ready = () => {}) {
  const id = `dialog-${++serial}`;
  const back = document.activeElement;
  const made = html("dialog", { "aria-labelledby": id });
  const form = html("form", { method: "dialog" }, html("h2", { id, text: title }), ...body);
  const row = html("div", { class: "buttons" });
  for (const { text, value, strong, id: own } of buttons) {
    row.append(html("button", { type: "submit", value, text, class: strong ? "strong" : false, id: own || false, formnovalidate: value === "" }));
  }
  form.append(row);
  made.append(form);
  document.body.append(made);
  made.showModal();
  ready(made);
  return new Promise((resolve) => {
    made.addEventListener("close", () => {
      made.remove();
      if (back?.isConnected) back.focus();
      resolve(made.returnValue);
    });
  });
}

export const isOpen = () => Boolean(document.querySelector("dialog[open]"));

/** Ask for a comment; null where it is left. */
export async function askComment(code) {
  const field = html("textarea", { rows: "4", maxlength: "2000", id: "comment", required: false });
  field.value = tubeOf(code).comment || "";
  const label = html("label", { for: "comment", text: "What should the next person know about this gate in this tube?" });
  const keep = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) field.form.requestSubmit(field.form.querySelector(".strong"));
  };
  field.addEventListener("keydown", keep);
  const buttons = [{ text: "Cancel", value: "" }, { text: "Keep the comment", value: "keep", strong: true }];
  const answer = await ask(`${gateOf(store.gate).name} in ${code}`, [label, field], buttons, () => field.focus());
  return answer === "keep" ? field.value.trim() : null;
}

/** Ask what becomes of a border that was moved and not saved: "save", "drop", or "" to stay. */
export function askUnsaved(words) {
  const body = html("p", { text: `The border of ${words} is moved and not saved.` });
  return ask("Save the moved border?", [body], [
    { text: "Stay here", value: "" },
    { text: "Leave it as it was", value: "drop" },
    { text: "Choose where it applies…", value: "save", strong: true },
  ]);
}

/** Ask before every tube shown is accepted at once. */
export async function askAcceptAll(tubes) {
  const flagged = tubes.filter((one) => one.flags.length).length;
  const words = flagged ? `${flagged} of them ${flagged === 1 ? "has" : "have"} a flag.` : "None of them has a flag.";
  const body = html("p", { text: `${words} Scroll through all of them first; undo takes the whole step back.` });
  const buttons = [{ text: "Go on looking", value: "" }, { text: `Accept ${many(tubes.length, "tube")}`, value: "accept", strong: true }];
  return (await ask(`Accept ${gateOf(store.gate).name} in ${many(tubes.length, "tube")}?`, [body], buttons)) === "accept";
}

/** The closing step: what is undecided, what closing does, and the reader's word that it is meant. */
export async function askFinish() {
  const open = store.session.gates.filter((one) => undecidedOf(one) > 0);
  const n = open.reduce((sum, one) => sum + undecidedOf(one), 0);
  const body = [];
  if (n) {
    body.push(html("p", { text: `${many(n, "picture")} ${n === 1 ? "is" : "are"} undecided and will stay so:` }));
    body.push(html("ul", { class: "undecided", tabindex: "0", "aria-label": "Undecided" }, ...open.map((one) => html("li", { text: `${one.name}: ${count(undecidedOf(one))} of ${count(one.n)}` }))));
  } else body.push(html("p", { text: "Every picture is decided." }));
  const blind = store.session.blind;
  body.push(html("p", { text: blind ? "Closing shows patients, visits and files by name. Nothing in this review can be changed after that." : "Nothing in this review can be changed after closing." }));
  const box = html("input", { type: "checkbox", required: true, id: "sure" });
  body.push(html("label", { class: "check" }, box, blind ? "I have finished, and want to see the names." : "I have finished."));
  const buttons = [{ text: "Go on reviewing", value: "" }, { text: blind ? "Close and show names" : "Close the review", value: "close", strong: true }];
  return (await ask("Close the review", body, buttons, () => box.focus())) === "close";
}

/** All keys, and the switch that turns the single letters off. */
export function showKeys(letters, setLetters) {
  const parts = [];
  for (const group of [...new Set(KEYS.map((one) => one.group))]) {
    const rows = KEYS.filter((one) => one.group === group).flatMap(({ shown, words }) => [
      html("dt", {}, ...shown.flatMap((key, i) => (i ? [" ", html("kbd", { text: key })] : [html("kbd", { text: key })]))),
      html("dd", { text: words }),
    ]);
    parts.push(html("section", {}, html("h3", { text: group }), html("dl", {}, ...rows)));
  }
  const box = html("input", { type: "checkbox", checked: letters, onchange: (event) => setLetters(event.target.checked) });
  const off = html("label", { class: "check" }, box, "Single letters act as keys");
  const body = [html("div", { class: "keys" }, ...parts), off];
  return ask("Keys", body, [{ text: "Close", value: "", strong: true }]);
}
