// One tube's gate, large: the editor with the events, what was decided, a patient's other tubes, and the bar to save.

import { api } from "./api.js";
import { card } from "./card.js";
import { html, mount } from "./editor.js";
import { reasons } from "./grid.js";
import { drawOverlay } from "./overlay.js";
import { saveBar } from "./savebar.js";
import { gateOf, pictureOf, store, tubeOf } from "./store.js";
import { forget, thumbnail } from "./thumbs.js";
import { decisionOf, mark, numberOf, say } from "./words.js";

const SILENCE = "No answer yet. Large tubes take a few seconds; if none comes, see whether the review's program is still running.";
const LARGEST = 520; // px of the picture
const section = document.getElementById("plot");

let shown = null; // {code, state, leave, bar, send}
let commands = {};
/** @param {object} found commands of the page that the buttons call */
export const setUp = (found) => (commands = found);

/** The gates that are moved and not saved, in words; empty where there are none. */
export const unsaved = () => shown?.state?.unsaved.join(", ") || "";
/** What undo and redo do to moves that are not saved, in words; empty where they do nothing. */
export const undoWords = () => (unsaved() && shown.state.undo) || "";
export const redoWords = () => shown?.state?.redo || "";

export function leave() {
  shown?.leave();
  shown = null;
  forget(section);
  section.replaceChildren();
}

export function showPlot(code) {
  leave();
  const stage = html("div", { class: "stage" });
  shown = { code, state: null, leave: () => {}, bar: null, send: () => {}, takeOverlay: null };
  shown.bar = saveBar(code, commands.saveAs, commands.dropMove);
  section.append(head(code), html("div", { class: "reasons", id: "reasons" }), stage, shown.bar.bar, siblings(code));
  showDecision();
  openEditor(stage, code);
  document.getElementById("plot-name").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function head(code) {
  const gate = gateOf(store.gate);
  const title = html("h2", { id: "plot-name", tabindex: "-1" }, `${gate.name} in ${code}`);
  title.append(html("span", { class: "quiet", text: ` ${placeOf(tubeOf(code))}` }));
  const back = html("button", { type: "button", text: "← All tubes", onclick: () => commands.back() });
  const next = html("button", { type: "button", text: "Next worst →", onclick: () => commands.next() });
  const control = html("button", { type: "button", text: "Show control", "aria-pressed": "false", id: "overlay", onclick: () => commands.overlay() });
  const decisions = html("div", { class: "buttons", role: "group", "aria-label": "Decision" });
  for (const [name, text] of [["accept", "Accept"], ["reject", "Reject"], ["undecided", "Undecided"]]) {
    const command = name === "undecided" ? "undecide" : name;
    decisions.append(html("button", { type: "button", "data-decision": name, onclick: () => commands[command]() }, mark(name), text));
  }
  const comment = html("button", { type: "button", text: "Comment…", onclick: () => commands.comment() });
  const row = html("div", { class: "buttons acts" }, decisions, comment, control, next);
  return html("div", { class: "plot-head" }, back, title, row);
}

const placeOf = (one) => [`patient ${one.group}`, one.visit, one.batch && `batch ${one.batch}`].filter(Boolean).join(", ");

/** Write what is decided, the flags and the comment. */
export function showDecision() {
  if (!shown) return;
  const one = tubeOf(shown.code);
  for (const button of section.querySelectorAll(".plot-head [data-decision]")) {
    button.setAttribute("aria-pressed", String(button.dataset.decision === decisionOf(one)));
    button.disabled = store.session.closed;
  }
  const made = reasons(one).map((words, i) => (i < one.flags.length ? html("p", {}, mark("flag"), words) : html("p", {}, words)));
  document.getElementById("reasons").replaceChildren(...made);
}

function openEditor(stage, code) {
  const mine = shown;
  const first = html("div", { class: "first-look" }, html("span", { class: "picture" }, thumbnail(pictureOf(code))), html("p", { text: "Opening the events…" }));
  const root = html("div", { hidden: true });
  stage.append(first, root);
  const handlers = [];
  const hear = ({ answers }) => answers.forEach((answer) => handlers.forEach((handler) => handler(answer)));
  let turn = Promise.resolve(); // one request after another: a drop never overtakes a drag
  const send = (message) => {
    const asked = () => (message.type === "open" ? api.open(code, store.gate) : api.edit(code, message));
    turn = turn.then(() => mine === shown && asked().then(hear).catch((refusal) => refused(mine, first, root, refusal)));
  };
  handlers.push((answer) => answer.type === "state" && arrived(mine, first, root, answer));
  mine.send = send;
  mine.leave = mount(root, { send, on: (handler) => handlers.push(handler) }, { redefine: false, largest: LARGEST, silence: SILENCE });
}

function arrived(mine, first, root, state) {
  if (mine !== shown) return;
  if (root.hidden) {
    forget(first);
    first.remove();
    root.hidden = false;
  }
  if (state.picture) hideOverlay();
  mine.state = state;
  mine.bar.show(state, store.gate);
  commands.moved();
}

function refused(mine, first, root, refusal) {
  if (mine !== shown) return;
  if (root.hidden) first.querySelector("p").textContent = refusal.message;
  say(refusal.message, true);
}

/** The patient's other tubes on the same axes. */
function siblings(code) {
  const one = tubeOf(code);
  const others = store.tubes.filter((other) => other.group === one.group && other.tube !== code);
  if (!others.length) return html("span", {});
  const made = others.map((other) => {
    const button = card(other, () => commands.open(other.tube));
    button.tabIndex = 0;
    return html("li", {}, button);
  });
  const here = `${code} itself: ${numberOf(one)}.`;
  return html("section", { class: "patient" }, html("h3", { text: `Other tubes of patient ${one.group}` }), html("p", { class: "quiet", text: here }), html("ul", { class: "cards" }, ...made));
}

export const undoMove = () => shown.send({ type: "undo" });
export const redoMove = () => shown.send({ type: "redo" });
export const toBorder = () => (section.querySelector(".il-handle") || section.querySelector(".il-tree button[aria-current]"))?.focus();

/** Go to the bar to save, or say that there is nothing to save. */
export function toSave() {
  if (unsaved()) shown.bar.focus();
  else say("No border is moved that is not saved.");
}

/** Give up what is moved and not saved. */
export async function discard() {
  await api.discard(shown.code);
  shown.state = null;
}

/** Open the tube again as the server has it now. */
export const reopen = () => shown && showPlot(shown.code);

function hideOverlay() {
  shown.takeOverlay?.();
  shown.takeOverlay = null;
  document.getElementById("overlay").setAttribute("aria-pressed", "false");
}

/** Show the control's events over the picture, or take them away. */
export async function flipOverlay() {
  const mine = shown;
  if (mine.takeOverlay) return hideOverlay();
  const pad = section.querySelector(".il-pad");
  if (!mine.state) return say("The events are not open yet.");
  try {
    const control = await api.overlay(mine.code, store.gate);
    if (mine !== shown) return;
    if (control.none) return say(control.none);
    mine.takeOverlay = drawOverlay(pad, control);
    document.getElementById("overlay").setAttribute("aria-pressed", "true");
    say(`Outlined: ${control.label || "the control"}.`);
  } catch (refusal) {
    say(refusal.message);
  }
}
