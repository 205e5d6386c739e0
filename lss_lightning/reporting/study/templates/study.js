// The controls act on all pictures at once.
const controls = document.querySelector(".controls form");
const pictures = document.querySelectorAll(".drawing svg");
function apply() {
  const chosen = (name) => controls.querySelector(`[name="${name}"]:checked`)?.value;
  const number = (id) => Number(document.getElementById(id).value);
  document.body.dataset.weighting = chosen("weighting") ?? "";
  document.body.dataset.view = chosen("view");
  for (const picture of pictures) picture.setAttribute("viewBox", picture.dataset[chosen("view")]);
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

// On a small screen the controls would hide the page.
if (matchMedia("(max-width: 63.99rem)").matches) controls.parentElement.open = false;

// A measure's row lights its caliper; its letter switches it off and on.
for (const row of document.querySelectorAll(".measures [data-measure]")) {
  const marks = row.closest("section").querySelectorAll(`.calipers [data-measure="${row.dataset.measure}"]`);
  const light = (on) => marks.forEach((mark) => mark.classList.toggle("lit", on));
  row.addEventListener("pointerenter", () => light(true));
  row.addEventListener("pointerleave", () => light(false));
  row.addEventListener("focusin", () => light(true));
  row.addEventListener("focusout", () => light(false));
  const letter = row.querySelector("button.letter");
  letter?.addEventListener("click", () => {
    const shown = letter.getAttribute("aria-pressed") === "false";
    letter.setAttribute("aria-pressed", shown);
    marks.forEach((mark) => mark.classList.toggle("off", !shown));
  });
}
apply();
