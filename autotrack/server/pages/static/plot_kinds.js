/* What plotly is given for each kind of plot. `make(runs, options, theme, width)` → {data, layout}; `runs` is a list of
   {label, plot}. `overlay` tells that several runs fit into one picture. */

import { number } from "./format.js";

const WORDS = ["NaN", "Infinity", "-Infinity"];
const SHOWN = 40;

/* Texts come from anybody; plotly reads a few tags in them. */
export function plain(text, longest = SHOWN) {
  const shown = String(text ?? "");
  const cut = shown.length > longest ? `${shown.slice(0, longest - 1)}…` : shown;
  return cut.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const finites = (values) => (values ?? []).map(finite);
const numberOrText = (value) => (typeof value === "string" && !WORDS.includes(value) ? plain(value) : finite(value));

/* Every line of every run, with its name in the legend. */
function linesOf(runs, facts = []) {
  return runs.flatMap(({ label, plot }) =>
    (plot.series ?? []).map((line) => {
      const own = line.name || ((plot.series ?? []).length === 1 ? plot.positive : "") || "";
      const told = facts
        .filter(([, key]) => typeof line[key] === "number")
        .map(([said, key]) => `${said} ${number(line[key], 3)}`);
      const name = [plain(label), label && plot.series.length === 1 ? "" : plain(own)].filter(Boolean).join(": ");
      const facts_ = told.join(", ");
      return { line, plot, name: name && facts_ ? `${name} (${facts_})` : name || facts_ };
    }),
  );
}

const stroke = (theme, place) => ({ color: theme.colour(place), width: 2, dash: theme.dash(place) });
const dashed = (theme) => ({ color: theme.faint, width: 1, dash: "dash" });

function chance(theme, name, x = [0, 1], y = [0, 1]) {
  return { x, y, name, mode: "lines", line: dashed(theme), hoverinfo: "skip", showlegend: Boolean(name) };
}

function unitSquare(runs, theme, width, facts, more, axes) {
  const lines = linesOf(runs, facts);
  const data = lines.map(({ line, name }, place) => ({
    x: finites(line.x),
    y: finites(line.y),
    name,
    mode: line.x.length === 1 || axes.markers ? "lines+markers" : "lines",
    line: { ...stroke(theme, place), shape: axes.shape ?? "linear" },
    showlegend: Boolean(name),
    hovertemplate: `${axes.x} %{x:.4~g}<br>${axes.y} %{y:.4~g}<extra>${name}</extra>`,
  }));
  return {
    data: [...more(lines), ...data],
    layout: {
      height: Math.min(Math.max(width * 0.78, 300), 460),
      xaxis: { title: axes.x, range: [-0.02, 1.02], constrain: "domain" },
      yaxis: { title: axes.y, range: [-0.02, 1.02], scaleanchor: width > 480 ? undefined : "x" },
      hovermode: "closest",
      showlegend: lines.length > 0,
    },
  };
}

function roc(runs, options, theme, width) {
  return unitSquare(runs, theme, width, [["AUC", "auc"]], () => [chance(theme, "chance")], {
    x: "false positive rate",
    y: "true positive rate",
  });
}

function precisionRecall(runs, options, theme, width) {
  const more = (lines) => {
    const share = lines.length === 1 ? finite(lines[0].line.prevalence) : null;
    return share === null ? [] : [chance(theme, `chance (AP ${number(share, 3)})`, [0, 1], [share, share])];
  };
  return unitSquare(runs, theme, width, [["AP", "average_precision"]], more, {
    x: "recall",
    y: "precision",
    shape: "hv",
  });
}

function calibration(runs, options, theme, width) {
  const more = () => [chance(theme, "perfectly calibrated")];
  const made = unitSquare(runs, theme, width, [["Brier score", "brier_score"]], more, {
    x: "mean predicted probability",
    y: "fraction of positives",
    markers: true,
  });
  const counted = runs.length === 1 ? runs[0].plot.series?.[0]?.counts : null;
  if (counted) {
    const bins = runs[0].plot.bins ?? 10;
    made.data.push({
      type: "bar",
      x: finites(runs[0].plot.series[0].x).map((x) => (Math.min(Math.max(Math.ceil(x * bins), 1), bins) - 0.5) / bins),
      y: finites(counted),
      width: 0.9 / bins,
      yaxis: "y2",
      name: "samples",
      marker: { color: theme.colour(0), opacity: 0.6 },
      showlegend: false,
    });
    made.layout.yaxis.domain = [0.26, 1];
    made.layout.yaxis2 = { title: "samples", domain: [0, 0.18], nticks: 3 };
    made.layout.height += 60;
  }
  return made;
}

function confusion(runs, options, theme, width) {
  const plot = runs[0].plot;
  const labels = plot.labels.map((label) => plain(label, 22));
  const counts = plot.counts.map(finites);
  const totals = counts.map((row) => row.reduce((sum, value) => sum + (value ?? 0), 0));
  const shares = counts.map((row, at) => row.map((value) => (totals[at] > 0 && value !== null ? value / totals[at] : null)));
  const n = labels.length;
  const percent = (share) => (share === null ? "–" : `${number(share * 100, 3)}%`);
  const text = counts.map((row, r) =>
    row.map((value, c) => (n > 12 && !(value > 0) ? "" : options.shares ? percent(shares[r][c]) : number(value))),
  );
  const places = labels.map((_, at) => at);
  const ticks = { tickvals: places, ticktext: labels, showgrid: false, type: "linear", range: [-0.5, n - 0.5] };
  const side = Math.min(width, n <= 6 ? 420 : 640);
  return {
    data: [
      {
        type: "heatmap",
        x: places,
        y: places,
        z: shares,
        text,
        customdata: counts.map((row, r) => row.map((v, c) => [number(v), percent(shares[r][c]), labels[r], labels[c]])),
        texttemplate: n <= 30 ? "%{text}" : undefined,
        textfont: { size: n <= 6 ? 15 : 11 },
        hovertemplate:
          "true %{customdata[2]}<br>predicted %{customdata[3]}<br>%{customdata[0]}, %{customdata[1]} of the true class<extra></extra>",
        colorscale: [[0, theme.low], [1, theme.high]],
        zmin: 0,
        zmax: 1,
        xgap: 2,
        ygap: 2,
        colorbar: { thickness: 10, tickformat: ".0%", outlinewidth: 0, len: 0.9 },
      },
    ],
    layout: {
      height: Math.max(side * 0.86, 280),
      xaxis: { title: "predicted class", ...ticks, tickangle: n > 6 ? -40 : 0 },
      yaxis: { title: "true class", ...ticks, range: [n - 0.5, -0.5] },
    },
  };
}

function cloud(theme, x, y, name, place, hover) {
  const n = x.length;
  return {
    x: finites(x),
    y: finites(y),
    name,
    mode: "markers",
    marker: { color: theme.colour(place), size: n <= 150 ? 7 : 5, opacity: n <= 150 ? 0.75 : n <= 500 ? 0.5 : 0.35 },
    hovertemplate: `${hover}<extra>${name}</extra>`,
  };
}

function residuals(runs, options, theme) {
  const unit = runs[0].plot.unit ? ` (${plain(runs[0].plot.unit)})` : "";
  const data = runs.flatMap(({ label, plot }, place) => [
    cloud(theme, plot.x, plot.y, plain(label), place, "predicted %{x:.5~g}<br>residual %{y:.5~g}"),
    {
      type: "histogram",
      y: finites(plot.y),
      xaxis: "x2",
      nbinsy: 40,
      marker: { color: theme.colour(place), opacity: 0.6 },
      showlegend: false,
      hoverinfo: "skip",
    },
  ]);
  return {
    data,
    layout: {
      height: 360,
      barmode: "overlay",
      xaxis: { title: `predicted value${unit}`, domain: [0, 0.84] },
      xaxis2: { domain: [0.86, 1], showticklabels: false, showgrid: false },
      yaxis: { title: `actual − predicted${unit}`, zeroline: true, zerolinecolor: theme.faint },
      showlegend: runs.length > 1,
      hovermode: "closest",
    },
  };
}

function predictedActual(runs, options, theme, width) {
  const unit = runs[0].plot.unit ? ` (${plain(runs[0].plot.unit)})` : "";
  const all = runs.flatMap(({ plot }) => [...finites(plot.x), ...finites(plot.y)]).filter((value) => value !== null);
  const ends = all.length ? [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))] : [0, 1];
  const known = [["R²", "r2_score"], ["RMSE", "root_mean_squared_error"], ["MAE", "mean_absolute_error"]];
  const data = runs.map(({ label, plot }, place) => {
    const told = known.filter(([, key]) => typeof plot.facts?.[key] === "number");
    const name = [plain(label), ...told.map(([said, key]) => `${said} ${number(plot.facts[key])}`)].filter(Boolean);
    return cloud(theme, plot.x, plot.y, name.join(", "), place, "actual %{x:.5~g}<br>predicted %{y:.5~g}");
  });
  return {
    data: [{ ...chance(theme, "", ends, ends) }, ...data],
    layout: {
      height: Math.min(Math.max(width * 0.75, 300), 440),
      xaxis: { title: `actual value${unit}` },
      yaxis: { title: `predicted value${unit}` },
      showlegend: data.some((trace) => trace.name),
      hovermode: "closest",
    },
  };
}

function bars(runs, options, theme) {
  const names = [...new Set(runs.flatMap(({ plot }) => plot.names))];
  const places = names.map((_, at) => at);
  const several = runs.length > 1;
  const data = runs.map(({ label, plot }, place) => {
    const values = finites(plot.values);
    return {
      type: "bar",
      orientation: "h",
      y: plot.names.map((name) => names.indexOf(name)),
      x: values,
      name: plain(label),
      error_x: plot.std ? { type: "data", array: finites(plot.std), color: theme.ink, thickness: 1, width: 2 } : undefined,
      marker: { color: several ? theme.colour(place) : values.map((value) => theme.colour(value < 0 ? 1 : 0)) },
      customdata: plot.names.map((name) => plain(name, 80)),
      hovertemplate: `%{customdata}<br>%{x:.5~g}<extra>${plain(label)}</extra>`,
    };
  });
  const plot = runs[0].plot;
  return {
    data,
    layout: {
      height: Math.max(180, 70 + names.length * (several ? 12 * runs.length + 8 : 20)),
      xaxis: { title: plain(plot.xlabel || plot.importance || ""), zeroline: true, zerolinecolor: theme.faint },
      yaxis: {
        tickvals: places,
        ticktext: names.map((name) => plain(name, 28)),
        range: [names.length - 0.4, -0.6],
        showgrid: false,
      },
      bargap: 0.3,
      showlegend: several,
    },
  };
}

function smoothed(values, halfLife) {
  if (!(halfLife > 0)) return values;
  const keep = 0.5 ** (1 / halfLife);
  let mean = 0;
  let weight = 0;
  return values.map((value) => {
    if (value === null) return null;
    mean = keep * mean + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    return mean / weight;
  });
}

function lines(runs, options, theme) {
  const found = linesOf(runs);
  const data = found.flatMap(({ line, name }, place) => {
    const x = line.x.map(numberOrText);
    const whole = finites(line.y);
    const y = smoothed(whole, options.smooth);
    const drawn = {
      x,
      y,
      name,
      mode: x.length <= 30 ? "lines+markers" : "lines",
      line: stroke(theme, place),
      hovertemplate: `%{x}: %{y:.5~g}<extra>${name}</extra>`,
    };
    const std = line.std ? finites(line.std) : null;
    if (!std || x.length < 2) return std ? [{ ...drawn, error_y: { type: "data", array: std } }] : [drawn];
    const edge = { x, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
    return [
      { ...edge, y: whole.map((value, at) => (value === null ? null : value - (std[at] ?? 0))) },
      {
        ...edge,
        y: whole.map((value, at) => (value === null ? null : value + (std[at] ?? 0))),
        fill: "tonexty",
        fillcolor: translucent(theme.colour(place)),
      },
      drawn,
    ];
  });
  const plot = runs[0].plot;
  return {
    data,
    layout: {
      height: 320,
      xaxis: { title: plain(plot.xlabel || ""), type: plot.log ? "log" : undefined },
      yaxis: { title: plain(plot.ylabel || ""), type: options.log ? "log" : undefined },
      showlegend: found.length > 1,
      hovermode: found.length > 1 ? "x" : "closest",
    },
  };
}

function translucent(colour) {
  return colour.replace(/^rgb\((.*)\)$/, "rgba($1, 0.16)");
}

function heatMap(runs, options, theme) {
  const plot = runs[0].plot;
  const values = plot.values.map(finites);
  const roomy = plot.columns.length <= 12 && plot.rows.length <= 14;
  const ticks = (names) => ({ tickvals: names.map((_, at) => at), ticktext: names.map((name) => plain(name, 22)) });
  return {
    data: [
      {
        type: "heatmap",
        z: values,
        text: values.map((row) => row.map((value) => number(value))),
        texttemplate: roomy ? "%{text}" : undefined,
        customdata: values.map((row, r) => row.map((_, c) => [plain(plot.columns[c]), plain(plot.rows[r])])),
        hovertemplate: `${plain(plot.xlabel)} %{customdata[0]}<br>${plain(plot.ylabel)} %{customdata[1]}<br>${plain(plot.value_name)} %{z:.5~g}<extra></extra>`,
        colorscale: "Viridis",
        xgap: 1,
        ygap: 1,
        colorbar: { thickness: 10, outlinewidth: 0, title: { text: plain(plot.value_name || ""), side: "right" } },
      },
    ],
    layout: {
      height: Math.min(Math.max(140 + plot.rows.length * 34, 260), 640),
      xaxis: { title: plain(plot.xlabel), ...ticks(plot.columns), showgrid: false },
      yaxis: { title: plain(plot.ylabel), ...ticks(plot.rows), showgrid: false, autorange: "reversed" },
    },
  };
}

function scatter(runs, options, theme) {
  const plot = runs[0].plot;
  const several = runs.length > 1;
  const data = runs.map(({ label, plot: own }, place) => {
    const trace = cloud(theme, own.x, own.y, plain(label), place, "%{x:.5~g}, %{y:.5~g}");
    if (own.values && !several) {
      trace.marker = {
        color: finites(own.values),
        colorscale: "Viridis",
        size: 9,
        line: { width: 0.5, color: theme.paper },
        colorbar: { thickness: 10, outlinewidth: 0, title: { text: plain(own.value_name || ""), side: "right" } },
      };
      trace.hovertemplate = `%{x:.5~g}, %{y:.5~g}<br>${plain(own.value_name)} %{marker.color:.5~g}<extra></extra>`;
    }
    return trace;
  });
  return {
    data,
    layout: {
      height: 360,
      xaxis: { title: plain(plot.xlabel), type: plot.log_x ? "log" : undefined },
      yaxis: { title: plain(plot.ylabel), type: plot.log_y ? "log" : undefined },
      showlegend: several,
      hovermode: "closest",
    },
  };
}

export const KINDS = {
  roc_curve: { make: roc, overlay: true },
  precision_recall_curve: { make: precisionRecall, overlay: true },
  calibration_curve: { make: calibration, overlay: true },
  confusion_matrix: { make: confusion },
  residuals: { make: residuals, overlay: true },
  predicted_vs_actual: { make: predictedActual, overlay: true },
  feature_importances: { make: bars, overlay: true },
  bars: { make: bars, overlay: true },
  learning_curve: { make: lines, overlay: true },
  validation_curve: { make: lines, overlay: true },
  iterations: { make: lines, overlay: true },
  lines: { make: lines, overlay: true },
  heat_map: { make: heatMap },
  scatter: { make: scatter, overlay: true },
};
