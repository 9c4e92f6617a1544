"use strict";
// Tables sort, filter and download; figures enlarge; the contents say where the reader is. Without it the page is whole.
(() => {
  const make = (tag, words) => Object.assign(document.createElement(tag), words);
  const exact = (cell) => cell.dataset.value ?? cell.textContent.trim();

  // Numbers by their exact value, then text; empty cells last in both directions.
  function compared(a, b, sign) {
    const [x, y] = [exact(a), exact(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const [m, n] = [Number(x), Number(y)];
    if (!Number.isNaN(m) && !Number.isNaN(n)) return sign * (m - n);
    return sign * x.localeCompare(y, "en", { numeric: true });
  }

  function sort(table, column, heading) {
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => compared(a.cells[column], b.cells[column], descending ? -1 : 1));
    table.tBodies[0].append(...rows);
  }

  function sortable(table) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = make("button", { type: "button", textContent: heading.textContent });
      button.addEventListener("click", () => sort(table, column, heading));
      heading.replaceChildren(button);
    });
  }

  // What a spreadsheet would compute gets an apostrophe in front, as in the tables of the run (schema/formula_cells.py).
  const computed = /(^|[;\r\n])(?='*[=+\-@\t\r])(?!'*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?:$|[;\r\n]))/g;

  function field(text) {
    const safe = text.replace(computed, "$1'");
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  function csv(table) {
    const rows = [table.tHead.rows[0], ...[...table.tBodies[0].rows].filter((row) => !row.hidden)];
    return rows.map((row) => [...row.cells].map((cell) => field(exact(cell))).join(",")).join("\n") + "\n";
  }

  function download(table) {
    const link = make("a", { download: `${table.id.replace(/^table-/, "")}.csv` });
    link.href = URL.createObjectURL(new Blob(["\ufeff", csv(table)], { type: "text/csv" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function filter(table, words, said) {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    said.textContent = wanted.length ? `${shown} of ${rows.length} rows` : "";
  }

  function tools(table) {
    const bar = make("div", { className: "tools" });
    const said = make("span", { role: "status" });
    if (table.tBodies[0].rows.length > 5) {
      const input = make("input", { type: "search", placeholder: "filter rows" });
      input.setAttribute("aria-label", `Filter rows: ${table.caption.textContent}`);
      input.addEventListener("input", () => filter(table, input.value, said));
      bar.append(input, said);
    }
    const button = make("button", { type: "button", textContent: "CSV" });
    button.setAttribute("aria-label", `Download as CSV: ${table.caption.textContent}`);
    button.addEventListener("click", () => download(table));
    bar.append(button);
    table.parentElement.before(bar);
  }

  for (const table of document.querySelectorAll("table")) {
    sortable(table);
    if (table.id !== "found") tools(table);
  }

  // The exact number behind a rounded one, where the pointer is.
  document.addEventListener("mouseover", (event) => {
    const cell = event.target.closest?.("[data-value]");
    if (cell && !cell.title) cell.title = cell.dataset.value;
  });

  const dialog = document.getElementById("enlarged");
  for (const link of document.querySelectorAll("a.enlarge")) {
    const image = link.querySelector("img");
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      Object.assign(dialog.querySelector("img"), { src: image.src, alt: image.alt });
      dialog.querySelector("p").textContent = link.closest("figure").querySelector("figcaption").firstChild.textContent;
      dialog.showModal();
    });
  }
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });

  // A link into closed details opens them.
  function reveal() {
    let at = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const target = at;
    for (; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target?.scrollIntoView();
  }
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();

  // On paper nothing is folded away, and rows that a filter hides are printed.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const one of folded) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of folded) one.open = false;
  });

  const links = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));
  const sections = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  function place() {
    const passed = sections.filter((section) => section.getBoundingClientRect().top < 120);
    const last = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    const current = last ? sections.at(-1) : (passed.at(-1) ?? sections[0]);
    for (const [id, link] of links) {
      if (id === current.id && !link.hasAttribute("aria-current")) {
        link.setAttribute("aria-current", "true");
        const bar = link.closest(".contents");
        bar.scrollTo({ left: link.offsetLeft - bar.clientWidth / 3 });
      } else if (id !== current.id) link.removeAttribute("aria-current");
    }
  }
  addEventListener("scroll", place, { passive: true });
  addEventListener("resize", place);
  place();
})();
