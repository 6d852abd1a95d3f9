/* Interactive plots out of plot data (`autotrack/plots/data.py` says what each kind holds), drawn by plotly.

   draw(element, plots, options) → Promise<Drawing>
       element   an empty block element; its width is used, its height is set
       plots     one plot's data, or a list of {label, plot} of one kind: several runs in one picture
       options   shares    confusion matrix: show each row's shares in place of counts (default false)
                 height    in pixels; what suits the plot when left out
                 smooth    lines: half-life in points of an exponential mean, 0 for none (default 0)
                 log       lines: a logarithmic y axis (default false)
       Drawing   .redraw(options) draws anew with these options over the former ones
                 .remove() takes everything away
       Rejects when plotly is not there or the kind is unknown; the element is as it was then.

   canOverlay(kind)     whether several runs' plots of this kind fit into one picture
   describe(plot)       a sentence for those who do not see the picture
   table(plot)          a <table> element with the numbers

   Plotly's script is loaded at the first call. Colours are the tokens of style.css, and a change of the theme draws
   again. Numbers that JSON lacks are the texts "NaN",
   "Infinity" and "-Infinity", as in files of plots. */

import { onTheme, token } from "./base.js";
import { KINDS } from "./plot_kinds.js";
export { describe, table } from "./plot_texts.js";

const PLOTLY = "/static/plotly.min.js";
const CONFIG = {
  displaylogo: false,
  responsive: true,
  showTips: false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
};
const drawings = new Set();
let loading = null;

function plotly() {
  loading ??= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve(window.Plotly);
    const script = document.createElement("script");
    script.src = PLOTLY;
    script.onload = () => (window.Plotly ? resolve(window.Plotly) : reject(new Error("plotly did not start")));
    script.onerror = () => reject(new Error("plotly is not installed beside the server"));
    document.head.append(script);
  });
  return loading;
}

export function canOverlay(kind) {
  return Boolean(KINDS[kind]?.overlay);
}

export async function draw(element, plots, options = {}) {
  const runs = Array.isArray(plots) ? plots : [{ label: "", plot: plots }];
  const kind = runs[0]?.plot?.kind;
  const known = KINDS[kind];
  if (!known) throw new Error(`plots of the kind ${kind} cannot be drawn here`);
  if (runs.length > 1 && !known.overlay) throw new Error(`plots of the kind ${kind} do not fit into one picture`);
  const Plotly = await plotly();
  const drawing = {
    element,
    options: { ...options },
    async show() {
      const theme = themeOf(element);
      const { data, layout } = known.make(runs, this.options, theme, element.clientWidth || 600);
      const height = this.options.height ?? layout.height ?? 360;
      element.classList.add("plot-live");
      await Plotly.react(element, data, { ...base(theme, layout), height }, CONFIG);
    },
    redraw(more = {}) {
      this.options = { ...this.options, ...more };
      return this.show();
    },
    remove() {
      drawings.delete(this);
      Plotly.purge(element);
      element.classList.remove("plot-live");
    },
  };
  await drawing.show();
  drawings.add(drawing);
  return drawing;
}

function themeOf(element) {
  const colours = [1, 2, 3, 4, 5, 6, 7, 8].map((place) => token(`series-${place}`));
  return {
    colours,
    ink: token("text"),
    faint: token("muted"),
    grid: token("line"),
    paper: token("raised"),
    low: token("sunk"),
    high: token("series-1"),
    font: getComputedStyle(element).fontFamily,
    dash: (place) => ["solid", "dash", "dot", "dashdot"][Math.floor(place / colours.length) % 4],
    colour: (place) => colours[place % colours.length],
  };
}

function base(theme, layout) {
  const axis = (own = {}) => ({
    gridcolor: theme.grid,
    linecolor: theme.grid,
    tickcolor: theme.grid,
    zeroline: false,
    automargin: true,
    ...own,
    title: { standoff: 8, font: { size: 12 }, ...(typeof own.title === "string" ? { text: own.title } : own.title) },
  });
  const { xaxis, yaxis, xaxis2, yaxis2, legend, ...rest } = layout;
  const made = {
    font: { family: theme.font, size: 12, color: theme.ink },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 48, r: 12, t: 8, b: 40 },
    hoverlabel: { bgcolor: theme.paper, bordercolor: theme.faint, font: { color: theme.ink, family: theme.font } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.faint, activecolor: theme.ink },
    legend: { orientation: "h", x: 0, y: -0.16, yanchor: "top", ...legend },
    colorway: theme.colours,
    autosize: true,
    ...rest,
    xaxis: axis(xaxis),
    yaxis: axis(yaxis),
  };
  if (xaxis2) made.xaxis2 = axis(xaxis2);
  if (yaxis2) made.yaxis2 = axis(yaxis2);
  return made;
}

let waiting = 0;
onTheme(() => {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => drawings.forEach((drawing) => drawing.show()));
});
