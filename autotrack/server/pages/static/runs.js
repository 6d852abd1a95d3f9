// The table of runs: goes from one view of it to another without leaving the page, loads more, follows what changes.
import { showTimes, toast } from "./base.js";
import { seconds } from "./format.js";
import { currentRow, goTo, shortcut } from "./keys.js";
import { listen } from "./live.js";
import { Children } from "./runs_children.js";
import { installColumns, remembered } from "./runs_columns.js";
import { installEditor } from "./runs_edit.js";
import { installFilter } from "./runs_filter.js";
import { patch, remember } from "./runs_patch.js";
import { Selection } from "./runs_selection.js";
import { RowWindow } from "./window.js";

const MOST = 500; // rows that are asked for at once, as runs_asked.py has it
const pane = document.getElementById("runs");
const frame = document.getElementById("runs-frame");
const body = document.getElementById("runs-body");
const table = body.parentElement;
const clock = Date.now() - Number(pane.dataset.now); // how far this machine's clock is ahead of the server's

const sent = new Map(); // a part that is swapped → what the server sent for it
for (const part of document.querySelectorAll("[data-swap]")) sent.set(part.id, part.innerHTML);
let rows = [...body.querySelectorAll("tr[data-row]")]; // top level, in order
let loading = null; // the page that is being fetched
let going = 0;

const parts = new RowWindow(frame, body, (came) => {
  for (const row of came) {
    showTimes(row);
    selection.mark(row);
  }
  tick();
});
const children = new Children({ columns, draw });
const selection = new Selection({ pane, visible: () => parts.rows, changed: refresh });

/** The ids of the columns that are shown, the name aside. */
function columns() {
  return [...document.querySelectorAll("#runs-head th[data-column]")].map((th) => th.dataset.column).slice(1);
}

/** Another address of the same view with these changes: a value is text, a list, or null to leave it out. */
function addressWith(changes, from = location.href) {
  const url = new URL(from);
  url.searchParams.delete("after");
  url.searchParams.delete("limit");
  for (const [name, value] of Object.entries(changes)) {
    url.searchParams.delete(name);
    for (const one of value === null ? [] : [value].flat()) url.searchParams.append(name, one);
  }
  return url.pathname + url.search;
}

/** Show what an address says. Gives the error's text where its filter cannot be understood; then all stays. */
async function go(address, { push = true } = {}) {
  const mine = ++going;
  pane.setAttribute("aria-busy", "true");
  try {
    const page = await fetched(address);
    if (mine !== going) return "";
    const wrong = page.getElementById("filter-error");
    if (!wrong.hidden) return wrong.textContent;
    if (push) history.pushState(null, "", address);
    children.forget();
    swap(page);
    forgive();
    rows = rowsOf(page);
    frame.scrollTop = 0;
    draw();
    widths(true);
    return "";
  } catch (error) {
    toast(error.message, { bad: true });
    return "";
  } finally {
    if (mine === going) pane.removeAttribute("aria-busy");
  }
}

/** Ask again for what is shown, and take over what has changed. */
async function refresh() {
  if (loading) await loading.catch(() => {});
  const [mine, here] = [going, location.href];
  const page = await fetched(addressWith({ limit: String(Math.min(MOST, Math.max(100, rows.length))), after: after() }));
  // What was asked for before the reader went on is not shown in the place of what was asked for then.
  if (mine !== going || here !== location.href || !page.getElementById("filter-error").hidden) return;
  const had = new Map(rows.map((row) => [row.dataset.run, row]));
  const sameColumns = document.getElementById("runs-head").textContent === page.getElementById("runs-head").textContent;
  const told = rowsOf(page).map((row) => {
    const old = had.get(row.dataset.run);
    if (!old) {
      row.classList.add("arrived");
      return row;
    }
    patch(old, row, { quiet: !sameColumns });
    return old;
  });
  const ids = new Set(told.map((row) => row.dataset.run));
  const last = rows.findLastIndex((row) => ids.has(row.dataset.run));
  // What was loaded behind the rows that were asked for stays.
  const behind = rows.length > MOST && last >= 0 ? rows.slice(last + 1).filter((row) => !ids.has(row.dataset.run)) : [];
  swap(page, behind.length ? ["runs-pages"] : []);
  rows = [...told, ...behind];
  await children.again(rows);
  draw();
  showTimes(body);
}

function after() {
  return new URL(location.href).searchParams.get("after");
}

async function fetched(address) {
  const response = await fetch(address, { headers: { accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!page.getElementById("runs")) {
    const told = page.querySelector("main p")?.textContent;
    throw new Error(told ?? `the server answered ${response.status}`);
  }
  return page;
}

function rowsOf(page) {
  return [...page.querySelectorAll("#runs-body > tr[data-row]")].map((row) => remember(document.adoptNode(row)));
}

/** Take over all of a page that is marked with data-swap, and what the pane itself says. */
function swap(page, except = []) {
  for (const part of document.querySelectorAll("[data-swap]")) {
    const other = page.getElementById(part.id);
    if (!other || except.includes(part.id) || sent.get(part.id) === other.innerHTML) continue;
    sent.set(part.id, other.innerHTML);
    part.replaceChildren(...[...other.childNodes].map((node) => document.adoptNode(node)));
    showTimes(part);
  }
  const now = page.getElementById("runs");
  pane.dataset.view = now.dataset.view;
  document.title = page.title;
  const field = document.getElementById("filter");
  if (document.activeElement !== field) field.value = page.getElementById("filter").value;
  const clear = document.getElementById("filter-clear");
  clear.hidden = page.getElementById("filter-clear").hidden;
  clear.href = page.getElementById("filter-clear").getAttribute("href");
  selection.update();
}

/** What was wrong with the last filter is told until another view is shown: what changes meanwhile does not take it away. */
function forgive() {
  document.getElementById("filter-error").hidden = true;
  document.getElementById("filter").removeAttribute("aria-invalid");
}

function draw() {
  table.hidden = !rows.length;
  parts.show(children.with(rows));
  const head = document.querySelector("#runs-head tr");
  table.setAttribute("aria-rowcount", document.getElementById("runs-next") ? -1 : parts.rows.length + 1);
  head?.setAttribute("aria-rowindex", 1);
  selection.update();
}

/** Columns may grow while one scrolls, and never shrink. */
function widths(anew = false) {
  for (const head of document.querySelectorAll("#runs-head th[data-column]")) {
    if (anew) head.style.minWidth = "";
    else if (rows.length > 150) head.style.minWidth = `${head.offsetWidth}px`;
  }
}

async function more() {
  const link = document.getElementById("runs-next");
  if (!link || loading) return;
  const mine = going;
  loading = fetched(link.getAttribute("href"));
  link.textContent = "Loading…";
  try {
    const page = await loading;
    if (mine !== going) return;
    const known = new Set(rows.map((row) => row.dataset.run));
    rows.push(...rowsOf(page).filter((row) => !known.has(row.dataset.run)));
    const next = page.getElementById("runs-next");
    if (next) link.replaceWith(document.adoptNode(next));
    else link.remove();
    sent.delete("runs-pages");
    draw();
    widths();
  } catch (error) {
    link.textContent = "Try again";
    toast(error.message, { bad: true });
    return;
  } finally {
    loading = null;
  }
  near(); // whoever scrolls fast is there already
}

/** Running runs have taken so long by now. */
function tick() {
  for (const since of body.querySelectorAll("[data-since]")) {
    since.textContent = seconds(Math.max(0, Math.round((Date.now() - clock - Number(since.dataset.since)) / 1000)));
  }
}

function near() {
  if (frame.scrollHeight - frame.scrollTop - frame.clientHeight < 1600 && frame.scrollTop > 0) more();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.button) return;
  if (link.id === "runs-next") {
    event.preventDefault();
    more();
  } else if (link.dataset.children) {
    event.preventDefault();
    children.toggle(link.closest("tr"));
  } else if (link.hasAttribute("data-go")) {
    event.preventDefault();
    const column = link.closest("th")?.dataset.column;
    if (!column) link.blur();
    go(event.shiftKey && link.dataset.further ? link.dataset.further : link.getAttribute("href")).then(() => {
      if (column) document.querySelector(`#runs-head th[data-column="${CSS.escape(column)}"] a`)?.focus({ preventScroll: true });
    });
  }
});
window.addEventListener("popstate", () => go(location.href, { push: false }));
frame.addEventListener("scroll", near, { passive: true });

const narrow = document.querySelector("[data-narrow]");
if (narrow) {
  narrow.hidden = false;
  narrow.addEventListener("input", () => {
    const wanted = narrow.value.toLowerCase();
    for (const item of document.querySelectorAll(`${narrow.dataset.narrow} li`)) {
      item.hidden = !item.textContent.toLowerCase().includes(wanted);
    }
  });
}

shortcut("ArrowRight", "Open the runs inside", () => fold(true));
shortcut("ArrowLeft", "Close them", () => fold(false));
function fold(open) {
  const row = currentRow();
  const link = row?.querySelector("a[data-children]");
  if (!link || (link.getAttribute("aria-expanded") === "true") === open) {
    const parent = !open && row?.dataset.parent && parts.rows.find((one) => one.dataset.run === row.dataset.parent);
    if (!parent) return false;
    parts.reveal(parent);
    goTo(parent);
    return true;
  }
  children.toggle(row);
  return true;
}

if (matchMedia("(max-width: 800px)").matches) document.getElementById("experiments").open = false;
rows.forEach(remember);
draw();
tick();
setInterval(tick, 1000);
installFilter({ pane, go, addressWith });
installColumns({ pane, columns, go, addressWith });
installEditor({ pane, body, selection, refresh });
listen({ state: document.getElementById("live-state"), changed: refresh });
const kept = remembered(pane.dataset.experiment);
if (kept && !new URL(location.href).searchParams.has("column")) {
  const address = addressWith({ column: kept, after: after() });
  history.replaceState(null, "", address);
  go(address, { push: false });
}
