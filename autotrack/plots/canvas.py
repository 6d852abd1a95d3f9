"""What every figure has in common: size, axes, colours, titles, legend."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autotrack.plots.files import Plot

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES: Final = ("-", "--", ":")
INK: Final = "#222222"
GREY: Final = "#6b6b6b"
PALE: Final = "#d9d9d9"
ABSENT: Final = "#eeeeee"

FEW: Final = 6
"""More entries than this stand beside the axes."""


class Canvas:
    """A figure being drawn.

    Parameters
    ----------
    figure : an empty one.
    size : width and height in inches, or None for what suits the plot.
    resize : whether the figure's size is ours to choose.
    """

    def __init__(self, figure: Figure, *, size: tuple[float, float] | None = None, resize: bool = True) -> None:
        self.figure = figure
        self._size = size
        self._resize = resize or size is not None

    def fit(self, width: float, height: float) -> None:
        """Make the figure so many inches large, unless somebody else has chosen."""
        if self._resize:
            self.figure.set_size_inches(*(self._size or (width, height)))

    def axes(self, plot: Plot, *, xlabel: str = "", ylabel: str = "", grid: str = "both") -> Axes:
        """The one pair of axes of a figure."""
        ax: Axes = self.figure.add_subplot()
        self.dress(ax, xlabel=xlabel, ylabel=ylabel, grid=grid)
        self.title(ax, plot)
        return ax

    def dress(self, ax: Axes, *, xlabel: str = "", ylabel: str = "", grid: str = "both") -> None:
        """Light grid, no box, readable sizes and colours."""
        ax.set_facecolor("white")
        for side, spine in ax.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(GREY)
            spine.set_linewidth(0.8)
        ax.tick_params(labelsize=9, colors=INK, color=GREY, width=0.8, length=3)
        ax.tick_params(which="minor", color=GREY, width=0.5, length=2)
        ax.set_axisbelow(True)
        ax.grid(visible=False)
        for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
            if grid in (name, "both"):
                axis.grid(visible=True, color=PALE, linewidth=0.6, linestyle="-")
        ax.set_xlabel(shown(xlabel, 80), fontsize=10, color=INK)
        ax.set_ylabel(shown(ylabel, 80), fontsize=10, color=INK)

    def title(self, ax: Axes, plot: Plot) -> None:
        """Title, and below it in small what it shows and what was left out."""
        width = max(30, int(self.figure.get_figwidth() * 11))
        parts = [str(plot[key]) for key in ("subtitle", "note") if plot.get(key)]
        small = [line for part in parts for line in textwrap.wrap(shown(part, 160), width)]
        title = textwrap.fill(shown(str(plot.get("title", "")), 100), max(20, int(width * 0.75)))
        ax.set_title(title, fontsize=12, color=INK, fontweight="bold", pad=7 + 12.5 * len(small))
        if small:
            ax.annotate(
                "\n".join(small),
                (0.5, 1.0),
                xytext=(0, 5),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=9,
                color=GREY,
                linespacing=1.25,
                annotation_clip=False,
            )

    def legend(self, ax: Axes, handles: Sequence[Any], labels: Sequence[str], loc: str = "best") -> None:
        """A legend, inside or on the right where it is long. Labels as `shown` gives them; empty ones are left out."""
        # matplotlib leaves out what begins with an underscore.
        entries = [
            (handle, " " + text if text.startswith("_") else text) for handle, text in zip(handles, labels) if text
        ]
        if not entries:
            return
        outside = len(entries) > FEW
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)} if outside else {"loc": loc}
        if outside:
            place["borderaxespad"] = 0.0
        legend = ax.legend(
            *zip(*entries), fontsize=8.5, frameon=not outside, framealpha=0.9, edgecolor=PALE, facecolor="white",
            labelcolor=INK, handlelength=2.2, **place,
        )  # fmt: skip
        legend.get_frame().set_linewidth(0.6)

    def nothing(self, ax: Axes, why: str = "no data") -> None:
        """Say that there is nothing to show."""
        ax.grid(visible=False)
        ax.tick_params(which="both", length=0, labelbottom=False, labelleft=False)
        ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center", fontsize=11, color=GREY)


def line_style(place: int) -> dict[str, Any]:
    """Colour and dashes of the ``place``-th line: different for 21 of them."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": STYLES[place // len(COLOURS) % len(STYLES)],
        "linewidth": 1.7,
    }


def ticks(count: int, *, whole: bool = False) -> MaxNLocator:
    """About so many round numbers along an axis."""
    return MaxNLocator(count, steps=[1, 2, 2.5, 5, 10] if not whole else [1, 2, 5, 10], integer=whole)


def shown(text: Any, limit: int = 28) -> str:
    """Text as matplotlib takes it literally: one line, no formulas, its middle left out where it is long."""
    flat = "".join(sign if sign.isprintable() else " " for sign in str(text))
    flat = " ".join(flat.split())
    if len(flat) > limit:
        tail = limit // 2
        flat = f"{flat[: limit - tail - 1]}…{flat[-tail:]}"
    return flat.replace("$", r"\$")


def floats(values: Any) -> Any:
    """Numbers to draw, as an array: what is not finite is left out as NaN."""
    array = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    array[~np.isfinite(array)] = np.nan
    return array


def short(value: float) -> str:
    """A number in a few digits."""
    return f"{value:.3f}" if 0.001 <= abs(value) < 10 or value == 0 else f"{value:.4g}"
