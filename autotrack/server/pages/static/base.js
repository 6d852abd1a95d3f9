// What every page does: colours, times in the reader's zone, copying, toasts, requests that write.
import { ago, stamp } from "./format.js";
import { installKeys } from "./keys.js";

/** Make an element. Texts are texts: nothing given here is ever read as HTML. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** One of the small pictures of static/icons.svg. */
export function icon(name) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("class", "glyph");
  made.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  made.append(use);
  return made;
}

/** The JSON that a page carries in <script type="application/json" id="…">. */
export function data(id) {
  const found = document.getElementById(id);
  return found ? JSON.parse(found.textContent) : null;
}

/** GET JSON. Throws an Error with the server's own message, and its `status`. */
export async function getJSON(url, options = {}) {
  return answer(await fetch(url, { headers: { accept: "application/json" }, ...options }));
}

/** POST JSON to one of the pages' own actions. */
export async function postJSON(url, body) {
  const headers = { "content-type": "application/json", accept: "application/json" };
  return answer(await fetch(url, { method: "POST", headers, body: JSON.stringify(body) }));
}

async function answer(response) {
  const told = await response.json().catch(() => null);
  if (response.ok) return told;
  const error = new Error(told?.message ?? `the server answered ${response.status}`);
  error.status = response.status;
  error.told = told;
  throw error;
}

/** The value of a colour token now, as a browser's rgb() text, for what is drawn by scripts. */
export function token(name) {
  const probe = element("span", { hidden: true, class: "probe" });
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/** Call back now and whenever the colours change. */
export function onTheme(callback) {
  window.addEventListener("autotrack:theme", callback);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", callback);
  callback();
}

/** A short message at the bottom; `action` is {label, run}. It goes by itself, later while somebody is at it. */
export function toast(message, { action = null, bad = false, seconds = action ? 10 : 5 } = {}) {
  const made = element("div", { class: bad ? "toast bad" : "toast" }, element("span", {}, message));
  const end = () => made.remove();
  if (action) {
    made.append(element("button", { type: "button", onclick: () => { end(); action.run(); } }, action.label));
  }
  made.append(element("button", { type: "button", "aria-label": "Close", onclick: end }, "×"));
  let timer = setTimeout(end, seconds * 1000);
  const hold = () => clearTimeout(timer);
  const release = () => { hold(); timer = setTimeout(end, seconds * 1000); };
  for (const begin of ["pointerenter", "focusin"]) made.addEventListener(begin, hold);
  for (const leave of ["pointerleave", "focusout"]) made.addEventListener(leave, release);
  document.getElementById("toasts").append(made);
  return end;
}

/** Put moments below `root` into the reader's zone. */
export function showTimes(root = document) {
  for (const time of root.querySelectorAll("time[data-time]")) {
    const moment = Number(time.dataset.time);
    const full = stamp(moment);
    if (!time.dateTime) {
      const date = new Date(moment);
      if (!Number.isNaN(date.getTime())) time.dateTime = date.toISOString();
    }
    time.title = full;
    const shown = time.dataset.show === "ago" ? ago(moment) : time.dataset.show === "short" ? full.slice(0, 16) : full;
    if (time.textContent !== shown) time.textContent = shown;
  }
}

async function copy(button) {
  const text = button.dataset.copy || button.parentElement.querySelector("code")?.textContent || "";
  const shown = [...button.childNodes];
  try {
    await navigator.clipboard.writeText(text);
    button.replaceChildren("Copied");
  } catch {
    toast("The browser did not allow copying; select the text instead.", { bad: true });
    return;
  }
  setTimeout(() => button.replaceChildren(...shown), 1500);
}

function switchTheme() {
  const root = document.documentElement;
  const systemDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : systemDark;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("autotrack.theme", root.dataset.theme);
  } catch {
    // Storage is off: it holds until the page is left.
  }
  window.dispatchEvent(new Event("autotrack:theme"));
}

document.documentElement.dataset.scripts = "";
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) copy(button);
});
const themeButton = document.getElementById("theme-button");
themeButton.hidden = false;
themeButton.addEventListener("click", switchTheme);
showTimes();
setInterval(() => showTimes(), 20_000);
installKeys(switchTheme);
