"use strict";
const spec = JSON.parse(document.getElementById("spec").textContent);
const form = document.getElementById("form");
const answer = document.getElementById("answer");
const curl = document.getElementById("curl");
const button = document.getElementById("predict");
const copy = document.getElementById("copy");
const method = document.getElementById("method");
const fields = Array.from(form.querySelectorAll("[data-place]"));
const NUMBER = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/;

// The text of a JSON value. A number goes as it was typed: JavaScript's would lose digits of a long one.
function literal(field) {
  const text = field.value;
  const kind = field.dataset.kind;
  if (kind === "json") return text.trim() === "" ? "null" : text;
  if (text === "" && kind !== "string") return "null";
  if (text === "" && field.dataset.optional) return "null";
  if (kind === "boolean") return text;
  if (kind === "number") {
    const plain = text.trim().replace(/^\+/, "").replace(/^(-?)\./, (_, sign) => sign + "0.").replace(/\.$/, "");
    return NUMBER.test(plain) ? plain : JSON.stringify(text);
  }
  if (kind === "any" && NUMBER.test(text.trim())) return text.trim();
  return JSON.stringify(text);
}

function body() {
  const values = fields.map(literal);
  let text;
  if (spec.form === "split") {
    text = '"columns": ' + JSON.stringify(spec.columns) + ', "data": [[' + values.join(", ") + "]]";
  } else if (spec.form === "rows") {
    text = '"inputs": [[' + values.join(", ") + "]]";
  } else if (spec.form === "values") {
    text = '"inputs": [' + values.join(", ") + "]";
  } else {
    text = '"inputs": ' + values[0];
  }
  if (method && method.value !== "predict") {
    text += ', "params": {"predict_method": ' + JSON.stringify(method.value) + "}";
  }
  return "{" + text + "}";
}

function quoted(text) {
  return "'" + text.replaceAll("'", "'\\''") + "'";
}

function address() {
  return new URL("invocations", document.baseURI).href;
}

function show() {
  const token = spec.token ? ' \\\n  -H "Authorization: Bearer $AUTOTRACK_SERVING_TOKEN"' : "";
  curl.textContent = "curl " + address() + " \\\n  -H 'Content-Type: application/json'" + token + " \\\n  -d " + quoted(body());
}

function element(name, text, kind) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function worded(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function showAnswer(data, text) {
  answer.className = "";
  const rows = data && data.predictions;
  if (!Array.isArray(rows) || rows.length !== 1) {
    answer.replaceChildren(element("pre", text));
    return;
  }
  const row = rows[0];
  if (row !== null && typeof row === "object") {
    const labelled = Array.isArray(row) && spec.classes && spec.classes.length === row.length;
    const entries = labelled ? row.map((value, place) => [spec.classes[place], value]) : Object.entries(row);
    const table = document.createElement("table");
    for (const [name, value] of entries) {
      const line = document.createElement("tr");
      line.append(element("th", name), element("td", worded(value)));
      table.append(line);
    }
    answer.replaceChildren(table);
  } else {
    answer.replaceChildren(element("div", worded(row), "value"));
  }
}

function showProblem(data, text) {
  answer.className = "bad";
  answer.replaceChildren(element("p", (data && data.message) || text));
  const named = new Set((data && data.error && data.error.columns) || []);
  for (const field of fields) {
    if (named.has(field.dataset.name)) field.setAttribute("aria-invalid", "true");
  }
}

// What the answer holds, with long numbers as text where JavaScript would round them.
function read(text) {
  try {
    return JSON.parse(text, (key, value, context) =>
      typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && context
        ? context.source : value);
  } catch {
    return null;
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  for (const field of fields) field.removeAttribute("aria-invalid");
  button.disabled = true;
  try {
    const response = await fetch(address(), {
      method: "POST", headers: {"Content-Type": "application/json", "Accept": "application/json"}, body: body(),
    });
    const text = await response.text();
    const data = read(text);
    if (response.ok) showAnswer(data, text);
    else showProblem(data, "The server answered " + response.status + ".");
  } catch (error) {
    showProblem(null, "The server did not answer: " + error.message);
  } finally {
    answer.hidden = false;
    button.disabled = false;
  }
});
form.addEventListener("input", show);
form.addEventListener("change", show);
copy.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(curl.textContent);
    copy.textContent = "Copied";
  } catch {
    const range = document.createRange();
    range.selectNodeContents(curl);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    copy.textContent = "Selected";
  }
  setTimeout(() => { copy.textContent = "Copy"; }, 1500);
});
show();
