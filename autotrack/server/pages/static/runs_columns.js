// Which columns are shown, and in which order: chosen here, kept in the address and, for each experiment, in the browser.
import { element, toast } from "./base.js";
import { names } from "./names.js";

const GROUPS = { run: "The run", metrics: "Metrics", params: "Params", tags: "Tags" };
const AT_ONCE = 300; // names of a list; the rest is found by searching

function key(experiment) {
  return `autotrack.columns.${experiment || "all"}`;
}

/** The columns chosen last for an experiment, null for none. */
export function remembered(experiment) {
  try {
    const found = JSON.parse(localStorage.getItem(key(experiment)));
    return Array.isArray(found) && found.length && found.every((one) => typeof one === "string") ? found : null;
  } catch {
    return null;
  }
}

function keep(experiment, columns) {
  try {
    if (columns) localStorage.setItem(key(experiment), JSON.stringify(columns));
    else localStorage.removeItem(key(experiment));
  } catch {
    // Storage is off; the address has them.
  }
}

export function installColumns({ pane, columns, go, addressWith }) {
  const button = document.getElementById("columns-button");
  let panel = null;
  button.hidden = false;

  async function choose(chosen) {
    keep(pane.dataset.experiment, chosen);
    await go(addressWith({ column: chosen }));
    if (panel) fill();
  }

  function move(identity, step) {
    const now = columns();
    const at = now.indexOf(identity);
    const to = Math.max(0, Math.min(now.length - 1, at + step));
    now.splice(to, 0, ...now.splice(at, 1));
    choose(now).then(() => panel?.querySelector(`[data-id="${CSS.escape(identity)}"] .grip`)?.focus());
  }

  function chosenList(byId) {
    const list = element("ul", { "aria-label": "Columns shown, in order" });
    for (const identity of columns()) {
      const label = byId.get(identity)?.label ?? identity.replace(/^(metrics|params|tags)\./, "");
      const grip = element("button", { type: "button", class: "quiet tiny grip", "aria-label": `Move ${label}: arrow keys`, title: "Drag, or arrow keys" }, "⠿");
      grip.addEventListener("keydown", (event) => {
        const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
        if (!step) return;
        event.preventDefault();
        event.stopPropagation();
        move(identity, step);
      });
      const box = element("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => choose(columns().filter((one) => one !== identity)));
      const item = element("li", { draggable: "true", "data-id": identity }, grip, element("label", {}, box, element("span", { class: "cut", title: identity }, label)));
      item.addEventListener("dragstart", (event) => {
        event.dataTransfer.setData("text/plain", identity);
        event.dataTransfer.effectAllowed = "move";
        item.classList.add("dragged");
      });
      item.addEventListener("dragend", () => item.classList.remove("dragged"));
      item.addEventListener("dragover", (event) => {
        event.preventDefault();
        item.classList.add("over");
      });
      item.addEventListener("dragleave", () => item.classList.remove("over"));
      item.addEventListener("drop", (event) => {
        event.preventDefault();
        item.classList.remove("over");
        const dragged = event.dataTransfer.getData("text/plain");
        const now = columns();
        if (now.includes(dragged) && dragged !== identity) move(dragged, now.indexOf(identity) - now.indexOf(dragged));
      });
      list.append(item);
    }
    return list;
  }

  function others(offered, wanted) {
    const shown = new Set(columns());
    const found = [];
    for (const [group, title] of Object.entries(GROUPS)) {
      const some = offered.filter((one) => one.group === group && !shown.has(one.id) && one.label.toLowerCase().includes(wanted));
      if (!some.length) continue;
      found.push(element("h3", {}, title), element("ul", {}, ...some.slice(0, AT_ONCE).map((one) => {
        const box = element("input", { type: "checkbox" });
        box.addEventListener("change", () => choose([...columns(), one.id]));
        return element("li", {}, element("label", {}, box, element("span", { class: "cut", title: one.id }, one.label)));
      })));
      if (some.length > AT_ONCE) found.push(element("p", { class: "muted small" }, `${some.length - AT_ONCE} more: search for them`));
    }
    return found;
  }

  async function fill() {
    const { columns: offered } = await names(pane.dataset.experiment);
    if (!panel) return;
    const byId = new Map(offered.map((one) => [one.id, one]));
    const lists = panel.querySelector(".lists");
    const wanted = panel.querySelector("input[type=search]").value.trim().toLowerCase();
    const top = lists.scrollTop;
    lists.replaceChildren(
      ...(wanted ? [] : [element("h3", {}, "Shown"), chosenList(byId)]),
      ...others(offered, wanted),
    );
    lists.scrollTop = top;
  }

  function close() {
    panel?.remove();
    panel = null;
    button.setAttribute("aria-expanded", "false");
  }

  function open() {
    const search = element("input", { type: "search", placeholder: "Find a metric, param or tag", "aria-label": "Find a column" });
    search.addEventListener("input", fill);
    const reset = element("button", { type: "button", class: "quiet small" }, "Choose for me");
    reset.addEventListener("click", () => choose(null));
    panel = element("div", { class: "popover columns", role: "dialog", "aria-label": "Columns" }, search, element("div", { class: "lists" }), element("div", { class: "row" }, reset));
    panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      close();
      button.focus();
    });
    button.after(panel);
    button.setAttribute("aria-expanded", "true");
    search.focus();
    fill().catch((error) => toast(error.message, { bad: true }));
  }

  button.addEventListener("click", () => (panel ? close() : open()));
  document.addEventListener("pointerdown", (event) => {
    if (panel && !panel.contains(event.target) && !button.contains(event.target)) close();
  });
}
