// What may come next in a filter: fields, comparisons, values. The server alone says whether one is right.

const TOKENS = /\s+|"(?:[^"]|"")*"?|'(?:[^']|'')*'?|==|!=|<>|<=|>=|[=<>(),]|[^\s=<>!(),"'.]+(?:\.(?:"(?:[^"]|"")*"?|'(?:[^']|'')*'?|[^\s=<>!(),"']*))?|./gu;
const ATTRIBUTES = {
  status: "RUNNING, FINISHED, FAILED, KILLED",
  run_name: "name of the run",
  start_time: "a date such as '2026-05-01'",
  end_time: "a date",
  duration: "seconds",
  experiment: "name",
  user: "who ran it",
  script: "what ran",
  error: "traceback",
  parent_run_id: "the run around it",
  run_id: "whole id",
};
const NUMBERS = new Set(["start_time", "end_time", "duration"]);
const OTHERS = {
  "datasets.name": "variable", "datasets.digest": "hash of the data", "datasets.context": "train or eval",
  "models.path": "folder", "models.estimator_class": "class", "models.registered_model_name": "name in the registry",
};
const STATUSES = ["RUNNING", "FINISHED", "FAILED", "KILLED"];

/**
 * Suggestions for the text before the caret.
 *
 * Returns {from, items}: each of the items is {text, about}, and is to stand in the place of all from `from` to the caret.
 */
export function suggest(text, names) {
  const tokens = [...text.matchAll(TOKENS)].map((match) => ({ text: match[0], at: match.index }));
  let typed = { text: "", at: text.length };
  if (tokens.length && !/^(\s+|[(),]|==|!=|<>|<=|>=|[=<>])$/.test(tokens.at(-1).text)) typed = tokens.pop();
  const before = tokens.filter((token) => token.text.trim()).map((token) => token.text);
  const place = placeAfter(before);
  const wanted = typed.text.toLowerCase();
  const items = candidates(place, before, names).filter((item) => item.text.toLowerCase() !== wanted);
  const starts = items.filter((item) => item.text.toLowerCase().startsWith(wanted));
  const holds = items.filter((item) => !starts.includes(item) && (item.key ?? item.text).toLowerCase().includes(wanted));
  return { from: typed.at, items: [...starts, ...holds].slice(0, 40) };
}

/** What a filter wants behind these tokens: "field", "operator", "value", or "joint" (AND, OR). */
function placeAfter(tokens) {
  let place = "field";
  let inList = false;
  for (const token of tokens) {
    const word = token.toUpperCase();
    if (place === "field") {
      if (word !== "NOT" && word !== "(") place = "operator";
    } else if (place === "operator") {
      if (word === "IS") place = "null";
      else if (word === "IN") place = "list";
      else if (word !== "NOT") place = "value";
    } else if (place === "null") {
      if (word === "NULL") place = "joint";
    } else if (place === "list") {
      if (word === "(") [place, inList] = ["value", true];
    } else if (place === "value") {
      place = "joint";
    } else if (inList && word === ",") {
      place = "value";
    } else if (word === ")") {
      inList = false;
    } else if (word === "AND" || word === "OR") {
      place = "field";
    }
  }
  return inList && place === "joint" ? "list-joint" : place;
}

function candidates(place, before, names) {
  const plain = (texts, about = "") => texts.map((text) => ({ text, about }));
  if (place === "field") return fields(names);
  if (place === "operator") return operators(before.at(-1) ?? "");
  if (place === "null") return plain(["NULL", "NOT NULL"]);
  if (place === "list") return plain(["("]);
  if (place === "list-joint") return plain([",", ")"]);
  if (place === "joint") return plain(["AND", "OR"]);
  const field = before.findLast((token) => /^(attributes?\.|attr\.|run\.)?status$/i.test(token));
  const compared = before.at(-1) === "(" ? before.at(-3) : before.at(-2);
  if (field && (field === compared || before.includes("IN"))) return plain(STATUSES.map((status) => `'${status}'`));
  if (/context$/.test(compared ?? "")) return plain(["'train'", "'eval'"]);
  return [];
}

function fields(names) {
  const found = [];
  const add = (entity, keys, about) => {
    for (const key of keys ?? []) found.push({ text: `${entity}.${quoted(key)}`, about, key: `${entity}.${key}` });
  };
  add("metrics", names?.metrics, "metric");
  add("params", names?.params, "param");
  for (const [key, about] of Object.entries(ATTRIBUTES)) found.push({ text: key, about });
  add("tags", names?.tags, "tag");
  for (const [key, about] of Object.entries(OTHERS)) found.push({ text: key, about });
  found.push({ text: "NOT", about: "the opposite" });
  return found;
}

function operators(field) {
  const bare = field.replace(/^(attributes?|attr|run)\./i, "");
  const number = /^metrics?\./i.test(field) || NUMBERS.has(bare);
  const texts = number ? [">", ">=", "<", "<=", "=", "!="] : ["=", "!=", "LIKE", "ILIKE", "IN"];
  if (/^param/i.test(field)) texts.push(">", "<");
  const about = { LIKE: "'%part%'", ILIKE: "in either case", IN: "(…)", "=": "", "!=": "" };
  return [...texts, "IS NULL", "IS NOT NULL"].map((text) => ({ text, about: about[text] ?? "" }));
}

/** A key as it stands in a filter: in quotes where it has to. */
function quoted(key) {
  return /^[\w./:@%+-]+$/u.test(key) ? key : `"${key.replaceAll('"', '""')}"`;
}
