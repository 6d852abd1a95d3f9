/* Draws the pictures that the server has put together, each when it comes into sight; and what is chosen above them. */

import "./parallel.js";
import "./run_kinds.js";
import { draw } from "./plots.js";

const plots = JSON.parse(document.getElementById("plots").textContent);

function plotOf(figure) {
  const found = plots[figure.dataset.chart];
  const plot = Array.isArray(found) ? found[Number(figure.dataset.number)] : found;
  return plot.series?.every((line) => "run" in line) ? { ...plot, kind: `runs_${plot.kind}` } : plot;
}

async function show(figure) {
  const canvas = figure.querySelector(".canvas");
  try {
    await draw(canvas, plotOf(figure));
    figure.dataset.drawn = "yes";
  } catch (error) {
    canvas.textContent = `This picture cannot be drawn: ${error.message}`;
  }
}

const inSight = new IntersectionObserver(
  (entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      inSight.unobserve(entry.target);
      show(entry.target);
    }
  },
  { rootMargin: "400px" },
);
for (const figure of document.querySelectorAll("[data-chart]")) inSight.observe(figure);

// A choice is a form: it works without scripts by its button; with them it is sent when something is chosen.
for (const form of document.querySelectorAll("[data-choices]")) {
  form.querySelector("button").hidden = true;
  form.addEventListener("change", () => form.requestSubmit());
}
