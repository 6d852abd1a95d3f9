"""Drawers of what has two axes of numbers: curves, lines, bars, clouds of points."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from autotrack.plots.canvas import COLOURS, FEW, GREY, INK, PALE, Canvas, floats, line_style, short, shown, ticks
from autotrack.plots.files import Plot

_MARKED: Final = 30
"""Lines of so few points have a marker at each."""


def roc_curve(canvas: Canvas, plot: Plot) -> None:
    """True over false positive rate."""
    labels = _legend_texts(plot, ("AUC", "auc"))
    ax = _unit_square(canvas, plot, "false positive rate", "true positive rate", labels)
    if not labels:
        canvas.nothing(ax)
        return
    (chance,) = ax.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (4, 3)), linewidth=1)
    handles = []
    for place, line in enumerate(plot["series"]):
        (drawn,) = ax.plot(
            floats(line["x"]), floats(line["y"]), **_single(line_style(place), line), clip_on=False, zorder=3
        )
        handles.append(drawn)
    canvas.legend(ax, [*handles, chance], [*labels, "chance (AUC 0.500)"], "lower right")


def precision_recall_curve(canvas: Canvas, plot: Plot) -> None:
    """Precision over recall, in steps."""
    labels = _legend_texts(plot, ("AP", "average_precision"))
    ax = _unit_square(canvas, plot, "recall", "precision", labels)
    if not labels:
        canvas.nothing(ax)
        return
    series = plot["series"]
    handles = []
    for place, line in enumerate(series):
        (drawn,) = ax.plot(
            floats(line["x"]),
            floats(line["y"]),
            drawstyle="steps-post" if len(line["x"]) > 1 else "default",
            **_single(line_style(place), line),
            clip_on=False,
            zorder=3,
        )
        handles.append(drawn)
    if len(series) == 1 and np.isfinite(series[0].get("prevalence", np.nan)):
        share = float(series[0]["prevalence"])
        handles.append(ax.axhline(share, color=GREY, linestyle=(0, (4, 3)), linewidth=1))
        labels.append(f"chance (AP {short(share)})")
    canvas.legend(ax, handles, labels, "lower left")


def calibration_curve(canvas: Canvas, plot: Plot) -> None:
    """Observed over predicted frequency, and below how many samples are behind each point."""
    canvas.fit(5.4, 6.0)
    if not any(line["x"] for line in plot["series"]):
        canvas.nothing(canvas.axes(plot, xlabel="mean predicted probability", ylabel="fraction of positives"))
        return
    counted = any("counts" in line for line in plot["series"])
    if counted:
        ax, below = canvas.figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [4, 1]})
    else:
        canvas.fit(5.2, 5.2)
        ax = below = canvas.figure.add_subplot()
    positive = plot.get("positive")
    canvas.dress(
        ax, ylabel=f"fraction of positives ({shown(positive)})" if positive is not None else "fraction of positives"
    )
    canvas.title(ax, plot)
    if counted:
        canvas.dress(below, ylabel="samples", grid="y")
        below.yaxis.set_major_locator(ticks(3, whole=True))
    below.set_xlabel("mean predicted probability", fontsize=10, color=INK)
    (ideal,) = ax.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (4, 3)), linewidth=1)
    handles, labels = [], _legend_texts(plot | {"positive": None}, ("Brier score", "brier_score"))
    bins = int(plot.get("bins", 10))
    for place, line in enumerate(plot["series"]):
        x, y = floats(line["x"]), floats(line["y"])
        style = line_style(place)
        (drawn,) = ax.plot(x, y, marker="o", markersize=4.5, **style, clip_on=False, zorder=3)
        handles.append(drawn)
        if counted and len(line.get("counts", ())) == len(x):
            # Bins are closed on the right, as scikit-learn has them.
            places = (np.clip(np.ceil(x * bins), 1, bins) - 0.5) / bins
            below.bar(places, floats(line["counts"]), width=0.9 / bins, color=style["color"], alpha=0.75)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    canvas.legend(ax, [*handles, ideal], [*labels, "perfectly calibrated"], "upper left")


def residuals(canvas: Canvas, plot: Plot) -> None:
    """Residual over predicted value, and beside it how the residuals are spread."""
    canvas.fit(6.6, 4.4)
    ax, beside = canvas.figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [5, 1], "wspace": 0.03})
    canvas.dress(ax, xlabel=_with_unit("predicted value", plot), ylabel=_with_unit("actual − predicted", plot))
    canvas.title(ax, plot)
    canvas.dress(beside, grid="none")
    x, y = floats(plot["x"]), floats(plot["y"])
    ax.axhline(0, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    beside.set_axis_off()
    if not np.isfinite(y).any():
        canvas.nothing(ax)
        return
    _cloud(ax, x, y)
    known = y[np.isfinite(y)]
    if len(known) > 1:
        # More bins than that would be noise.
        count = int(np.clip(2 * np.sqrt(len(known)), 5, 40))
        beside.hist(known, bins=count, orientation="horizontal", color=COLOURS[0], alpha=0.6)
    reach = float(np.nanmax(np.abs(known))) * 1.06
    ax.set_ylim(-reach or -1.0, reach or 1.0)


def predicted_vs_actual(canvas: Canvas, plot: Plot) -> None:
    """Predicted over actual value."""
    canvas.fit(5.2, 5.2)
    ax = canvas.axes(plot, xlabel=_with_unit("actual value", plot), ylabel=_with_unit("predicted value", plot))
    x, y = floats(plot["x"]), floats(plot["y"])
    both = np.concatenate([x, y])
    both = both[np.isfinite(both)]
    if not len(both):
        canvas.nothing(ax)
        return
    low, high = float(both.min()), float(both.max())
    margin = (high - low) * 0.04 or max(abs(low), 1.0) * 0.04
    ends = (low - margin, high + margin)
    ax.plot(ends, ends, color=GREY, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    _cloud(ax, x, y)
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    ax.xaxis.set_major_locator(ticks(6))
    ax.yaxis.set_major_locator(ticks(6))
    facts = plot.get("facts", {})
    known = (("R²", "r2_score"), ("RMSE", "root_mean_squared_error"), ("MAE", "mean_absolute_error"))
    told = [f"{name} = {short(facts[key])}" for name, key in known if key in facts]
    if told:
        box = {"facecolor": "white", "edgecolor": PALE, "linewidth": 0.6, "alpha": 0.9, "boxstyle": "round,pad=0.4"}
        ax.text(
            0.03, 0.97, "\n".join(told), transform=ax.transAxes, va="top", fontsize=9, color=INK, bbox=box, zorder=4
        )


def bars(canvas: Canvas, plot: Plot) -> None:
    """Named values as lying bars, the first on top."""
    names, values = [shown(name, 38) for name in plot["names"]], floats(plot["values"])
    n = len(names)
    canvas.fit(6.6, float(np.clip(1.7 + 0.235 * n, 2.8, 12)))
    ax = canvas.axes(plot, xlabel=plot.get("xlabel") or plot.get("importance", ""), grid="x")
    if not n:
        canvas.nothing(ax)
        return
    places = np.arange(n)
    std = plot.get("std")
    colours = [COLOURS[1] if value < 0 else COLOURS[0] for value in values]
    ax.barh(places, np.nan_to_num(values), height=0.72, color=colours, alpha=0.85)
    if std is not None:
        ax.errorbar(values, places, xerr=floats(std), fmt="none", ecolor=INK, elinewidth=0.9, capsize=2.5, capthick=0.9)
    for place in np.flatnonzero(np.isnan(values)).tolist():
        ax.text(0, place, " NaN", va="center", fontsize=8, color=GREY)
    size = 9 if n <= 40 else max(4.0, 9 * 40 / n)
    ax.set_yticks(places, labels=names, fontsize=size, color=INK)
    spare = max(0, 4 - n) / 2  # a single bar is no wall
    ax.set_ylim(n - 0.4 + spare, -0.6 - spare)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(ticks(6))
    if (values < 0).any():
        ax.axvline(0, color=GREY, linewidth=0.8)
        ax.spines["left"].set_visible(False)


def lines(canvas: Canvas, plot: Plot) -> None:
    """Lines with bands: learning and validation curves, metrics over iterations."""
    series = plot["series"]
    beside = _beside([shown(line.get("name", "")) for line in series])
    canvas.fit(6.4 + beside, max(4.3, 1.6 + 0.18 * len(series)) if beside else 4.3)
    ax = canvas.axes(plot, xlabel=plot.get("xlabel", ""), ylabel=plot.get("ylabel", ""))
    words: list[str] = []
    for line in series:
        words += [x for x in line["x"] if isinstance(x, str) and x not in words]
    handles, labels = [], []
    for place, line in enumerate(series):
        y = floats(line["y"])
        x = floats([words.index(x) if isinstance(x, str) else x for x in line["x"]])
        style = line_style(place)
        marker: dict[str, Any] = {"marker": "o", "markersize": 4} if len(x) <= _MARKED else {}
        (drawn,) = ax.plot(x, y, **style, **marker)
        std = line.get("std")
        if std is not None and len(x) > 1:
            spread = floats(std)
            ax.fill_between(x, y - spread, y + spread, color=style["color"], alpha=0.16, linewidth=0)
        elif std is not None:
            ax.errorbar(x, y, yerr=floats(std), fmt="none", ecolor=style["color"], capsize=3)
        handles.append(drawn)
        labels.append(shown(line.get("name", "")))
    if not any(np.isfinite(floats(line["y"])).any() for line in series):
        canvas.nothing(ax)
        return
    if words:
        ax.set_xticks(range(len(words)), labels=[shown(word) for word in words], fontsize=9, color=INK)
        if sum(map(len, words)) > 60:
            for label in ax.get_xticklabels():
                label.set(rotation=40, ha="right", rotation_mode="anchor")
    elif plot.get("log"):
        _logarithmic(ax, "x")
    elif all(isinstance(x, int) for line in series for x in line["x"]):
        ax.xaxis.set_major_locator(ticks(8, whole=True))
        if len({x for line in series for x in line["x"]}) == 1:
            ax.margins(x=10)
    if len(series) > 1:
        canvas.legend(ax, handles, labels)


def scatter(canvas: Canvas, plot: Plot) -> None:
    """Points, coloured by a value."""
    canvas.fit(6.2, 4.6)
    ax = canvas.axes(plot, xlabel=plot.get("xlabel", ""), ylabel=plot.get("ylabel", ""))
    x, y = floats(plot["x"]), floats(plot["y"])
    if not (np.isfinite(x) & np.isfinite(y)).any():
        canvas.nothing(ax)
        return
    values = plot.get("values")
    if values is None:
        _cloud(ax, x, y)
    else:
        colour = floats(values)
        lacking = np.isnan(colour)
        ax.scatter(x[lacking], y[lacking], s=30, marker="x", color=GREY, linewidth=1)
        # The best last, so that nothing hides them.
        order = np.argsort(colour[~lacking], kind="stable")
        found = ax.scatter(
            x[~lacking][order], y[~lacking][order], c=colour[~lacking][order], s=34,
            cmap=colormaps["viridis"], edgecolor="white", linewidth=0.5,
        )  # fmt: skip
        bar = canvas.figure.colorbar(found, ax=ax, fraction=0.046, pad=0.03, aspect=28)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8.5, colors=INK, color=GREY, width=0.8, length=3)
        bar.set_label(shown(plot.get("value_name", ""), 60), fontsize=9, color=INK)
    for axis in ("x", "y"):
        if plot.get(f"log_{axis}"):
            _logarithmic(ax, axis)


def _unit_square(canvas: Canvas, plot: Plot, xlabel: str, ylabel: str, labels: list[str]) -> Axes:
    canvas.fit(5.2 + _beside([*labels, "chance (AUC 0.500)"]), 5.4)
    ax = canvas.axes(plot, xlabel=xlabel, ylabel=ylabel)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    ax.set_xticks(ticks)
    ax.set_yticks(ticks)
    return ax


def _legend_texts(plot: Plot, *facts: tuple[str, str]) -> list[str]:
    """What the legend says of each line: its name, or the positive class, and facts."""
    series, positive = plot["series"], plot.get("positive")
    names = [shown(line.get("name", "")) for line in series]
    if len(series) == 1 and not names[0] and positive is not None:
        names = [shown(positive)]
    texts = []
    for name, line in zip(names, series, strict=True):
        told = ", ".join(f"{said} {short(line[key])}" for said, key in facts if isinstance(line.get(key), (int, float)))
        texts.append(f"{name} ({told})" if name and told else name or told)
    return texts


def _beside(labels: list[str]) -> float:
    """The width in inches that a legend takes on the right, where it stands there."""
    return 0.6 + 0.068 * max(map(len, labels)) if len(labels) > FEW else 0.0


def _single(style: dict[str, Any], line: Plot) -> dict[str, Any]:
    """A line of one point is a marker."""
    return style | {"marker": "o", "markersize": 5} if len(line["x"]) == 1 else style


def _cloud(ax: Axes, x: Any, y: Any) -> None:
    n = len(x)
    alpha = 0.75 if n <= 150 else 0.5 if n <= 500 else 0.35
    size = 22 if n <= 150 else 14
    ax.scatter(x, y, s=size, color=COLOURS[0], alpha=alpha, linewidth=0, zorder=2)


def _logarithmic(ax: Axes, axis: str) -> None:
    if axis == "x":
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(numticks=9))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(numticks=9))
        ax.yaxis.set_minor_formatter(NullFormatter())


def _with_unit(name: str, plot: Plot) -> str:
    unit = plot.get("unit")
    return f"{name} ({unit})" if unit else name
