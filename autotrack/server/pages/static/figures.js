// Plots of a page: when one comes near the view, its still picture becomes an interactive one.
import { element, getJSON } from "./base.js";
import { describe, draw, table } from "./plots.js";

const loaded = new Map(); // address → promise of plots by name

function plotsOf(figure) {
  const url = figure.closest("[data-plots]").dataset.plots;
  if (!loaded.has(url)) {
    const found = getJSON(url).then((told) => new Map(told.plots.map((entry) => [entry.name, entry.data])));
    loaded.set(url, found);
  }
  return loaded.get(url);
}

async function show(figure) {
  const area = figure.querySelector(".plot-area");
  try {
    const plot = (await plotsOf(figure)).get(figure.dataset.plot);
    if (!plot) return;
    const drawing = await draw(area, plot);
    area.setAttribute("role", "group"); // there are buttons in it now
    area.setAttribute("aria-label", describe(plot));
    addTools(figure, plot, drawing);
  } catch (error) {
    // The still picture stays, and says the same.
    console.warn(`${figure.dataset.plot}: ${error.message}`);
  }
}

function addTools(figure, plot, drawing) {
  const tools = figure.querySelector(".plot-tools");
  const first = tools.firstElementChild;
  const add = (node) => tools.insertBefore(node, first);
  if (plot.kind === "confusion_matrix") {
    const choice = element("span", { class: "segments" });
    for (const [label, shares] of [["Counts", false], ["Shares", true]]) {
      choice.append(element("button", {
        type: "button",
        "aria-pressed": String(!shares),
        onclick: (event) => {
          for (const other of choice.children) other.setAttribute("aria-pressed", String(other === event.target));
          drawing.redraw({ shares });
        },
      }, label));
    }
    add(choice);
  }
  if (plot.kind === "iterations" && (plot.series?.[0]?.x.length ?? 0) > 20) {
    const smooth = element("input", { type: "range", min: "0", max: "20", value: "0", "aria-label": "Smoothing" });
    smooth.addEventListener("input", () => drawing.redraw({ smooth: Number(smooth.value) }));
    add(element("label", {}, "Smooth", smooth));
    const log = element("input", { type: "checkbox" });
    log.addEventListener("change", () => drawing.redraw({ log: log.checked }));
    add(element("label", {}, log, "Logarithmic"));
  }
  const numbers = element("details", {}, element("summary", {}, "Numbers"));
  numbers.addEventListener("toggle", () => {
    if (numbers.open && numbers.children.length === 1) {
      numbers.append(element("div", { class: "table-frame", tabindex: "0" }, table(plot)));
    }
  });
  figure.append(numbers);
}

const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      show(entry.target);
    }
  },
  { rootMargin: "300px 0px" },
);

/** Look after the plots below `root`. */
export function watchPlots(root = document) {
  for (const figure of root.querySelectorAll("figure[data-plot]")) watcher.observe(figure);
}

/** Forget what was loaded, for a run that goes on. */
export function forgetPlots() {
  loaded.clear();
}

watchPlots();
