/* Parallel coordinates: the line under the pointer, or of the row that has the focus, stands out. */

function lineAt(picture, event) {
  const box = picture.getBoundingClientRect();
  const view = picture.viewBox.baseVal;
  const x = ((event.clientX - box.left) / box.width) * view.width;
  const y = ((event.clientY - box.top) / box.height) * view.height;
  let [nearest, least] = [null, 14];
  for (const line of picture.querySelectorAll("polyline")) {
    const points = line.points;
    for (let at = 0; at + 1 < points.numberOfItems; at += 1) {
      const [a, b] = [points.getItem(at), points.getItem(at + 1)];
      if (x < a.x || x > b.x) continue;
      const distance = Math.abs(a.y + ((b.y - a.y) * (x - a.x)) / (b.x - a.x || 1) - y);
      if (distance < least) [nearest, least] = [line, distance];
    }
  }
  return nearest;
}

/** Mark one line; the rows of the page with the same `data-line` are marked with it. */
export function mark(index) {
  for (const found of document.querySelectorAll("[data-line].marked")) found.classList.remove("marked");
  for (const picture of document.querySelectorAll("[data-parallel]")) picture.classList.toggle("has-mark", index !== null);
  if (index === null) return;
  for (const found of document.querySelectorAll(`[data-line="${CSS.escape(index)}"]`)) {
    found.classList.add("marked");
    if (found.localName === "polyline") found.parentNode.querySelector(".axis")?.before(found);
  }
}

for (const picture of document.querySelectorAll("[data-parallel]")) {
  picture.addEventListener("pointermove", (event) => mark(lineAt(picture, event)?.dataset.line ?? null));
  picture.addEventListener("pointerleave", () => mark(null));
}
for (const row of document.querySelectorAll("tr[data-line]")) {
  row.addEventListener("pointerenter", () => mark(row.dataset.line));
  row.addEventListener("pointerleave", () => mark(null));
}
