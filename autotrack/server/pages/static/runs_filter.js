// The box for the filter: suggestions while typing, errors below it.
import { element } from "./base.js";
import { suggest } from "./complete.js";
import { names } from "./names.js";

export function installFilter({ pane, go, addressWith }) {
  const form = document.getElementById("filter-form");
  const field = document.getElementById("filter");
  const error = document.getElementById("filter-error");
  const list = element("ul", { class: "suggestions", id: "filter-suggestions", role: "listbox", "aria-label": "Suggestions", hidden: true });
  form.append(list);
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id })) {
    field.setAttribute(name, value);
  }
  let found = { from: 0, items: [] };
  let at = -1;
  let known = null;

  async function update() {
    known = await names(pane.dataset.experiment).catch(() => known);
    const text = field.value.slice(0, field.selectionStart);
    found = document.activeElement === field && field.value ? suggest(text, known) : { from: 0, items: [] };
    at = -1;
    draw();
  }

  function draw() {
    list.hidden = !found.items.length;
    field.setAttribute("aria-expanded", String(!list.hidden));
    list.replaceChildren(...found.items.map((item, number) => element(
      "li",
      { role: "option", id: `suggestion-${number}`, "aria-selected": String(number === at) },
      element("span", { class: "mono" }, item.text),
      element("span", { class: "about" }, item.about ?? ""),
    )));
    if (at >= 0) {
      field.setAttribute("aria-activedescendant", `suggestion-${at}`);
      list.children[at].scrollIntoView({ block: "nearest" });
    } else {
      field.removeAttribute("aria-activedescendant");
    }
  }

  function take(number) {
    const caret = field.selectionStart;
    const behind = field.value.slice(caret);
    const text = found.items[number].text + (behind.startsWith(" ") ? "" : " ");
    field.value = field.value.slice(0, found.from) + text + behind;
    const place = found.from + text.length;
    field.setSelectionRange(place, place);
    update();
  }

  function close() {
    found = { from: 0, items: [] };
    at = -1;
    draw();
  }

  async function apply() {
    close();
    const told = await go(addressWith({ filter: field.value.trim() || null, children: null }));
    if (!told) return;
    error.textContent = told;
    error.hidden = false;
    field.setAttribute("aria-invalid", "true");
  }

  field.addEventListener("input", update);
  field.addEventListener("focus", update);
  field.addEventListener("click", update);
  field.addEventListener("keydown", (event) => {
    const count = found.items.length;
    if (count && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      at = event.key === "ArrowDown" ? (at + 1) % count : (at <= 0 ? count : at) - 1;
      draw();
      event.preventDefault();
    } else if (count && (event.key === "Tab" || (event.key === "Enter" && at >= 0)) && !event.shiftKey) {
      take(Math.max(0, at));
      event.preventDefault();
    } else if (event.key === "Escape") {
      if (count) close();
      else field.blur();
      event.stopPropagation();
    }
  });
  list.addEventListener("pointerdown", (event) => {
    const item = event.target.closest("li");
    if (item) take([...list.children].indexOf(item));
    event.preventDefault(); // the focus stays in the field
  });
  form.addEventListener("focusout", (event) => form.contains(event.relatedTarget) || close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
}
