"use strict";

// Figures open large: Enter or a click on one, Esc, a click beside it or the button to close.
const viewer = document.querySelector("dialog.viewer");
for (const opener of document.querySelectorAll("figure > button")) {
  opener.addEventListener("click", () => {
    const shown = opener.querySelector("img");
    const large = viewer.querySelector("img");
    large.src = shown.src;
    large.alt = shown.alt;
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

// Tables are sorted by the column whose heading is pressed, first upwards, then downwards; cells without a number go last.
const words = new Intl.Collator("en", { numeric: true });
function sortBy(heading) {
  const table = heading.closest("table");
  const down = heading.getAttribute("aria-sort") === "ascending";
  const place = heading.cellIndex;
  const numeric = heading.classList.contains("number");
  const compare = (one, other) => {
    const [a, b] = [one.cells[place], other.cells[place]];
    if (!numeric) return words.compare(a.textContent, b.textContent) * (down ? -1 : 1);
    const [x, y] = [a.dataset.value, b.dataset.value];
    if (x === "" || y === "") return (x === "") - (y === "");
    return (Number(x) - Number(y)) * (down ? -1 : 1);
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  for (const other of heading.parentElement.cells) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
}
for (const button of document.querySelectorAll("th[aria-sort] > button")) {
  button.addEventListener("click", () => sortBy(button.parentElement));
}
