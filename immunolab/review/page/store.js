// What is known of the review, and where the reader is in it. Views read it; only this file writes it.

import { api } from "./api.js";
import { decisionOf } from "./words.js";

const KEPT = 6; // gates whose pictures are kept for a way back; of 500 tubes each is about 2 MB

export const store = {
  session: null,
  gate: "", // path
  tubes: [], // of the gate, worst first
  tube: "", // code of the tube in the large plot, or none
  filters: { flag: "", batch: "", panel: "", undecided: false },
  grouped: false,
};
const pictures = new Map(); // gate -> Map(tube -> picture)

export const gateOf = (path) => store.session.gates.find((one) => one.path === path);
export const tubeOf = (code) => store.tubes.find((one) => one.tube === code);
export const pictureOf = (code) => pictures.get(store.gate)?.get(code);
export const meaningOf = (word) => store.session.flags.find((one) => one.word === word)?.meaning || "";

export async function loadSession(found) {
  store.session = found?.gates ? found : await api.session();
}

/** Load a gate's tubes, and its pictures unless they are there. */
export async function loadGate(path, { again = false } = {}) {
  const has = pictures.has(path) && !again;
  const [listed, drawn] = await Promise.all([api.tubes(path), has ? null : api.pictures(path)]);
  store.gate = path;
  store.tubes = listed.tubes || listed;
  if (drawn) {
    pictures.delete(path);
    pictures.set(path, new Map(drawn.tubes.map((one) => [one.tube, { bins: drawn.bins, ...one }])));
    if (pictures.size > KEPT) pictures.delete(pictures.keys().next().value);
  }
}

/** Forget the pictures of every gate: borders have changed. */
export const forgetPictures = () => pictures.clear();

/** Forget the pictures of every gate but the one that is shown. */
export function forgetOthers() {
  for (const path of [...pictures.keys()]) if (path !== store.gate) pictures.delete(path);
}

/** The tubes that the filters leave, worst first. */
export function shown() {
  const { flag, batch, panel, undecided } = store.filters;
  return store.tubes.filter(
    (one) =>
      (!flag || (flag === "*" ? one.flags.length : one.flags.includes(flag))) &&
      (!batch || one.batch === batch) &&
      (!panel || one.panel === panel) &&
      (!undecided || decisionOf(one) === "undecided"),
  );
}

/** The tubes shown, patient by patient in the order of each one's worst tube. */
export function groups(tubes) {
  const found = new Map();
  for (const one of tubes) found.set(one.group, [...(found.get(one.group) || []), one]);
  return [...found].map(([group, members]) => ({ group, members }));
}

/** The next undecided tube of the gate after one, around the end; none where all are decided. */
export function nextUndecided(after) {
  const order = shown();
  const at = order.findIndex((one) => one.tube === after);
  const around = [...order.slice(at + 1), ...order.slice(0, Math.max(0, at))];
  return around.find((one) => decisionOf(one) === "undecided") || null;
}

export const undecidedOf = (gate) => gate.n - gate.n_decided;
/** The next gate in the list with something undecided, around the end. */
export function nextGate(path) {
  const { gates } = store.session;
  const at = gates.findIndex((one) => one.path === path);
  return [...gates.slice(at + 1), ...gates.slice(0, at)].find((one) => undecidedOf(one) > 0) || null;
}

/** Accept tubes of the gate at once. */
export async function acceptAll(tubes) {
  const answer = await api.decideAll(tubes.map((one) => one.tube), store.gate, "accept");
  for (const one of tubes) one.decision = "accept";
  await loadSession(answer.session);
}

export async function decide(code, decision, comment) {
  const one = tubeOf(code);
  const words = comment === undefined ? one.comment || "" : comment;
  const answer = await api.decide(code, store.gate, decision, words);
  one.decision = decision;
  one.comment = words;
  await loadSession(answer.session || answer);
}
