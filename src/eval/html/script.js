"use strict";

// Sorts and filters the tables. Without it the page shows every row, in the order of the report.
const collator = new Intl.Collator("zh-Hans", { numeric: true });

// What a cell is sorted by; null where it is empty.
function sortKey(cell, kind) {
  const shown = cell.dataset.sort ?? cell.textContent.trim();
  if (shown === "") return null;
  return kind === "number" ? Number(shown) : shown;
}

// Empty cells stand last either way; equal ones stay in their order.
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (typeof a === "number" ? a - b : collator.compare(a, b));
}

function sortBy(table, header) {
  const direction = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  const body = table.tBodies[0];
  const keyed = Array.from(body.rows, (row) => ({
    row,
    key: sortKey(row.cells[header.cellIndex], header.dataset.kind),
  }));
  const sign = direction === "ascending" ? 1 : -1;
  keyed.sort((a, b) => compare(a.key, b.key, sign));
  body.append(...keyed.map(({ row }) => row));
}

// A button, so that keys reach it as well.
function makeSortable(table) {
  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(table, header));
    header.append(button);
  }
}

// Full-width letters and capitals are as good as others.
function folded(text) {
  return text.normalize("NFKC").toLowerCase();
}

// Shows the rows that have all the words of the box.
function makeFilter(table) {
  const rows = Array.from(table.tBodies[0].rows, (row) => ({ row, text: folded(row.textContent) }));
  if (rows.length < 8) return;
  const label = document.createElement("label");
  const box = document.createElement("input");
  const shown = document.createElement("output");
  box.type = "search";
  label.className = "filter";
  label.append("Filter 筛选 ", box, " ", shown);
  box.addEventListener("input", () => {
    const words = folded(box.value).split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { row, text } of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    shown.value = words.length === 0 ? "" : `${count} of ${rows.length} rows`;
  });
  table.before(label);
}

for (const table of document.querySelectorAll("table.sortable")) {
  makeSortable(table);
  makeFilter(table);
}
