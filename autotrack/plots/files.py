"""The files of plots: ``plots/<something>.json`` among a run's artifacts, each with one plot or more.

Such a file is ``{"version": 1, "plots": {name: plot}}``. A plot has a ``kind``; the other keys follow from it (see
`autotrack.plots.data`). Rules for changing it: a new optional key and a new kind are compatible (older readers list a
plot of an unknown kind and refuse to draw it), anything else needs a new ``VERSION``. Non-finite numbers are written as
the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from autotrack.errors import PlotError
from autotrack.events import number_from_json

VERSION: Final = 1
FOLDER: Final = "plots"

Plot = dict[str, Any]

_NUMBERS: Final = frozenset({"x", "y", "std", "values", "counts", "facts"})
"""Keys of a plot under which there are numbers, or texts that are none of the three that stand for numbers."""

_NON_FINITE: Final = ("NaN", "Infinity", "-Infinity")

_dump = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def path_of(name: str) -> str:
    """Where among a run's artifacts the file with this name stands."""
    return f"{FOLDER}/{name}.json"


def is_plots(path: str) -> bool:
    """Whether an artifact's path is that of a file of plots."""
    return path.startswith(FOLDER + "/") and path.endswith(".json")


def to_json(plots: Mapping[str, Plot]) -> bytes:
    """The content of a file with these plots.

    Raises
    ------
    ValueError, TypeError
        When a plot holds what JSON cannot.
    """
    return _dump({"version": VERSION, "plots": dict(plots)}).encode()


def from_json(content: bytes | str) -> dict[str, Plot]:
    """Undo `to_json`; entries that are no plots are passed over.

    Raises
    ------
    PlotError
        When the file is none of plots, or of a newer version.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PlotError(f"it is no JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("plots"), dict):
        raise PlotError("it holds no plots")
    version = document.get("version")
    if version != VERSION:
        raise PlotError(
            f"it is of version {version!r}, and this autotrack reads version {VERSION}; a newer one may help"
        )
    return {name: restored(plot) for name, plot in document["plots"].items() if isinstance(plot, dict)}


def restored(plot: Plot) -> Plot:
    """The plot with numbers where JSON has texts for them."""
    return {key: _restored(key, value) for key, value in plot.items()}


def _restored(key: str, value: Any) -> Any:
    if key == "series" and isinstance(value, list):
        return [
            {inner: held if inner == "name" else _numbers(held) for inner, held in line.items()}
            for line in value
            if isinstance(line, dict)
        ]
    return _numbers(value) if key in _NUMBERS else value


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    return number_from_json(value) if value in _NON_FINITE else value
