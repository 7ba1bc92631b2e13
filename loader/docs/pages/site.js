"use strict";
// The search. The query is part of the URL, so that it can be bookmarked and shared.
(() => {
  const box = document.querySelector("input[type=search]");
  const form = box.form;

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && !event.target.closest("input[type=search], select")) {
      event.preventDefault();
      box.focus();
      box.select();
    } else if (event.key === "Escape" && event.target === box) {
      box.value = "";
      box.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });

  const body = document.getElementById("tables");
  if (!body) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      location.href = form.getAttribute("action") + "#" + new URLSearchParams({ q: box.value });
    });
    return;
  }

  const found = document.getElementById("found");
  const none = document.getElementById("none");
  const filters = [...form.querySelectorAll("select")];
  const rows = new Map([...body.rows].map((row) => [row.dataset.file, row]));

  // Where a word is found: 0 the table name, 1 the key, 2 the text, 3 a column; NaN if nowhere.
  function distance(table, word) {
    if (table.key === word || table.key.endsWith("/" + word)) return 0;
    if (table.key.includes(word)) return 1;
    if (table.text.includes(word)) return 2;
    return table.columns.some(([, , text]) => text.includes(word)) ? 3 : NaN;
  }

  function columnsWith(table, words) {
    const inside = words.filter((word) => distance(table, word) === 3);
    return table.columns.filter(([name, , text]) =>
      inside.some((word) => text.includes(word)) || words.some((word) => name.includes(word)));
  }

  function listColumns(table, words) {
    const row = rows.get(table.file);
    row.querySelector(".hits")?.remove();
    const hits = words.length ? columnsWith(table, words) : [];
    if (!hits.length) return;
    const line = document.createElement("span");
    line.className = "hits";
    for (const [name, anchor] of hits.slice(0, 6)) {
      const link = document.createElement("a");
      link.href = table.file + "#" + anchor;
      link.textContent = name;
      line.append(link, " ");
    }
    if (hits.length > 6) line.append(`and ${hits.length - 6} more`);
    row.cells[0].append(line);
  }

  function show() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kept = [];
    for (const table of window.LOADER_TABLES) {
      const far = words.reduce((sum, word) => sum + distance(table, word), 0);
      const chosen = filters.every(({ name, value }) => !value || table[name].includes(value));
      const row = rows.get(table.file);
      row.hidden = Number.isNaN(far) || !chosen;
      if (!row.hidden) kept.push([far, table]);
    }
    // The sort is stable: tables of equal distance stay in the order of their keys.
    kept.sort(([one], [other]) => one - other);
    for (const [, table] of kept) {
      body.append(rows.get(table.file));
      listColumns(table, words);
    }
    none.hidden = kept.length > 0;
    found.textContent = `${kept.length.toLocaleString("en")} ${kept.length === 1 ? "table" : "tables"}`;
  }

  function read() {
    const asked = new URLSearchParams(location.hash.slice(1));
    box.value = asked.get("q") ?? "";
    for (const filter of filters) {
      const value = asked.get(filter.name) ?? "";
      filter.value = [...filter.options].some((option) => option.value === value) ? value : "";
    }
    show();
  }

  form.addEventListener("input", () => {
    const asked = new URLSearchParams();
    for (const { name, value } of [box, ...filters]) if (value) asked.set(name, value);
    history.replaceState(null, "", "#" + asked);
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", read);
  read();
})();
