// The page of one run: its note and tags are edited in place, and a run that goes on is looked at again.
import { element, getJSON, icon, postJSON, showTimes, toast } from "./base.js";
import { forgetPlots, watchPlots } from "./figures.js";
import { shortcut } from "./keys.js";

const NOTE = "mlflow.note.content";
const SECONDS = 3;

const article = () => document.querySelector("article.run");
const runId = () => article().dataset.run;

async function write(change) {
  await postJSON("/actions/tags", { run_ids: [runId()], set: {}, delete: [], ...change });
}

async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    toast(error.message, { bad: true });
    return false;
  }
}

function editNote() {
  const place = document.querySelector("[data-note]");
  if (!place || place.querySelector("textarea")) return;
  const shown = place.querySelector(".note-text");
  const before = shown.classList.contains("muted") ? "" : shown.textContent;
  const field = element("textarea", { rows: "4", "aria-label": "Note" });
  field.value = before;
  const end = (text) => {
    shown.textContent = text || "No note.";
    shown.classList.toggle("muted", !text);
    editor.replaceWith(shown);
    place.querySelector("button")?.focus();
  };
  const save = async () => {
    const text = field.value.trim();
    if (await attempt(() => write(text ? { set: { [NOTE]: text } } : { delete: [NOTE] }))) end(text);
  };
  const editor = element("div", { class: "editor" }, field,
    element("div", { class: "row" },
      element("button", { type: "button", class: "primary small", onclick: save }, "Save"),
      element("button", { type: "button", class: "small", onclick: () => end(before) }, "Cancel")));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") end(before);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
  });
  shown.replaceWith(editor);
  field.focus();
}

function tagChip(key, value) {
  return element("li", { class: "chip", "data-tag": key, "data-value": value, title: `${key} = ${value}` },
    element("span", { class: "muted" }, key), " ", element("span", { class: "cut" }, value));
}

function makeEditable(chip) {
  const key = chip.dataset.tag;
  chip.append(element("button", {
    type: "button", class: "quiet tiny", "aria-label": `Delete the tag ${key}`, title: "Delete",
    onclick: async () => {
      const value = chip.dataset.value;
      if (!(await attempt(() => write({ delete: [key] })))) return;
      chip.remove();
      toast(`The tag ${key} is deleted.`, { action: { label: "Undo", run: () => setTag(key, value) } });
    },
  }, icon("close")));
}

async function setTag(key, value) {
  if (!(await attempt(() => write({ set: { [key]: value } })))) return false;
  const list = document.querySelector("[data-tags]");
  [...list.children].find((chip) => chip.dataset.tag === key)?.remove();
  const chip = tagChip(key, value);
  makeEditable(chip);
  const form = list.querySelector(".new-tag");
  list.insertBefore(chip, form);
  return true;
}

function newTagForm() {
  const key = element("input", { "aria-label": "Key of a new tag", placeholder: "tag", size: "10", required: true });
  const value = element("input", { "aria-label": "Value of a new tag", placeholder: "value", size: "14" });
  const form = element("form", {}, key, value, element("button", { class: "small" }, "Add"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (key.value.trim() && (await setTag(key.value.trim(), value.value))) {
      key.value = value.value = "";
      key.focus();
    }
  });
  return element("li", { class: "new-tag" }, form);
}

function begin() {
  const note = document.querySelector("[data-note]");
  note?.append(element("button", { type: "button", class: "quiet small", onclick: editNote }, icon("edit"), "Edit the note"));
  const list = document.querySelector("[data-tags]");
  if (list) {
    for (const chip of list.querySelectorAll("[data-tag]")) makeEditable(chip);
    list.append(newTagForm());
  }
}

/* A run that goes on: when something of it changed, the page is fetched anew and its parts take the places of these. */
let seen = "";
async function lookAgain() {
  if (article()?.dataset.status !== "RUNNING") return;
  const isBusy = document.querySelector("article.run textarea, article.run :focus-visible") || document.hidden;
  try {
    if (!isBusy) {
      const told = await getJSON(`/runs/${runId()}.json`);
      const now = JSON.stringify([told.run.status, told.metrics, told.tags, told.n_files, told.histories.length]);
      if (seen && now !== seen) await refresh();
      seen = now;
    }
  } catch {
    // The server may be back the next time.
  }
  setTimeout(lookAgain, SECONDS * 1000);
}

async function refresh() {
  const response = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelector("article.run");
  if (!fresh) return;
  forgetPlots();
  article().replaceWith(document.adoptNode(fresh));
  begin();
  showTimes();
  watchPlots(article());
}

begin();
shortcut("e", "Edit the note", editNote);
shortcut("f", "Files of this run", () => location.assign(`/runs/${runId()}/files`));
if (article()?.dataset.status === "RUNNING") setTimeout(lookAgain, SECONDS * 1000);
