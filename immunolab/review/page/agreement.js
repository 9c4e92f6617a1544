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
  const head = html("tr", {}, ...columns.map((name) => html("th", { scope: "col", text: plain(name) })));
  const body = rows.map((row) => html("tr", {}, ...columns.map((name, i) => cell(Array.isArray(row) ? row[i] : row[name], i))));
  const made = html("table", {}, html("caption", { class: "unseen", text: "Agreement between readers, gate by gate" }), html("thead", {}, head), html("tbody", {}, ...body));
  return html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of agreement" }, made);
}

function cell(value, i) {
  const number = typeof value === "number";
  const text = value === null || value === undefined ? "–" : number ? String(Number(value.toPrecision(4))) : plain(String(value));
  return i ? html("td", { text, class: number ? "number" : false }) : html("th", { scope: "row", text });
}
