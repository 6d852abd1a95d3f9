// Name, note and tags of a run, edited beside its row; a tag for all selected runs.
import { element, getJSON, postJSON, toast } from "./base.js";
import { currentRow, shortcut } from "./keys.js";

const NOTE = "mlflow.note.content";

export function installEditor({ pane, body, selection, refresh }) {
  let panel = null;
  let opener = null;

  function close() {
    panel?.remove();
    panel = null;
    opener?.focus({ preventScroll: true });
    opener = null;
  }

  function open(anchor, label, ...inside) {
    close();
    opener = anchor;
    panel = element("div", { class: "popover", role: "dialog", "aria-label": label }, element("form", { class: "editor" }, ...inside));
    pane.append(panel);
    const place = anchor.getBoundingClientRect();
    const room = { width: panel.offsetWidth, height: panel.offsetHeight };
    panel.style.left = `${Math.max(12, Math.min(place.left, innerWidth - room.width - 12))}px`;
    panel.style.top = `${Math.max(12, Math.min(place.bottom + 4, innerHeight - room.height - 12))}px`;
    panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        close();
      } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        panel.firstChild.requestSubmit();
      }
    });
    panel.querySelector("input, textarea").focus();
  }

  function tagRow(key = "", value = "") {
    const row = element(
      "div",
      { class: "tag-row" },
      element("input", { value: key, placeholder: "key", "aria-label": "Tag" }),
      element("input", { value, placeholder: "value", "aria-label": key ? `Value of ${key}` : "Value" }),
    );
    const gone = element("button", { type: "button", class: "quiet tiny", "aria-label": key ? `Take away ${key}` : "Take away" }, "×");
    gone.addEventListener("click", () => row.remove());
    row.append(gone);
    return row;
  }

  function tagsIn(holder) {
    const found = {};
    for (const row of holder.querySelectorAll(".tag-row")) {
      const [key, value] = [...row.querySelectorAll("input")].map((input) => input.value);
      if (key.trim()) found[key.trim()] = value;
    }
    return found;
  }

  async function edit(row, anchor) {
    const run = await getJSON(`/runs/${encodeURIComponent(row.dataset.run)}/tags.json`);
    const name = element("input", { value: run.name, required: true, maxlength: 500 });
    const note = element("textarea", { rows: 3 });
    note.value = run.tags[NOTE] ?? "";
    const own = Object.entries(run.tags).filter(([key]) => !key.startsWith("mlflow."));
    const tags = element("div", { class: "tags" }, ...own.map(([key, value]) => tagRow(key, value)));
    const add = element("button", { type: "button", class: "quiet small" }, "Add a tag");
    add.addEventListener("click", () => {
      tags.append(tagRow());
      tags.lastChild.querySelector("input").focus();
    });
    const cancel = element("button", { type: "button", class: "quiet" }, "Cancel");
    cancel.addEventListener("click", close);
    open(
      anchor,
      `Edit ${run.name}`,
      element("label", { class: "field" }, "Name", name),
      element("label", { class: "field" }, "Note", note),
      element("div", {}, element("div", { class: "muted small" }, "Tags"), tags, add),
      element("div", { class: "row" }, element("button", { class: "primary" }, "Save"), cancel),
    );
    panel.addEventListener("submit", (event) => {
      event.preventDefault();
      save(run, name.value.trim(), note.value.trim(), Object.fromEntries(own), tagsIn(tags));
    });
  }

  async function save(run, name, note, before, now) {
    const set = Object.fromEntries(Object.entries(now).filter(([key, value]) => before[key] !== value));
    const gone = Object.keys(before).filter((key) => !(key in now));
    if (note && note !== (run.tags[NOTE] ?? "")) set[NOTE] = note;
    if (!note && run.tags[NOTE] !== undefined) gone.push(NOTE);
    try {
      if (name !== run.name) await postJSON("/actions/rename", { run_id: run.run_id, name });
      if (Object.keys(set).length || gone.length) await postJSON("/actions/tags", { run_ids: [run.run_id], set, delete: gone });
      close();
      await refresh();
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  function tagAll(anchor) {
    const ids = [...selection.ids];
    const row = tagRow();
    row.querySelector("button").remove();
    row.querySelector("input").required = true;
    open(
      anchor,
      "Tag the selected runs",
      element("div", { class: "muted small" }, `A tag for ${ids.length} runs`),
      row,
      element("div", { class: "row" }, element("button", { class: "primary" }, "Set the tag")),
    );
    panel.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await postJSON("/actions/tags", { run_ids: ids, set: tagsIn(panel) });
        close();
        toast(`Tagged ${ids.length} runs.`);
        await refresh();
      } catch (error) {
        toast(error.message, { bad: true });
      }
    });
  }

  function begin(row, anchor) {
    edit(row, anchor).catch((error) => toast(error.message, { bad: true }));
  }

  body.addEventListener("click", (event) => {
    const button = event.target.closest("[data-edit]");
    if (button) begin(button.closest("tr"), button);
  });
  document.getElementById("tag-button").addEventListener("click", (event) => tagAll(event.currentTarget));
  document.addEventListener("pointerdown", (event) => {
    if (panel && !panel.contains(event.target)) {
      opener = null;
      close();
    }
  });
  shortcut("e", "Edit name, note and tags", () => {
    const row = currentRow();
    if (!row) return false;
    begin(row, row.querySelector("[data-edit]"));
    return true;
  });
}
