// The runs inside a run open below it.
import { toast } from "./base.js";
import { patch, remember } from "./runs_patch.js";

export class Children {
  /** `columns()` gives the ids of those shown; `draw()` is called when there are other rows. */
  constructor({ columns, draw }) {
    this.columns = columns;
    this.redraw = draw;
    this.open = new Map(); // a run's id → the rows below it
  }

  /** Rows with the rows that are open below each. */
  with(rows) {
    if (!this.open.size) return rows;
    return rows.flatMap((row) => {
      const inside = this.open.get(row.dataset.run);
      return inside ? [row, ...this.with(inside)] : [row];
    });
  }

  forget() {
    this.open.clear();
  }

  /** Open or close what is below a row. */
  async toggle(row) {
    const link = row.querySelector("a[data-children]");
    const id = row.dataset.run;
    if (this.open.delete(id)) {
      link.setAttribute("aria-expanded", "false");
      this.redraw();
      return;
    }
    link.setAttribute("aria-expanded", "true");
    try {
      const rows = await this.fetch(link);
      for (const one of rows) one.classList.add(`depth-${Math.min(3, this.depth(row) + 1)}`);
      this.open.set(id, rows);
      this.redraw();
    } catch (error) {
      link.setAttribute("aria-expanded", "false");
      toast(error.message, { bad: true });
    }
  }

  depth(row) {
    return Number([...row.classList].find((name) => name.startsWith("depth-"))?.slice(6) ?? 0);
  }

  /** Ask again for all that is open; what is no longer below any of these rows is closed. */
  async again(rows) {
    const there = new Map(this.with(rows).map((row) => [row.dataset.run, row]));
    for (const [id, had] of [...this.open]) {
      const link = there.get(id)?.querySelector("a[data-children]");
      if (!link) {
        this.open.delete(id);
        continue;
      }
      const known = new Map(had.map((row) => [row.dataset.run, row]));
      const told = await this.fetch(link);
      this.open.set(id, told.map((row) => {
        const old = known.get(row.dataset.run);
        if (old) patch(old, row);
        else row.classList.add(`depth-${Math.min(3, this.depth(there.get(id)) + 1)}`, "arrived");
        return old ?? row;
      }));
    }
  }

  async fetch(link) {
    const query = new URLSearchParams({ view: document.getElementById("runs").dataset.view });
    for (const column of this.columns()) query.append("column", column);
    const response = await fetch(`${link.dataset.children}?${query}`, { headers: { accept: "text/html" } });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return [...page.querySelectorAll("tbody > tr")].map((row) => remember(document.adoptNode(row)));
  }
}
