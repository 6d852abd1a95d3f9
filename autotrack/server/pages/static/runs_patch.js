// Taking over what has changed in a row, cell by cell, so that focus and selection stay where they are.

const told = new WeakMap(); // a row → what the server sent for each of its cells

/** Remember a row as the server sent it, before scripts put times and durations into it. */
export function remember(row) {
  told.set(row, [...row.children].map((cell) => cell.outerHTML));
  for (const hidden of row.querySelectorAll("button[data-edit]")) hidden.hidden = false;
  return row;
}

/** Make a row what another one says of the same run; `quiet` for changes that nobody needs to be shown. */
export function patch(row, other, { quiet = false } = {}) {
  const [before, after] = [told.get(row) ?? [], told.get(other)];
  told.set(row, after);
  const cells = [...other.children];
  if (row.children.length !== cells.length) {
    const focused = row.contains(document.activeElement) ? document.activeElement : null;
    row.replaceChildren(...cells);
    if (focused) refocus(row, focused);
    return;
  }
  cells.forEach((cell, number) => {
    if (before[number] === after[number]) return;
    const old = row.children[number];
    if (number === 0) return; // the box to select it by
    const fold = old.querySelector("[aria-expanded='true']");
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    old.replaceWith(cell);
    if (fold) cell.querySelector("[data-children]")?.setAttribute("aria-expanded", "true");
    if (focused) refocus(cell, focused);
    if (!quiet && before.length) {
      cell.classList.add("fresh");
      cell.addEventListener("animationend", () => cell.classList.remove("fresh"), { once: true });
    }
  });
}

function refocus(place, focused) {
  for (const mark of ["data-edit", "data-children", "data-open"]) {
    if (focused.hasAttribute(mark)) place.querySelector(`[${mark}]`)?.focus({ preventScroll: true });
  }
}
