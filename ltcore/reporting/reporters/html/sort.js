// Puts a button into each heading of a table: it sorts the rows by that column, and back again.
const collator = new Intl.Collator("en", { numeric: true });

const keyOf = (cell) =>
  "number" in cell.dataset ? Number(cell.dataset.number) : cell.textContent.trim();

// Numbers before text: a value that is missing is text, and comes last in either direction.
function compare(first, second, sign) {
  const numbers = [first, second].map((key) => typeof key === "number");
  if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1;
  return sign * (numbers[0] ? first - second : collator.compare(first, second));
}

function sort(table, column, direction) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, key: keyOf(row.cells[column]) }));
  const sign = direction === "ascending" ? 1 : -1;
  rows.sort((first, second) => compare(first.key, second.key, sign));
  body.append(...rows.map(({ row }) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const ascending = heading.getAttribute("aria-sort") === "ascending";
      const direction = ascending ? "descending" : "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", direction);
      sort(table, column, direction);
    });
  });
}
