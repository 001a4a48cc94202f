"use strict";
(() => {
  // Pointing at or clicking an entry of a legend dims the other series of its chart.
  for (const svg of document.querySelectorAll("figure svg")) {
    let held = null;
    const show = s => {
      svg.classList.toggle("dim", s !== null);
      for (const g of svg.querySelectorAll("[data-s]")) g.classList.toggle("on", g.dataset.s === s);
    };
    for (const key of svg.querySelectorAll(".key")) {
      key.addEventListener("pointerenter", () => show(key.dataset.s));
      key.addEventListener("pointerleave", () => show(held));
      key.addEventListener("click", () => { held = held === key.dataset.s ? null : key.dataset.s; show(held); });
    }
  }
  const table = document.querySelector(".trials");
  if (!table) return;
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const value = (row, i) => {
    const cell = row.cells[i], v = cell.dataset.v;
    if (v === undefined) return cell.textContent;
    return v === "" ? null : Number(v);
  };
  heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending", way = up ? 1 : -1;
    heads.forEach(h => h.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    rows.sort((p, q) => {
      const a = value(p, i), b = value(q, i);
      // Missing values come last in both directions.
      if (a === null || b === null) return (a === null) - (b === null);
      return way * (typeof a === "number" ? a - b : a.localeCompare(b));
    });
    body.append(...rows);
  }));
  const input = document.querySelector(".filter input"), count = document.querySelector(".filter output");
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase(), fits = words.every(w => text.includes(w));
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length}`;
  };
  input.addEventListener("input", filter);
  filter();
})();
