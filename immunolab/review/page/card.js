// One tube's picture of one gate, with its percentage, its state and its flags.

import { html } from "./editor.js";
import { pictureOf } from "./store.js";
import { thumbnail } from "./thumbs.js";
import { DECISIONS, decisionOf, mark, numberOf, plain, unseen } from "./words.js";

/** A button with the picture; `fill` writes what changes. */
export function card(one, onclick) {
  const made = html("button", { type: "button", class: "card", "data-tube": one.tube, tabindex: "-1", onclick });
  const words = html("span", { class: "card-words" });
  made.append(html("span", { class: "picture" }, thumbnail(pictureOf(one.tube))), words);
  fill(made, one);
  return made;
}

export function fill(made, one) {
  const decision = decisionOf(one);
  made.dataset.decision = decision;
  const first = html("span", { class: "line" }, mark(decision), html("strong", { text: one.tube }), unseen(`, ${DECISIONS[decision]}`));
  if (one.overridden) first.append(mark("moved"), unseen(", border moved by a reader"));
  if (one.comment) first.append(mark("comment"), unseen(", with a comment"));
  first.append(unseen(", "), html("span", { class: "number", text: numberOf(one) }));
  made.querySelector(".card-words").replaceChildren(first, flags(one));
}

function flags(one) {
  if (!one.flags.length) return html("span", { class: "flags quiet" }, html("span", { class: "cut", text: one.why || "" }));
  const text = one.flags.map(plain).join(", ");
  return html("span", { class: "flags" }, mark("flag"), unseen(", flags: "), html("span", { class: "cut", text }));
}
