// The pages of a registered model and of one version: description, tags and aliases are edited in place.
import { element, icon, postJSON, toast } from "./base.js";
import { attempt, editableTags, editableText } from "./edit.js";

const article = document.querySelector("article[data-model]");
const name = article.dataset.model;
const version = article.dataset.version ? Number(article.dataset.version) : null;
const own = version === null ? { name } : { name, version };

const ask = (action, body) => postJSON(`/actions/models/${action}`, body);

function aliasChip(place, alias, number) {
  const chip = place.querySelector(`[data-alias="${CSS.escape(alias)}"]`)
    ?? place.insertBefore(element("span", { class: "chip accent", "data-alias": alias }, `@${alias}`), place.querySelector("form"));
  chip.append(element("button", {
    type: "button", class: "quiet tiny", "aria-label": `Delete the alias ${alias}`, title: "Delete",
    onclick: async () => {
      if (!(await attempt(() => ask("alias", { name, alias, version: null })))) return;
      chip.remove();
      toast(`The alias ${alias} is deleted.`, { action: { label: "Undo", run: () => setAlias(place, alias, number) } });
    },
  }, icon("close")));
}

async function setAlias(place, alias, number) {
  if (!(await attempt(() => ask("alias", { name, alias, version: number })))) return false;
  // It points to one version only.
  document.querySelectorAll(`[data-alias="${CSS.escape(alias)}"]`).forEach((chip) => chip.remove());
  aliasChip(place, alias, number);
  return true;
}

for (const place of document.querySelectorAll("[data-aliases]")) {
  const number = Number(place.dataset.aliases);
  for (const chip of place.querySelectorAll("[data-alias]")) aliasChip(place, chip.dataset.alias, number);
  const field = element("input", { "aria-label": `New alias of version ${number}`, placeholder: "alias", size: "8", required: true });
  const form = element("form", { class: "new-alias", hidden: true }, field);
  const open = element("button", {
    type: "button", class: "quiet tiny", title: "Let an alias point here", "aria-label": `Let an alias point to version ${number}`,
    onclick: () => {
      form.hidden = !form.hidden;
      if (!form.hidden) field.focus();
    },
  }, "+");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await setAlias(place, field.value.trim().replace(/^@/, ""), number)) {
      field.value = "";
      form.hidden = true;
      open.focus();
    }
  });
  place.append(form, open);
}

editableText(document.querySelector("[data-description]"), {
  noun: "Description",
  none: "No description.",
  save: (description) => ask("describe", { ...own, description }),
});
editableTags(document.querySelector("[data-tags]"), ({ set, remove }) =>
  ask("describe", { ...own, tags: { ...set, ...Object.fromEntries(remove.map((key) => [key, null])) } }));

const actions = document.querySelector("[data-model-actions]");
const what = version === null ? `the model ${name} with all its versions` : `version ${version} of ${name}`;
const dialog = element("dialog", { "aria-label": "Delete" },
  element("h2", {}, version === null ? "Delete this model?" : "Delete this version?"),
  element("p", {}, `This deletes ${what}. The runs and their files stay; the number is not given again.`),
  element("div", { class: "row" },
    element("button", {
      type: "button", class: "danger",
      onclick: async () => {
        if (await attempt(() => ask("delete", own))) location.assign(version === null ? "/models" : `/models/${encodeURIComponent(name)}${name.endsWith(".json") ? "/" : ""}`);
        else dialog.close();
      },
    }, "Delete"),
    element("button", { type: "button", onclick: () => dialog.close() }, "Keep")));
actions.append(element("button", { type: "button", class: "small danger", onclick: () => dialog.showModal() }, "Delete"));
document.body.append(dialog);
