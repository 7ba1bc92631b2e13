"use strict";
// Search over what search.js holds; the words stand in the address, so that a search can be sent on.
(() => {
  const box = document.getElementById("q");
  const told = document.getElementById("found");
  const none = document.getElementById("none");
  const rows = new Map();
  for (const row of document.querySelectorAll("[data-file]")) rows.set(row.dataset.file, row);

  function show() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const page of window.LOADER_SEARCH) {
      const hit = words.every((word) => page.text.includes(word));
      rows.get(page.file).hidden = !hit;
      found += hit;
    }
    for (const section of document.querySelectorAll("section.schema")) {
      section.hidden = !section.querySelector("[data-file]:not([hidden])");
    }
    none.hidden = found > 0;
    told.textContent = `${found} ${found === 1 ? "table" : "tables"}`;
  }

  function fromAddress() {
    box.value = new URLSearchParams(location.hash.slice(1)).get("q") || "";
    show();
  }

  box.addEventListener("input", () => {
    const words = box.value ? "#" + new URLSearchParams({ q: box.value }) : "#";
    history.replaceState(null, "", words);
    show();
  });
  addEventListener("hashchange", fromAddress);
  addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== box) {
      event.preventDefault();
      box.focus();
    } else if (event.key === "Escape" && document.activeElement === box) {
      box.value = "";
      box.dispatchEvent(new Event("input"));
    }
  });
  fromAddress();
})();
