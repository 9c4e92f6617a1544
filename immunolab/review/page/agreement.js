// After closing: how far two readers agree, as a table.

import { api } from "./api.js";
import { html } from "./editor.js";
import { plain } from "./words.js";

const section = document.getElementById("agreement");

/** Show the table, or in words why there is none. */
export async function showAgreement(back) {
  const title = html("h2", { id: "agreement-name", tabindex: "-1", text: "Agreement between readers" });
  const button = html("button", { type: "button", text: "← All tubes", onclick: back });
  section.replaceChildren(html("div", { class: "plot-head" }, button, title));
  title.focus();
  try {
    section.append(table(await api.agreement()));
  } catch (refusal) {
    section.append(html("p", { text: refusal.message }));
  }
}

function table({ columns, rows }) {
  const shown = columns.map((name, i) => ({ name, ...kindOf(rows.map((row) => row[i])) }));
  const head = html("tr", {}, ...shown.map(({ name, number }) => html("th", { scope: "col", text: plain(name), class: number ? "number" : false })));
  const body = rows.map((row) => html("tr", {}, ...row.map((value, i) => cell(value, shown[i], i))));
  const made = html("table", {}, html("caption", { class: "unseen", text: "Agreement between readers, gate by gate" }), html("thead", {}, head), html("tbody", {}, ...body));
  return html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of agreement" }, made);
}

/** Whether a column holds no words, and how many digits its numbers have after the point: none where all are whole. */
function kindOf(values) {
  const numbers = values.filter((value) => typeof value === "number");
  return { number: !values.some((value) => typeof value === "string"), digits: numbers.every(Number.isInteger) ? 0 : 2 };
}

function cell(value, { number, digits }, i) {
  const text = value === null ? "–" : typeof value === "number" ? value.toFixed(digits) : value;
  return i ? html("td", { text, class: number ? "number" : false }) : html("th", { scope: "row", text });
}
