"""Figures from plots: `draw`. Never pyplot, never ``rcParams``: what the user's program draws is left alone.

Everything that could make a figure unreadable under a style of the user's (colours, sizes) is set on the figure itself.
Colours are those of Okabe and Ito, which colour-blind people tell apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from autotrack.errors import PlotError
from autotrack.plots import charts, matrices
from autotrack.plots.canvas import Canvas
from autotrack.plots.files import Plot, restored

_KINDS: Final[dict[str, Callable[[Canvas, Plot], None]]] = {
    "confusion_matrix": matrices.confusion_matrix,
    "heat_map": matrices.heat_map,
    "roc_curve": charts.roc_curve,
    "precision_recall_curve": charts.precision_recall_curve,
    "calibration_curve": charts.calibration_curve,
    "residuals": charts.residuals,
    "predicted_vs_actual": charts.predicted_vs_actual,
    "feature_importances": charts.bars,
    "bars": charts.bars,
    "learning_curve": charts.lines,
    "validation_curve": charts.lines,
    "iterations": charts.lines,
    "lines": charts.lines,
    "scatter": charts.scatter,
}

KINDS: Final = tuple(_KINDS)
"""The kinds of plots that can be drawn."""


def draw(plot: Plot, *, figure: Figure | None = None, size: tuple[float, float] | None = None) -> Figure:
    """Draw a plot.

    Parameters
    ----------
    plot : as `autotrack.plots.data` makes it.
    figure : an empty one to draw into; a new one when left out, which belongs to no pyplot window.
    size : width and height in inches; what suits the plot when left out.

    Raises
    ------
    PlotError
        When the plot is of an unknown kind, or malformed.
    """
    kind = plot.get("kind")
    drawer = _KINDS.get(kind) if isinstance(kind, str) else None
    if drawer is None:
        raise PlotError(
            f"a plot of kind {kind!r} cannot be drawn; this version of autotrack draws {', '.join(KINDS)}. "
            "A newer one made it, perhaps"
        )
    own = figure is None
    if figure is None:
        # A margin of its own, as some programs that take figures in do not crop them.
        figure = Figure(layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, compress=True), facecolor="white")
        FigureCanvasAgg(figure)
    try:
        drawer(Canvas(figure, size=size, resize=own), restored(plot))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise PlotError(f"the {kind} plot is malformed and cannot be drawn: {type(error).__name__}: {error}") from error
    return figure


def save(plot: Plot, path: Any, *, dpi: int = 150) -> None:
    """Draw a plot into a file; its ending says the format (png, svg, pdf …).

    Raises
    ------
    PlotError
        As `draw`.
    OSError
        When the file cannot be written.
    """
    draw(plot).savefig(path, dpi=dpi, facecolor="white")
