// What the page asks of its server, and what is said where no answer comes. Nothing else is ever asked.

const GONE =
  "The review's program does not answer. What was saved is kept. Start it again where it was started, and open the address that it prints.";

/** An answer that is no: its words are for the reader. */
export class Refusal extends Error {
  constructor(words, status = 0) {
    super(words);
    this.status = status;
  }
}

async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, { credentials: "same-origin", cache: "no-store", ...options });
  } catch {
    throw new Refusal(GONE);
  }
  const text = await answer.text();
  if (answer.ok) return JSON.parse(text);
  throw new Refusal(wordsOf(text) || `The review's program refused this (${answer.status}).`, answer.status);
}

function wordsOf(text) {
  try {
    const found = JSON.parse(text);
    return found.error || found.message || found.detail || "";
  } catch {
    return text.slice(0, 400);
  }
}

const post = (name, fields) =>
  ask(`/api/${name}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) });
const query = (fields) => new URLSearchParams(fields).toString();

export const api = {
  session: () => ask("/api/session"),
  tubes: (gate) => ask(`/api/tubes?${query({ gate })}`),
  pictures: (gate) => ask(`/api/pictures?${query({ gate })}`),
  overlay: (tube, gate) => ask(`/api/overlay?${query({ tube, gate })}`),
  agreement: () => ask("/api/agreement"),
  open: (tube, gate) => post("open", { tube, gate }),
  edit: (tube, message) => post("edit", { tube, message }),
  discard: (tube) => post("discard", { tube }),
  save: (fields) => post("save", fields),
  decide: (tube, gate, decision, comment) => post("decide", { tube, gate, decision, comment }),
  decideAll: (tubes, gate, decision) => post("decide_all", { tubes, gate, decision }),
  undo: () => post("undo", {}),
  redo: () => post("redo", {}),
  close: () => post("close", {}),
};
