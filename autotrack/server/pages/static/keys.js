// Keys: what each does is listed by "?". Pages add theirs with `shortcut`.

const known = new Map(); // "g r" → {about, run}
let begun = ""; // the first key of two

/** Let keys ("x", "Enter", "g r") do something; `run(event)` may return false to leave the key to the browser. */
export function shortcut(keys, about, run) {
  known.set(keys, { about, run });
}

/** The rows that j and k go through: those of the table marked with data-keys. */
function rows() {
  return [...document.querySelectorAll("table[data-keys] > tbody > tr[data-row]")].filter((row) => row.offsetParent);
}

/** The row at which j and k are, if any. */
export function currentRow() {
  return document.querySelector("table[data-keys] > tbody > tr.current");
}

/** Go to a row, and make it the one that keys act on. */
export function goTo(row) {
  currentRow()?.classList.remove("current");
  row.classList.add("current");
  (row.querySelector("a[data-open]") ?? row.querySelector("a, button, input"))?.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const all = rows();
  if (!all.length) return false;
  const at = all.indexOf(currentRow());
  const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step));
  goTo(all[next]);
  return true;
}

function isTyping(target) {
  return target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable='true']");
}

function showHelp() {
  let dialog = document.getElementById("keys-help");
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.id = "keys-help";
    dialog.setAttribute("aria-label", "Keys");
    document.body.append(dialog);
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }
  const title = document.createElement("h2");
  title.textContent = "Keys";
  const table = document.createElement("table");
  table.className = "keys";
  for (const [keys, { about }] of known) {
    const row = table.insertRow();
    const cell = row.insertCell();
    keys.split(" ").forEach((key, number) => {
      if (number) cell.append(" ");
      const shown = document.createElement("kbd");
      shown.textContent = { ArrowDown: "↓", ArrowUp: "↑" }[key] ?? key;
      cell.append(shown);
    });
    row.insertCell().textContent = about;
  }
  const close = document.createElement("button");
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  const foot = document.createElement("p");
  foot.className = "row";
  foot.append(close);
  dialog.replaceChildren(title, table, foot);
  if (!dialog.open) dialog.showModal();
}

function pressed(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const keys = begun ? `${begun} ${event.key}` : event.key;
  begun = "";
  const found = known.get(keys);
  if (found) {
    if (found.run(event) !== false) event.preventDefault();
  } else if ([...known.keys()].some((name) => name.startsWith(`${keys} `))) {
    begun = keys;
    setTimeout(() => { begun = ""; }, 1200);
  }
}

/** Called once by base.js. */
export function installKeys(switchTheme) {
  shortcut("?", "These keys", showHelp);
  shortcut("/", "Go to the filter", () => {
    const field = document.querySelector("[data-filter]");
    if (!field) return false;
    field.focus();
    field.select?.();
    return true;
  });
  shortcut("j", "Next row", () => move(1));
  shortcut("k", "Row before", () => move(-1));
  shortcut("ArrowDown", "Next row, once in the table", () => (currentRow() ? move(1) : false));
  shortcut("ArrowUp", "Row before, once in the table", () => (currentRow() ? move(-1) : false));
  shortcut("g r", "Go to the runs", () => location.assign("/runs"));
  shortcut("g m", "Go to the models", () => location.assign("/models"));
  shortcut("t", "Light or dark", switchTheme);
  document.addEventListener("keydown", pressed);
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest?.("table[data-keys] > tbody > tr[data-row]");
    if (row && row !== currentRow()) {
      currentRow()?.classList.remove("current");
      row.classList.add("current");
    }
  });
  const button = document.getElementById("help-button");
  button.hidden = false;
  button.addEventListener("click", showHelp);
}
