"""A search's scores as a plot: over one param a curve, over two a map. Over more there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from autotrack.capture.recorder import RunRecorder
from autotrack.integrations.sklearn.searching.table import Table
from autotrack.plots import data, points
from autotrack.plots.files import Plot, path_of, to_json

NAME: Final = "search_scores"

_FULL: Final = 0.7
"""From this share of all pairs of values on a search over two params is a table rather than a cloud."""


def write(run: RunRecorder, table: Table, scorer: str, subtitle: str) -> None:
    """Write the plot of a search, if it has one."""
    with run.attempt(NAME, "plot the scores of a search"):
        plot = search_plot(table, scorer, subtitle)
        if plot is not None:
            run.artifact(path_of(NAME), to_json({NAME: plot}))


def search_plot(table: Table, scorer: str, subtitle: str = "") -> Plot | None:
    """The mean scores over the params that were tried; ``None`` where none or more than two of them vary.

    Of a candidate that was evaluated several times, as by successive halving, the last evaluation counts.

    Parameters
    ----------
    table : the results.
    scorer : whose scores.
    """
    means = table.floats(f"mean_test_{scorer}")
    if means is None:
        return None
    names = sorted({name for candidate in table.params for name in candidate})
    rows = list(
        {tuple(str(candidate.get(name)) for name in names): row for row, candidate in enumerate(table.params)}.values()
    )
    tried = {name: [table.params[row].get(name) for row in rows] for name in names}
    varied = [name for name in names if len(set(map(str, tried[name]))) > 1]
    score = "cross-validated score" if scorer == "score" else f"cross-validated {scorer}"
    if len(varied) == 1:
        return _curve(table, scorer, varied[0], tried[varied[0]], rows, score, subtitle)
    if len(varied) == 2:
        return _map(varied, [tried[name] for name in varied], means[rows], score, subtitle)
    return None


def _curve(
    table: Table, scorer: str, param: str, values: list[Any], rows: list[int], score: str, subtitle: str
) -> Plot:
    order = _order(values)
    series = []
    for name, part in (("training", "train"), ("validation", "test")):
        means, spread = table.floats(f"mean_{part}_{scorer}"), table.floats(f"std_{part}_{scorer}")
        if means is not None:
            kept = np.array(rows)[order]
            std = None if spread is None else spread[kept]
            series.append(data.Series(name, [_plain(values[place]) for place in order], means[kept], std=std))
    return data.validation_curve(series, param=param, ylabel=score, title="Search", subtitle=subtitle)


def _map(params: list[str], values: list[list[Any]], scores: Any, score: str, subtitle: str) -> Plot | None:
    axes = [list(dict.fromkeys(str(column[place]) for place in _order(column))) for column in values]
    cells = len(axes[0]) * len(axes[1])
    common: dict[str, Any] = {"title": "Search", "subtitle": subtitle, "value": f"mean {score}"}
    common |= {"xlabel": params[0], "ylabel": params[1]}
    are_numbers = all(_is_number(value) for column in values for value in column)
    if cells > points.MOST or (are_numbers and len(scores) < _FULL * cells):
        return data.scatter(values[0], values[1], scores, **common) if are_numbers else None
    table = np.full((len(axes[1]), len(axes[0])), np.nan)
    for x, y, value in zip(*values, scores, strict=True):
        table[axes[1].index(str(y)), axes[0].index(str(x))] = value
    return data.heat_map(axes[0], axes[1], table, **common)


def _order(values: Sequence[Any]) -> list[int]:
    """Places of the values from the smallest number to the largest; as they came where they are no numbers."""
    places = list(range(len(values)))
    return sorted(places, key=lambda place: values[place]) if all(map(_is_number, values)) else places


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value if _is_number(value) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
