// Which runs are selected, and what can be done with them.
import { postJSON, toast } from "./base.js";
import { currentRow, shortcut } from "./keys.js";

const COMPARED = 50; // runs at the most, as the page that compares has it

export class Selection {
  /** `visible()` gives all rows in order; `changed()` is called when the store was written to. */
  constructor({ pane, visible, changed }) {
    this.pane = pane;
    this.visible = visible;
    this.changed = changed;
    this.ids = new Set();
    this.last = null; // the row that was clicked before, for ranges
    this.bar = document.getElementById("selection");
    this.listen();
  }

  listen() {
    document.addEventListener("click", (event) => {
      const box = event.target;
      if (!box.matches?.(".pick input")) return;
      if (box.id === "pick-all") this.pickAll(box.checked);
      else this.pick(box.closest("tr"), box.checked, event.shiftKey);
    });
    const act = (id, run) => document.getElementById(id).addEventListener("click", run);
    act("clear-button", () => this.clear());
    act("delete-button", () => this.act("delete"));
    act("restore-button", () => this.act("restore"));
    shortcut("x", "Select the run, or not", () => {
      const row = currentRow();
      if (!row) return false;
      this.pick(row, !this.ids.has(row.dataset.run), false);
      return true;
    });
    shortcut("c", "Compare the selected runs", () => this.ids.size > 1 && document.getElementById("compare-button").click());
    shortcut("Delete", "Delete the selected runs", () => this.ids.size > 0 && void this.act("delete"));
    shortcut("Escape", "Select none", () => (this.ids.size ? this.clear() : false));
  }

  /** Select a row or not; with `range`, all from the one before. */
  pick(row, on, range) {
    const all = this.visible().filter((one) => one.dataset.run);
    const [from, to] = [all.indexOf(this.last), all.indexOf(row)];
    const some = range && from >= 0 ? all.slice(Math.min(from, to), Math.max(from, to) + 1) : [row];
    for (const one of some) {
      if (on) this.ids.add(one.dataset.run);
      else this.ids.delete(one.dataset.run);
    }
    this.last = row;
    this.update();
  }

  pickAll(on) {
    for (const row of this.visible()) {
      if (row.dataset.run && on) this.ids.add(row.dataset.run);
    }
    if (on) this.update();
    else this.clear();
  }

  clear() {
    this.ids.clear();
    this.update();
    return true;
  }

  /** Make a row show whether it is selected. */
  mark(row) {
    const on = this.ids.has(row.dataset.run);
    row.classList.toggle("selected", on);
    const box = row.querySelector(".pick input");
    if (box) box.checked = on;
  }

  update() {
    for (const row of document.querySelectorAll("#runs-body > tr[data-run]")) this.mark(row);
    const [count, deleted] = [this.ids.size, this.pane.dataset.view === "deleted"];
    this.bar.hidden = count === 0;
    document.getElementById("selection-count").textContent = `${count.toLocaleString("en-US")} selected`;
    const compare = document.getElementById("compare-button");
    compare.href = `/compare?runs=${[...this.ids].slice(0, COMPARED).map(encodeURIComponent).join(",")}`;
    compare.hidden = count < 2 || deleted;
    compare.textContent = count > COMPARED ? `Compare the first ${COMPARED}` : "Compare";
    document.getElementById("delete-button").hidden = deleted;
    document.getElementById("tag-button").hidden = deleted;
    document.getElementById("restore-button").hidden = !deleted;
    const all = document.getElementById("pick-all");
    if (all) {
      const rows = this.visible().filter((row) => row.dataset.run);
      all.checked = rows.length > 0 && rows.every((row) => this.ids.has(row.dataset.run));
      all.indeterminate = !all.checked && count > 0;
    }
  }

  /** Delete or restore the selected runs; it can be undone for a while. */
  async act(what, ids = [...this.ids], { undo = true } = {}) {
    if (!ids.length) return;
    try {
      const { run_ids: done } = await postJSON(`/actions/${what}`, { run_ids: ids });
      this.clear();
      await this.changed();
      const runs = done.length === 1 ? "1 run" : `${done.length.toLocaleString("en-US")} runs`;
      const other = what === "delete" ? "restore" : "delete";
      const action = undo && done.length ? { label: "Undo", run: () => this.act(other, done, { undo: false }) } : null;
      toast(`${runs} ${what}d.`, { action });
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }
}
