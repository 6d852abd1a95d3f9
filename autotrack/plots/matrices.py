"""Drawers of what is a table of colours: confusion matrix, heat map."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from autotrack.plots.canvas import ABSENT, GREY, INK, Canvas, floats, shown
from autotrack.plots.files import Plot

_ROOMY: Final = 12
"""Up to so many classes a cell has room for a count and a percentage."""


def confusion_matrix(canvas: Canvas, plot: Plot) -> None:
    """Counts, coloured by their share of the true class."""
    labels = [shown(label, 22) for label in plot["labels"]]
    n = len(labels)
    counts = np.array([floats(row) for row in plot["counts"]]).reshape(n, n)
    side = float(np.clip(2.6 + 0.62 * n, 4.4, 9.0)) if n <= _ROOMY else float(np.clip(2.6 + 0.34 * n, 7.5, 13.0))
    longest = max((len(label) for label in labels), default=0)
    canvas.fit(side + min(1.6, 0.07 * longest) + 0.5, side + 0.1)
    ax = canvas.axes(plot, xlabel="predicted class", ylabel="true class", grid="none")
    if not n:
        canvas.nothing(ax, "no classes")
        return
    totals = np.nansum(counts, axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    size = 10.5 if n <= 6 else 9.0 if n <= _ROOMY else float(np.clip(190 / n, 5.5, 9))
    table = _Table(canvas, ax, shares, "Blues", Normalize(0, 1))
    for row in range(n):
        for column in range(n):
            count, share = counts[row, column], shares[row, column]
            if n > _ROOMY and not count > 0:
                continue  # zeros would hide the rest
            text = _count(count, wide=n <= 6)
            if n <= _ROOMY and share > 0:
                text += f"\n{_percent(share, 1 if n <= 6 else 0)}"
            table.write(row, column, text, size)
    _ticks(ax, labels, labels)
    table.bar("share of the true class", percent=True)


def heat_map(canvas: Canvas, plot: Plot) -> None:
    """A value per pair of params."""
    columns, rows = ([shown(label, 22) for label in plot[key]] for key in ("columns", "rows"))
    values = np.array([floats(row) for row in plot["values"]]).reshape(len(rows), len(columns))
    canvas.fit(float(np.clip(2.8 + 0.62 * len(columns), 4.8, 12)), float(np.clip(2.0 + 0.5 * len(rows), 3.6, 11)))
    ax = canvas.axes(plot, xlabel=plot.get("xlabel", ""), ylabel=plot.get("ylabel", ""), grid="none")
    if not np.isfinite(values).any():
        canvas.nothing(ax)
        return
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    table = _Table(canvas, ax, values, "viridis", Normalize(low, high if high > low else low + 1e-12), aspect="auto")
    if max(values.shape) <= _ROOMY:
        digits = _digits(low, high)
        for row in range(len(rows)):
            for column in range(len(columns)):
                value = values[row, column]
                table.write(row, column, f"{value:.{digits}f}" if np.isfinite(value) else "–", 9)
    _ticks(ax, columns, rows)
    table.bar(plot.get("value_name", ""))


class _Table:
    """Coloured cells with text in them that can be read."""

    def __init__(
        self, canvas: Canvas, ax: Axes, values: Any, colours: str, scale: Normalize, aspect: Any = "equal"
    ) -> None:
        self._canvas, self._ax, self._values, self._scale = canvas, ax, values, scale
        self._colours = colormaps[colours].with_extremes(bad=ABSENT)
        self._image = ax.imshow(
            np.ma.masked_invalid(values), cmap=self._colours, norm=scale, aspect=aspect, interpolation="nearest"
        )
        for spine in ax.spines.values():
            spine.set_visible(False)
        height, width = values.shape
        if max(height, width) <= 40:
            ax.set_xticks(np.arange(width + 1) - 0.5, minor=True)
            ax.set_yticks(np.arange(height + 1) - 0.5, minor=True)
            ax.grid(visible=True, which="minor", color="white", linewidth=1.2, linestyle="-")
        ax.tick_params(which="minor", length=0)

    def write(self, row: int, column: int, text: str, size: float) -> None:
        value = self._values[row, column]
        red, green, blue, _ = self._colours(self._scale(value)) if np.isfinite(value) else (1.0, 1.0, 1.0, 1.0)
        dark = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < 0.3
        colour = "white" if dark else INK
        written = self._ax.text(
            column, row, text, ha="center", va="center", fontsize=size, color=colour, linespacing=1.3
        )
        written.set_in_layout(False)  # a thousand of them would take seconds to measure

    def bar(self, name: str, *, percent: bool = False) -> None:
        bar = self._canvas.figure.colorbar(self._image, ax=self._ax, fraction=0.046, pad=0.03, aspect=28)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8.5, colors=INK, color=GREY, width=0.8, length=3)
        bar.set_label(shown(name, 60), fontsize=9, color=INK)
        if percent:
            bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=["0%", "25%", "50%", "75%", "100%"])


def _ticks(ax: Axes, columns: list[str], rows: list[str]) -> None:
    longest = max((len(label) for label in columns), default=0)
    n = max(len(columns), len(rows))
    size = 9.0 if n <= 20 else 7.5
    turned = longest > max(3, 42 // max(1, len(columns)))
    ax.set_xticks(range(len(columns)), labels=columns, fontsize=size, color=INK)
    ax.set_yticks(range(len(rows)), labels=rows, fontsize=size, color=INK)
    if turned:
        upright = len(columns) > 16
        for label in ax.get_xticklabels():
            label.set(rotation=90 if upright else 40, ha="center" if upright else "right", rotation_mode="anchor")
            if upright:
                label.set(va="center", ha="right")


def _count(value: float, *, wide: bool) -> str:
    if not np.isfinite(value):
        return "–"
    if abs(value) < (1e9 if wide else 1e5):
        return f"{int(value):,}" if value == int(value) else f"{value:.4g}"
    for unit, factor in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


def _percent(share: float, digits: int) -> str:
    """Rounded, but never to none or all where it is neither."""
    least = 0.01 / 10**digits
    if 0 < share < least:
        return f"<{least:.{digits}%}"
    if 1 - least < share < 1:
        return f">{1 - least:.{digits}%}"
    return f"{share:.0%}" if share in (0, 1) else f"{share:.{digits}%}"


def _digits(low: float, high: float) -> int:
    span = high - low
    return int(np.clip(2 - np.floor(np.log10(span)), 0, 4)) if span > 0 else 3
