/* What a plot says in words and numbers: a sentence for those who do not see the picture, and a table. */

import { number } from "./format.js";

const MOST_ROWS = 1000;

export function describe(plot) {
  const parts = [plot.title, plot.subtitle].filter(Boolean);
  const lines = plot.series ?? [];
  for (const line of lines.slice(0, 8)) {
    const facts = [["auc", "AUC"], ["average_precision", "average precision"], ["brier_score", "Brier score"]]
      .filter(([key]) => typeof line[key] === "number")
      .map(([key, said]) => `${said} ${number(line[key])}`);
    if (facts.length) parts.push([line.name, facts.join(", ")].filter(Boolean).join(": "));
    else if (line.y?.length) {
      const last = line.y[line.y.length - 1];
      parts.push(`${line.name ? `${line.name}: ` : ""}${line.y.length} points, the last ${number(last)}`);
    }
  }
  if (lines.length > 8) parts.push(`and ${lines.length - 8} more lines`);
  if (plot.kind === "confusion_matrix") {
    const counts = plot.counts;
    const all = counts.flat().reduce((sum, value) => sum + (Number(value) || 0), 0);
    const right = counts.reduce((sum, row, at) => sum + (Number(row[at]) || 0), 0);
    parts.push(`${number(right)} of ${number(all)} on the diagonal`);
  }
  if (plot.names?.length) parts.push(`first ${plot.names[0]} with ${number(plot.values[0])}`);
  if (plot.facts) parts.push(...Object.entries(plot.facts).map(([key, value]) => `${key} ${number(value)}`));
  if (plot.x?.length) parts.push(`${plot.x.length} points`);
  return `${parts.join(". ")}.`;
}

/* Column names and rows of the numbers behind a plot. */
function rowsOf(plot) {
  if (plot.series) {
    const has = (key) => plot.series.some((line) => line[key]);
    const extra = ["std", "counts"].filter(has);
    const rows = plot.series.flatMap((line) =>
      line.x.map((x, at) => [line.name ?? "", x, line.y[at], ...extra.map((key) => line[key]?.[at])]),
    );
    return [["line", plot.xlabel || "x", plot.ylabel || "y", ...extra], rows];
  }
  if (plot.counts) return [["true class", ...plot.labels], plot.counts.map((row, at) => [plot.labels[at], ...row])];
  if (plot.columns) return [[plot.ylabel, ...plot.columns], plot.values.map((row, at) => [plot.rows[at], ...row])];
  if (plot.names) {
    const std = plot.std ? ["std"] : [];
    return [["name", plot.xlabel || plot.importance || "value", ...std],
      plot.names.map((name, at) => [name, plot.values[at], ...(plot.std ? [plot.std[at]] : [])])];
  }
  if (plot.x) {
    const named = plot.values ? [plot.value_name || "value"] : [];
    return [[plot.xlabel || "x", plot.ylabel || "y", ...named],
      plot.x.map((x, at) => [x, plot.y[at], ...(plot.values ? [plot.values[at]] : [])])];
  }
  return [[], []];
}

export function table(plot) {
  const [heads, rows] = rowsOf(plot);
  const made = document.createElement("table");
  made.className = "numbers";
  const caption = made.createCaption();
  caption.textContent = rows.length > MOST_ROWS
    ? `${plot.title}: the first ${number(MOST_ROWS)} of ${number(rows.length)} rows`
    : plot.title;
  const head = made.createTHead().insertRow();
  for (const name of heads) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = made.createTBody();
  for (const row of rows.slice(0, MOST_ROWS)) {
    const line = body.insertRow();
    for (const value of row) {
      const cell = line.insertCell();
      cell.textContent = typeof value === "number" ? number(value, 6) : (value ?? "");
      if (typeof value === "number") {
        cell.className = "num";
        cell.title = String(value);
      }
    }
  }
  return made;
}
