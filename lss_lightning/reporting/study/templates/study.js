// The controls apply to all drawings.
const controls = document.querySelector(".controls form");
const drawings = document.querySelectorAll(".drawing svg");
function apply() {
  const selected = (name) => controls.querySelector(`[name="${name}"]:checked`)?.value;
  const number = (id) => Number(document.getElementById(id).value);
  document.body.dataset.weighting = selected("weighting") ?? "";
  document.body.dataset.view = selected("view");
  for (const drawing of drawings) drawing.setAttribute("viewBox", drawing.dataset[selected("view")]);
  document.documentElement.style.setProperty("--overlay", number("opacity") / 100);
  const slope = 255 / number("window-width");
  for (const transfer of document.querySelectorAll("#window feComponentTransfer > *")) {
    transfer.setAttribute("slope", slope);
    transfer.setAttribute("intercept", 0.5 - (slope * number("window-level")) / 255);
  }
  for (const output of controls.querySelectorAll("output")) {
    const slider = document.getElementById(output.htmlFor.value);
    output.value = slider.id === "opacity" ? `${slider.value} %` : slider.value;
  }
  for (const box of controls.querySelectorAll('[type="checkbox"]')) {
    document.body.classList.toggle(box.value === "on" ? `no-${box.name}` : `hide-${box.value}`, !box.checked);
  }
}
controls.addEventListener("input", apply);
controls.addEventListener("reset", () => setTimeout(apply));
controls.addEventListener("submit", (event) => event.preventDefault());

// On a small screen the open controls would cover the page.
if (matchMedia("(max-width: 63.99rem)").matches) controls.parentElement.open = false;

// Pointing at a measurement's row highlights its caliper; its letter toggles the caliper.
for (const row of document.querySelectorAll(".measurements [data-measurement]")) {
  const marks = row.closest("section").querySelectorAll(`.calipers [data-measurement="${row.dataset.measurement}"]`);
  const highlight = (on) => marks.forEach((mark) => mark.classList.toggle("highlighted", on));
  row.addEventListener("pointerenter", () => highlight(true));
  row.addEventListener("pointerleave", () => highlight(false));
  row.addEventListener("focusin", () => highlight(true));
  row.addEventListener("focusout", () => highlight(false));
  const letter = row.querySelector("button.letter");
  letter?.addEventListener("click", () => {
    const visible = letter.getAttribute("aria-pressed") === "false";
    letter.setAttribute("aria-pressed", visible);
    marks.forEach((mark) => mark.classList.toggle("off", !visible));
  });
}
apply();
