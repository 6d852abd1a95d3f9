/* Kinds of plots that show several runs at once, each run in the colour that it has on the page. */

import { number } from "./format.js";
import { KINDS, plain } from "./plot_kinds.js";

const MOST_IN_LEGEND = 8;
const DASHES = ["solid", "dash", "dot", "dashdot"];

/* A known kind whose lines have `run`: coloured by it, and dashed where a run has several. */
function byRun(kind) {
  const known = KINDS[kind];
  return {
    make(runs, options, theme, width) {
      const made = known.make(runs, options, theme, width);
      const lines = runs[0].plot.series;
      const seen = new Map();
      made.data.slice(-lines.length).forEach((trace, place) => {
        const run = lines[place].run;
        const before = seen.get(run) ?? 0;
        seen.set(run, before + 1);
        trace.line = { ...trace.line, color: theme.colour(run), dash: before ? DASHES[before % 4] : theme.dash(run) };
      });
      made.layout.showlegend = lines.length <= MOST_IN_LEGEND; // the runs stand at the top of the page, too
      made.layout.height = 330 + (made.layout.showlegend ? 18 * made.data.length : 0);
      made.layout.legend = { y: -0.2 };
      return made;
    },
  };
}

const axis = (title, log, isNumber = true) => ({
  title: plain(title),
  type: isNumber ? (log ? "log" : undefined) : "category",
});

function markers(plot, theme, extra = {}) {
  return {
    mode: "markers",
    x: plot.points.map((point) => (typeof point.x === "string" ? plain(point.x) : point.x)),
    y: plot.points.map((point) => (typeof point.y === "string" && plot.kind === "contour" ? plain(point.y) : finite(point.y))),
    customdata: plot.points.map((point) => [plain(point.name, 60), number("value" in point ? point.value : point.y)]),
    marker: { size: 11, color: plot.points.map((point) => theme.colour(point.run)), line: { width: 1.5, color: theme.paper } },
    showlegend: false,
    ...extra,
  };
}

const finite = (value) => (typeof value === "number" ? value : null);

function scatter(runs, options, theme) {
  const plot = runs[0].plot;
  const hover = `%{customdata[0]}<br>${plain(plot.xlabel)} %{x}<br>${plain(plot.ylabel)} %{customdata[1]}<extra></extra>`;
  return {
    data: [markers(plot, theme, { hovertemplate: hover })],
    layout: {
      height: 340,
      xaxis: axis(plot.xlabel, plot.log_x, plot.is_number),
      yaxis: { title: plain(plot.ylabel) },
      hovermode: "closest",
    },
  };
}

/* The surface is drawn through the mean of the runs at each place; plotly fills what lies between. */
function contour(runs, options, theme) {
  const plot = runs[0].plot;
  const isNumber = (key) => plot.points.every((point) => typeof point[key] === "number");
  const order = (key) => {
    const found = [...new Set(plot.points.map((point) => point[key]))];
    return isNumber(key) ? found.sort((a, b) => a - b) : found.sort();
  };
  const [columns, rows] = [order("x"), order("y")];
  const cells = rows.map(() => columns.map(() => []));
  for (const point of plot.points) cells[rows.indexOf(point.y)][columns.indexOf(point.x)].push(point.value);
  const mean = (values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : null);
  const shown = (values) => values.map((value) => (typeof value === "string" ? plain(value) : value));
  const [xLabel, yLabel, label] = [plot.xlabel, plot.ylabel, plot.value_name].map((text) => plain(text));
  const hover = `%{customdata[0]}<br>${xLabel} %{x}<br>${yLabel} %{y}<br>${label} %{customdata[1]}<extra></extra>`;
  return {
    data: [
      {
        type: "contour",
        x: shown(columns),
        y: shown(rows),
        z: cells.map((row) => row.map(mean)),
        connectgaps: true,
        colorscale: "Viridis",
        reversescale: plot.direction < 0,
        line: { width: 0.5, color: theme.grid },
        colorbar: { thickness: 10, outlinewidth: 0, title: { text: label, side: "right" } },
        hoverinfo: "skip",
      },
      markers(plot, theme, { hovertemplate: hover }),
    ],
    layout: {
      height: 340,
      xaxis: axis(plot.xlabel, plot.log_x, isNumber("x")),
      yaxis: axis(plot.ylabel, plot.log_y, isNumber("y")),
      hovermode: "closest",
    },
  };
}

for (const kind of ["roc_curve", "precision_recall_curve", "calibration_curve", "iterations"]) {
  KINDS[`runs_${kind}`] = byRun(kind);
}
KINDS.runs_scatter = { make: scatter };
KINDS.contour = { make: contour };
KINDS.candidates = { make: candidates };

/* Points of a search, coloured by their scores; the best one is a star. */
function candidates(runs, options, theme) {
  const plot = runs[0].plot;
  const isNumber = (key) => plot.points.every((point) => typeof point[key] === "number");
  const shown = (key) => plot.points.map((point) => (typeof point[key] === "string" ? plain(point[key]) : point[key]));
  return {
    data: [
      {
        mode: "markers",
        x: shown("x"),
        y: shown("y"),
        customdata: plot.points.map((point) => [plain(point.name, 90), number(point.value)]),
        hovertemplate: "%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        marker: {
          color: plot.points.map((point) => finite(point.value)),
          colorscale: [[0, theme.grid], [1, theme.high]],
          showscale: Boolean(plot.value_name),
          colorbar: { thickness: 10, outlinewidth: 0, title: { text: plain(plot.value_name ?? ""), side: "right" } },
          size: plot.points.map((point) => (point.best ? 17 : 9)),
          symbol: plot.points.map((point) => (point.best ? "star" : "circle")),
          line: { width: 1, color: theme.faint },
        },
      },
    ],
    layout: {
      height: 340,
      xaxis: axis(plot.xlabel, plot.log_x, isNumber("x")),
      yaxis: axis(plot.ylabel, plot.log_y, isNumber("y")),
      hovermode: "closest",
      showlegend: false,
    },
  };
}
