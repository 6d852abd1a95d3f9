// The page of one run: its note and tags are edited in place, its models registered, and a run that goes on looked at again.
import { element, getJSON, postJSON, showTimes } from "./base.js";
import { attempt, editableTags, editableText } from "./edit.js";
import { forgetPlots, watchPlots } from "./figures.js";
import { shortcut } from "./keys.js";

const NOTE = "mlflow.note.content";
const SECONDS = 3;

const article = () => document.querySelector("article.run");
const runId = () => article().dataset.run;
let editNote = () => {};

function write({ set, remove }) {
  return postJSON("/actions/tags", { run_ids: [runId()], set, delete: remove });
}

function registering(place) {
  const path = place.dataset.register;
  const name = element("input", { "aria-label": "Name of the registered model", placeholder: "name", size: "14", required: true });
  const form = element("form", { class: "row", hidden: true }, name, element("button", { class: "small primary" }, "Register"));
  const open = element("button", {
    type: "button", class: "small",
    onclick: () => {
      form.hidden = false;
      open.hidden = true;
      name.focus();
    },
  }, "Register");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await attempt(async () => {
      const made = await postJSON("/actions/models/register", { run_id: runId(), path, name: name.value });
      location.assign(`/models/${encodeURIComponent(made.name)}/${made.version}`);
    });
  });
  place.append(open, form);
}

function begin() {
  const note = document.querySelector("[data-note]");
  editNote = editableText(note, {
    noun: "Note",
    none: "No note.",
    save: (text) => write(text ? { set: { [NOTE]: text }, remove: [] } : { set: {}, remove: [NOTE] }),
  });
  editableTags(document.querySelector("[data-tags]"), write);
  if (article().dataset.registry) document.querySelectorAll("[data-register]").forEach(registering);
}

/* A run that goes on: when something of it changed, the page is fetched anew and its parts take the places of these. */
let seen = "";
async function lookAgain() {
  if (article()?.dataset.status !== "RUNNING") return;
  const isBusy = document.hidden || document.querySelector("article.run textarea, article.run input:focus");
  try {
    if (!isBusy) {
      const told = await getJSON(`/runs/${runId()}.json`);
      const now = JSON.stringify([told.run.status, told.metrics, told.tags, told.n_files, told.histories]);
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
shortcut("e", "Edit the note", () => {
  document.getElementById("tags").scrollIntoView({ block: "center" });
  editNote();
});
shortcut("f", "Files of this run", () => location.assign(`/runs/${runId()}/files`));
if (article()?.dataset.status === "RUNNING") lookAgain();
