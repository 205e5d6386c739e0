"use strict";

// Enlarge a figure on click or Enter. Close it with Esc, the button, or a click outside the figure.
const viewer = document.querySelector("dialog.viewer");
for (const opener of document.querySelectorAll("figure > button")) {
  opener.addEventListener("click", () => {
    const image = opener.querySelector("img");
    const enlarged = viewer.querySelector("img");
    enlarged.src = image.src;
    enlarged.alt = image.alt;
    viewer.querySelector("p").textContent = opener.parentElement.querySelector("figcaption").textContent;
    viewer.showModal();
    const stage = viewer.querySelector(".stage");
    stage.scrollTo(0, 0);
    stage.focus();
  });
}
viewer.querySelector("button").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close();
});

// Sort a table by the column of the clicked heading, ascending, then descending. Cells without a number are last.
const collator = new Intl.Collator("en", { numeric: true });
function sortBy(heading) {
  const table = heading.closest("table");
  const descending = heading.getAttribute("aria-sort") === "ascending";
  const sign = descending ? -1 : 1;
  const column = heading.cellIndex;
  const numeric = heading.classList.contains("number");
  const compare = (firstRow, secondRow) => {
    const [first, second] = [firstRow.cells[column], secondRow.cells[column]];
    if (!numeric) return collator.compare(first.textContent, second.textContent) * sign;
    const [a, b] = [first.dataset.value, second.dataset.value];
    if (a === "" || b === "") return (a === "") - (b === "");
    return (Number(a) - Number(b)) * sign;
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  for (const cell of heading.parentElement.cells) cell.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
}
for (const button of document.querySelectorAll("th[aria-sort] > button")) {
  button.addEventListener("click", () => sortBy(button.parentElement));
}
