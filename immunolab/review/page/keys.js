// Every key of the page, once: the table is what the overlay shows, and what a key press is looked up in.

const key = (group, command, shown, words, keys, more = {}) => ({ group, command, shown, words, keys, ...more });
const GRID = "In the grid";
const PLOT = "In the large plot";
const BOTH = "Everywhere";

export const KEYS = [
  key(GRID, "", ["arrows"], "go from picture to picture", []),
  key(GRID, "", ["Enter"], "open the large plot", []),
  key(GRID, "grouped", ["v"], "patients side by side, or worst first", ["v"], { on: "grid" }),
  key(GRID, "undecided", ["t"], "undecided only, or all", ["t"], { on: "grid" }),
  key(GRID, "filters", ["f"], "go to the filters", ["f"], { on: "grid" }),
  key(GRID, "acceptAll", ["Shift A"], "accept all that are shown and undecided", ["A"], { on: "grid" }),
  key(GRID, "gates", ["g"], "go to the list of gates", ["g"]),
  key(PLOT, "edit", ["e"], "go to the border: arrows move it, Shift ten times as far", ["e"], { on: "plot" }),
  key(PLOT, "", ["+", "Delete"], "add or remove a corner at the focus", []),
  key(PLOT, "save", ["s"], "choose where a moved border applies, and save", ["s"], { on: "plot" }),
  key(PLOT, "overlay", ["o"], "show the control, where the run has one", ["o"], { on: "plot" }),
  key(PLOT, "back", ["Esc"], "back to the grid", ["Escape"], { on: "plot", letter: false }),
  key(BOTH, "accept", ["a"], "accept, and go on", ["a"]),
  key(BOTH, "reject", ["x"], "reject, and go on", ["x"]),
  key(BOTH, "undecide", ["u"], "undecided again", ["u"]),
  key(BOTH, "comment", ["c"], "comment", ["c"]),
  key(BOTH, "next", ["n"], "next worst that is undecided", ["n"]),
  key(BOTH, "gateBefore", ["k"], "gate before", ["k"]),
  key(BOTH, "gateAfter", ["j"], "gate after", ["j"]),
  key(BOTH, "undo", ["Ctrl Z"], "undo", ["z"], { ctrl: true }),
  key(BOTH, "redo", ["Ctrl Y"], "redo", ["y", "Z"], { ctrl: true }),
  key(BOTH, "help", ["?"], "these keys", ["?"]),
];

const WRITES = "input:not([type=checkbox]):not([type=radio]), textarea, select";

/** The command of a key press, or none. */
export function commandOf(event, on, letters) {
  const ctrl = event.ctrlKey || event.metaKey;
  const writes = event.target.matches?.(WRITES);
  if (event.altKey || event.isComposing) return "";
  const found = KEYS.find((one) => one.keys.includes(event.key) && Boolean(one.ctrl) === ctrl && (!one.on || one.on === on));
  if (!found) return "";
  const letter = !found.ctrl && found.letter !== false;
  if (writes && (letter || found.ctrl)) return "";
  return letter && !letters ? "" : found.command;
}
