// The bar that appears when a border was moved: where it applies, why, and what it does to the percentage.

import { html } from "./editor.js";
import { store, tubeOf } from "./store.js";
import { many, plain, share } from "./words.js";

let serial = 0;

/** What a moved border can apply to, with how many tubes that is; a choice that adds nothing is left out. */
function scopes(code) {
  const one = tubeOf(code);
  const alike = store.tubes.filter((other) => other.panel === one.panel); // a border of another panel is another border
  const n = (field) => alike.filter((other) => other[field] === one[field]).length;
  const found = [{ scope: "tube", text: "this tube" }];
  const patient = n("group");
  if (patient > 1) found.push({ scope: "patient", text: `patient ${one.group}: ${many(patient, "tube")}` });
  if (one.batch && n("batch") > 1) found.push({ scope: "batch", text: `batch ${one.batch}: ${many(n("batch"), "tube")}` });
  const all = alike.length < store.tubes.length ? ` of panel ${one.panel}` : "";
  if (alike.length > 1) found.push({ scope: "all", text: `all ${many(alike.length, "tube")}${all}` });
  return found;
}

/** Make the bar of a tube. `onsave` gets {scope, reason, comment}; `ondrop` leaves the border as it was. */
export function saveBar(code, onsave, ondrop) {
  const id = `save-${++serial}`;
  const words = html("p", { class: "effect" });
  const scope = html("fieldset", {}, html("legend", { text: "Applies to" }));
  for (const { scope: value, text } of scopes(code)) {
    const box = html("input", { type: "radio", name: id, value, checked: value === "tube" });
    scope.append(html("label", { class: "check" }, box, text));
  }
  const reason = html("select", { id: `${id}-reason`, required: true });
  reason.append(html("option", { value: "", text: "choose a reason" }));
  for (const one of store.session.reasons) reason.append(html("option", { value: one.word, text: one.meaning || plain(one.word), title: plain(one.word) }));
  const comment = html("input", { id: `${id}-comment`, maxlength: "2000", autocomplete: "off" });
  reason.addEventListener("change", () => (comment.required = reason.value === "other")); // that reason is the comment
  const save = html("button", { type: "submit", class: "strong", text: "Save" });
  const drop = html("button", { type: "button", text: "Leave as it was", onclick: ondrop });
  const fields = html("div", { class: "fields" },
    html("label", { class: "menu", for: reason.id }, html("span", { text: "Reason" }), reason),
    html("label", { class: "menu wide", for: comment.id }, html("span", { text: "Comment" }), comment),
    save, drop);
  const bar = html("form", { class: "save", "aria-label": "Save the moved border", hidden: true }, words, scope, fields);
  bar.addEventListener("submit", (event) => {
    event.preventDefault();
    save.disabled = true;
    const chosen = scope.querySelector("input:checked").value;
    onsave({ scope: chosen, reason: reason.value, comment: comment.value.trim() }).finally(() => (save.disabled = false));
  });
  return { bar, show: (state, gate) => show(bar, words, state, gate), focus: () => scope.querySelector("input:checked").focus() };
}

/** Say what the move does to the gate that is looked at, and how many populations below it change. */
function show(bar, words, state, gate) {
  bar.hidden = !state.unsaved.length;
  if (bar.hidden) return;
  const row = state.rows.find((one) => one.path === gate);
  const below = state.rows.filter((one) => one.was && one.path !== gate).length;
  const parts = [`${state.unsaved.join(", ")} moved`];
  if (row?.was) parts.push(`${row.name} ${share(row.was.percent)} → ${share(row.percent)}`);
  if (below) parts.push(`${many(below, "further population")} ${below === 1 ? "changes" : "change"}`);
  words.textContent = `${parts.join(" · ")} · not saved yet`;
}
