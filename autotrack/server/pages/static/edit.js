// A text and tags that are edited where they stand, on the pages of runs and of models.
import { element, icon, toast } from "./base.js";

/** Do what asks the server; its refusal is shown, and false given back. */
export async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    toast(error.message, { bad: true });
    return false;
  }
}

/** Let the text in `place` (with a .note-text in it) be edited; `save(text)` asks the server. Gives what begins it. */
export function editableText(place, { noun, none, save }) {
  const begin = () => {
    const shown = place.querySelector(".note-text");
    if (!shown) return;
    const before = shown.classList.contains("muted") ? "" : shown.textContent;
    const field = element("textarea", { rows: "4", "aria-label": noun });
    field.value = before;
    const end = (text) => {
      shown.textContent = text || none;
      shown.classList.toggle("muted", !text);
      editor.replaceWith(shown);
      button.hidden = false;
      button.focus();
    };
    const keep = async () => {
      const text = field.value.trim();
      if (await attempt(() => save(text))) end(text);
    };
    const editor = element("div", { class: "editor" }, field,
      element("div", { class: "row" },
        element("button", { type: "button", class: "primary small", onclick: keep }, "Save"),
        element("button", { type: "button", class: "small", onclick: () => end(before) }, "Cancel")));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") end(before);
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) keep();
    });
    shown.replaceWith(editor);
    button.hidden = true;
    field.focus();
  };
  const button = element("button", { type: "button", class: "quiet small", onclick: begin },
    icon("edit"), `Edit the ${noun.toLowerCase()}`);
  place.append(button);
  return begin;
}

/** Let the tags in `list` be set and deleted; `write({set, remove})` asks the server. */
export function editableTags(list, write) {
  const chipOf = (key) => [...list.children].find((chip) => chip.dataset.tag === key);

  const finish = (chip) => {
    const key = chip.dataset.tag;
    chip.append(element("button", {
      type: "button", class: "quiet tiny", "aria-label": `Delete the tag ${key}`, title: "Delete",
      onclick: async () => {
        const value = chip.dataset.value;
        if (!(await attempt(() => write({ set: {}, remove: [key] })))) return;
        chip.remove();
        toast(`The tag ${key} is deleted.`, { action: { label: "Undo", run: () => set(key, value) } });
      },
    }, icon("close")));
  };

  const set = async (key, value) => {
    if (!(await attempt(() => write({ set: { [key]: value }, remove: [] })))) return false;
    chipOf(key)?.remove();
    const chip = element("li", { class: "chip", "data-tag": key, "data-value": value, title: `${key} = ${value}` },
      element("span", { class: "muted" }, key), " ", element("span", { class: "cut" }, value));
    finish(chip);
    list.insertBefore(chip, list.querySelector(".new-tag"));
    return true;
  };

  const key = element("input", { "aria-label": "Key of a new tag", placeholder: "tag", size: "10", required: true });
  const value = element("input", { "aria-label": "Value of a new tag", placeholder: "value", size: "14" });
  const form = element("form", {}, key, value, element("button", { class: "small" }, "Add"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (key.value.trim() && (await set(key.value.trim(), value.value))) {
      key.value = value.value = "";
      key.focus();
    }
  });
  for (const chip of list.querySelectorAll("[data-tag]")) finish(chip);
  list.append(element("li", { class: "new-tag" }, form));
}
