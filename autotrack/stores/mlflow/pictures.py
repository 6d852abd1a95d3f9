"""The plots of a run as PNG files under MLflow's names: MLflow shows pictures, not data.

Drawing takes tenths of a second a plot; whoever calls this is not the user's program.
"""

from __future__ import annotations

import io
import re
from typing import Final, NamedTuple

from autotrack.errors import PlotError
from autotrack.plots import files

ENDING: Final = ".png"

_DPI: Final = 100
_NOT_IN_NAME: Final = re.compile(r"[^\w.\- ]")
_MAX_NAME: Final = 100


class Pictures(NamedTuple):
    """``drawn`` is PNG by file name, ``problems`` a sentence for each plot that could not be drawn."""

    drawn: dict[str, bytes]
    problems: list[str]


def pictures_of(content: bytes) -> Pictures:
    """Draw every plot of a file of plots (``plots/….json`` among a run's artifacts).

    The name is the plot's with ``.png`` behind it: ``training_roc_curve.png``.
    """
    drawn: dict[str, bytes] = {}
    problems = []
    try:
        plots = files.from_json(content)
    except PlotError as error:
        return Pictures({}, [str(error)])
    from autotrack.plots.drawing import draw

    for name, plot in plots.items():
        try:
            figure = draw(plot)
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white")
        except (PlotError, ValueError, OverflowError, MemoryError) as error:
            problems.append(f"{name}: {error}")
        else:
            drawn[picture_name(name)] = buffer.getvalue()
    return Pictures(drawn, problems)


def picture_name(plot: str) -> str:
    """The file name of a plot's picture."""
    name = _NOT_IN_NAME.sub("_", plot).strip(". ")[:_MAX_NAME]
    return (name or "plot") + ENDING
