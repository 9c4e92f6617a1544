// The page of a review: where the reader is, and what each button and key does. The address after # is the place.

import { showAgreement } from "./agreement.js";
import { api } from "./api.js";
import * as dialogs from "./dialogs.js";
import { showGates, showProgress } from "./gates.js";
import * as grid from "./grid.js";
import { commandOf } from "./keys.js";
import * as plot from "./plot.js";
import { acceptAll, decide, forgetOthers, forgetPictures, gateOf, loadGate, loadSession, nextGate, nextUndecided, shown, store, tubeOf, undecidedOf } from "./store.js";
import { DECISIONS, decisionOf, many, say } from "./words.js";

const byId = (id) => document.getElementById(id);
const LETTERS = "letters"; // where the browser keeps, for as long as its tab is open, that single letters are no keys
let letters = sessionStorage.getItem(LETTERS) !== "off";
const COUNTING = 1000; // ms between two questions whether moved tubes are counted
let dragging = false;
let counting = null;
let moving = false;

// -- the place ------------------------------------------------------------------------------------------------------------

const addressOf = ({ gate, tube = "" }) => `#${encodeURIComponent(gate)}${tube ? `/${encodeURIComponent(tube)}` : ""}`;
function placeOf(hash) {
  const [gate = "", tube = ""] = hash.slice(1).split("/").map(decodeURIComponent);
  return { gate, tube };
}

/** Go to a gate's grid or to a tube's plot; a border that is moved and not saved is asked about first. */
async function go(place) {
  const to = addressOf(place);
  if (to === location.hash || !(await mayLeave())) return;
  location.hash = to;
}

async function mayLeave() {
  if (!plot.unsaved()) return true;
  const answer = await dialogs.askUnsaved(plot.unsaved());
  if (answer === "save") plot.toSave();
  if (answer === "drop") await plot.discard();
  return answer === "drop";
}

async function arrive() {
  if (plot.unsaved() && location.hash !== addressOf(store)) {
    const wanted = location.hash;
    history.replaceState(null, "", addressOf(store));
    if (await mayLeave()) location.hash = wanted;
    return;
  }
  const { gate, tube } = placeOf(location.hash);
  const path = gateOf(gate) ? gate : firstGate();
  const before = store.tube;
  if (path !== store.gate) {
    await loadGate(path);
    grid.showGrid();
    showGates(go);
  }
  showPlace(tubeOf(tube) ? tube : "", before);
}

/** The gate to begin with: the first that has a flag, else the first. */
const firstGate = () => (store.session.gates.find((one) => one.n_flagged && undecidedOf(one)) || store.session.gates[0]).path;

function showPlace(tube, before = "") {
  store.tube = tube;
  byId("agreement").hidden = true;
  byId("grid").hidden = Boolean(tube);
  byId("plot").hidden = !tube;
  document.body.classList.toggle("gates-open", false);
  byId("show-gates").setAttribute("aria-expanded", "false");
  if (tube) plot.showPlot(tube);
  else {
    plot.leave();
    showUndo();
    grid.focusOn(before || grid.current());
  }
  document.title = `${gateOf(store.gate).name}${tube ? ` in ${tube}` : ""} – Gate review`;
}

// -- the frame ------------------------------------------------------------------------------------------------------------

function showFrame() {
  const { study, reader, blind, closed } = store.session;
  byId("title").textContent = study || "Gate review";
  byId("blind").textContent = closed ? "Closed" : blind ? "Names hidden" : "Names shown";
  byId("blind").dataset.blind = String(blind);
  byId("reader").textContent = reader ? `Reader ${reader}` : "";
  showUndo();
  document.querySelector('[data-do="finish"]').hidden = closed;
  document.querySelector('[data-do="agreement"]').hidden = !closed;
  document.body.classList.toggle("closed", closed);
  showProgress();
}

/** A border that is moved and not saved is taken back first, then what was saved and decided. */
function showUndo() {
  const { undo, redo } = store.session;
  for (const [name, words] of [["undo", plot.undoWords() || undo], ["redo", plot.redoWords() || redo]]) {
    const button = document.querySelector(`[data-do="${name}"]`);
    button.disabled = !words || store.session.closed;
    button.title = words;
  }
}

/** While tubes with moved gates are counted, ask again; then show the percentages and pictures that they have now. */
function awaitCounts() {
  clearTimeout(counting);
  if (store.session.settled === false) counting = setTimeout(() => counted().catch((refusal) => say(refusal.message, true)), COUNTING);
}

async function counted() {
  await loadSession();
  if (!store.session.settled) return awaitCounts();
  const code = grid.current();
  const had = byId("grid").contains(document.activeElement);
  await loadGate(store.gate, { again: true });
  forgetOthers();
  grid.showGrid();
  if (had && !dialogs.isOpen()) grid.focusOn(code);
}

function showSession() {
  awaitCounts();
  showFrame();
  showGates(go);
}

/** Load everything that is shown anew: a border was saved, or something was undone. */
async function reload(found) {
  await loadSession(found);
  forgetPictures();
  await loadGate(store.gate, { again: true });
  grid.showGrid();
  showSession();
  if (store.tube) plot.reopen();
}

// -- commands -------------------------------------------------------------------------------------------------------------

const here = () => store.tube || grid.current();

async function decideHere(decision) {
  const code = here();
  if (!code || closedSays()) return;
  const after = grid.after(code);
  await decide(code, decision);
  showSession();
  say(`${code} ${DECISIONS[decision]}.`);
  if (store.filters.undecided) grid.showList();
  else grid.refresh(code);
  plot.showDecision();
  if (decision === "undecided") return;
  if (store.tube) await commands.next();
  else grid.focusOn(after);
}

function closedSays() {
  if (store.session.closed) say("The review is closed: nothing can be changed.");
  return store.session.closed;
}

async function back(move, name) {
  if (store.tube && name === "undo" && plot.unsaved()) return plot.undoWords() ? plot.undoMove() : commands.dropMove();
  if (store.tube && name === "redo" && plot.redoWords()) return plot.redoMove();
  if (!store.session[name] || closedSays()) return say(store.session.closed ? "The review is closed: nothing can be changed." : `Nothing to ${name}.`);
  if (moving) return;
  moving = true; // a second press before the answer would take back one more than is seen
  const words = store.session[name];
  const answer = await move().finally(() => (moving = false));
  await reload(answer.session || answer);
  grid.focusOn(here());
  say(`${name === "undo" ? "Undone" : "Done again"}: ${words}.`);
}

const commands = {
  accept: () => decideHere("accept"),
  reject: () => decideHere("reject"),
  undecide: () => decideHere("undecided"),
  async acceptAll() {
    const tubes = shown().filter((one) => decisionOf(one) === "undecided");
    if (closedSays()) return;
    if (!tubes.length) return say("Nothing that is shown is undecided.");
    if (!(await dialogs.askAcceptAll(tubes))) return;
    say("Accepting…");
    await acceptAll(tubes);
    showSession();
    grid.showList();
    grid.focusOn(grid.current());
    say(`${many(tubes.length, "tube")} accepted.`);
  },
  open: (tube) => go({ gate: store.gate, tube }),
  back: () => go({ gate: store.gate }),
  undo: () => back(api.undo, "undo"),
  redo: () => back(api.redo, "redo"),
  grouped: () => grid.flip("grouped"),
  undecided: () => grid.flip("undecided"),
  filters: () => byId("grid").querySelector(".tools select")?.focus(),
  edit: () => plot.toBorder(),
  save: () => plot.toSave(),
  overlay: () => plot.flipOverlay(),
  gateBefore: () => otherGate(-1),
  gateAfter: () => otherGate(1),
  agreement,

  async next() {
    const to = nextUndecided(here());
    if (to) return store.tube ? commands.open(to.tube) : grid.focusOn(to.tube);
    const gate = nextGate(store.gate);
    say(gate ? `${gateOf(store.gate).name} is done. Next with something undecided: ${gate.name}.` : "Everything is decided. Finish closes the review.");
    if (store.tube) await commands.back();
  },
  gates() {
    document.body.classList.add("gates-open");
    byId("show-gates").setAttribute("aria-expanded", "true");
    byId("gates").querySelector('[tabindex="0"]')?.focus();
  },
  async comment() {
    const code = here();
    if (!code || closedSays()) return;
    const words = await dialogs.askComment(code);
    if (words === null) return;
    await decide(code, decisionOf(tubeOf(code)), words);
    showSession();
    grid.refresh(code);
    plot.showDecision();
    say(words ? "Comment kept." : "Comment removed.");
  },
  async saveAs({ scope, reason, comment }) {
    try {
      const { changed, session } = await api.save({ tube: store.tube, gate: store.gate, scope, reason, comment });
      await reload(session);
      const where = session.applies ? "The next run applies it." : "Kept to compare readers: the next run takes the first reader's gates.";
      say(`Saved in ${many(changed.length, "tube")}. ${where}`);
    } catch (refusal) {
      say(refusal.message, true);
    }
  },
  moved: showUndo,
  async dropMove() {
    await plot.discard();
    plot.reopen();
    say("The border is as it was.");
  },
  async finish() {
    if (closedSays() || !(await mayLeave()) || !(await dialogs.askFinish())) return;
    await api.close();
    history.replaceState(null, "", " ");
    await loadSession();
    store.gate = "";
    store.tube = "";
    forgetPictures();
    await arrive();
    showSession();
    say("The review is closed. Patients and visits are shown by name.");
  },
  help: () =>
    dialogs.showKeys(letters, (on) => {
      letters = on;
      sessionStorage.setItem(LETTERS, on ? "on" : "off");
    }),
};

async function agreement() {
  plot.leave();
  store.tube = "";
  byId("grid").hidden = byId("plot").hidden = true;
  byId("agreement").hidden = false;
  await showAgreement(() => showPlace(""));
}

function otherGate(by) {
  const { gates } = store.session;
  const to = gates[gates.findIndex((one) => one.path === store.gate) + by];
  return to ? go({ gate: to.path }) : say(by < 0 ? "This is the first gate." : "This is the last gate.");
}

/** Do something, and say in words what could not be done. */
async function perform(name) {
  try {
    await commands[name]();
  } catch (refusal) {
    say(refusal.message, true);
    if (refusal.name !== "Error") console.error(refusal);
  }
}

// -- hands and keys -------------------------------------------------------------------------------------------------------

function listen() {
  const said = (name) => (...given) => Promise.resolve(commands[name](...given)).catch((refusal) => say(refusal.message, true));
  const page = Object.fromEntries(Object.keys(commands).map((name) => [name, said(name)]));
  grid.setUp(page);
  plot.setUp(page);
  for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => perform(button.dataset.do));
  byId("show-gates").addEventListener("click", () => {
    const open = document.body.classList.toggle("gates-open");
    byId("show-gates").setAttribute("aria-expanded", String(open));
    if (open) byId("gates").querySelector('[tabindex="0"]')?.focus();
  });
  byId("plot").addEventListener("pointerdown", () => (dragging = true), true);
  for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => (dragging = false), true);
  window.addEventListener("hashchange", () => arrive().catch((refusal) => say(refusal.message, true)));
  window.addEventListener("beforeunload", (event) => plot.unsaved() && event.preventDefault());
  document.addEventListener("keydown", press, true); // before the editor, which keeps keys to itself
}

function press(event) {
  if (dialogs.isOpen() || dragging) return;
  if (event.key === "Escape" && event.target.matches?.("input, textarea, select")) {
    event.target.blur();
    byId(store.tube ? "plot-name" : "gate-name").focus();
    event.stopPropagation();
    return;
  }
  const command = commandOf(event, store.tube ? "plot" : "grid", letters);
  if (!command) return;
  event.preventDefault();
  event.stopPropagation();
  perform(command);
}

async function begin() {
  listen();
  try {
    await loadSession();
    showFrame();
    await arrive();
    awaitCounts();
  } catch (refusal) {
    say(refusal.message, true);
  }
}

begin();
