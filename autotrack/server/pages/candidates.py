"""What a parameter search tried, out of its ``cv_results.csv``: candidates with params, scores, times and ranks."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from autotrack.server.pages.axes import Axis
from autotrack.server.pages.compared_values import number_of

RESULTS: Final = "cv_results.csv"

MOST_BYTES: Final = 50_000_000
"""A larger table is not read for a page."""

_MEAN: Final = "mean_test_"
_PARAM: Final = "param_"


@dataclass(slots=True)
class Candidate:
    """One combination of params that was tried; of several evaluations, as successive halving makes them, the last.

    Parameters
    ----------
    row : in the table, from 0.
    params : as text; a param that this candidate does not set is not there.
    score, std, train : means over the folds and their spread, ``None`` where a fit failed.
    rank : 1 for the best; ``None`` where it has none.
    seconds : that a fit took, on the mean.
    round, resources : of successive halving.
    """

    row: int
    params: Mapping[str, str]
    score: float | None
    std: float | None
    train: float | None
    rank: int | None
    seconds: float | None
    round: int | None = None
    resources: int | None = None

    @property
    def label(self) -> str:
        """Its params on one line."""
        return ", ".join(f"{name}={value}" for name, value in self.params.items()) or f"candidate {self.row}"


@dataclass(slots=True)
class Results:
    """The table of a search.

    Parameters
    ----------
    candidates : the best first, those that failed last.
    scorers : the names behind ``mean_test_``; ``scorer`` is the one that scores and ranks are of.
    varied : the params that have more than one value, by how much the score depends on them.
    fixed : the others.
    evaluations : rows of the table.
    """

    candidates: list[Candidate]
    scorers: list[str]
    scorer: str
    folds: int
    evaluations: int
    varied: list[str] = field(default_factory=list)
    fixed: dict[str, str] = field(default_factory=dict)


def read(content: bytes, scorer: str = "", refit: str = "") -> Results:
    """The table.

    Parameters
    ----------
    scorer : the one that is asked for; ``refit``, which the search used, and then the first where there is none such.

    Raises
    ------
    ValueError
        When it is no table of a search.
    """
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8", "replace"), newline="")))
    except csv.Error as error:
        raise ValueError(f"it is no CSV: {error}") from error
    header, rows = (lines[0], [line for line in lines[1:] if line]) if lines else ([], [])
    scorers = [name.removeprefix(_MEAN) for name in header if name.startswith(_MEAN)]
    if not scorers:
        raise ValueError("it has no column mean_test_…")
    chosen = next(one for one in (scorer, refit.strip("'\""), scorers[0]) if one in scorers)
    places = {name: place for place, name in reversed(list(enumerate(header)))}

    def cell(line: Sequence[str], name: str) -> str:
        place = places.get(name, len(line))
        return line[place] if place < len(line) else ""

    params = [name for name in header if name.startswith(_PARAM)]
    latest: dict[tuple[str, ...], Candidate] = {}
    for row, line in enumerate(rows):
        key = tuple(cell(line, name) for name in params) if params else (cell(line, "params") or str(row),)
        latest[key] = Candidate(
            row,
            {name.removeprefix(_PARAM): value for name in params if (value := cell(line, name))},
            number_of(cell(line, _MEAN + chosen)),
            number_of(cell(line, f"std_test_{chosen}")),
            number_of(cell(line, f"mean_train_{chosen}")),
            _whole(cell(line, f"rank_test_{chosen}")),
            number_of(cell(line, "mean_fit_time")),
            _whole(cell(line, "iter")),
            _whole(cell(line, "n_resources")),
        )
    candidates = sorted(latest.values(), key=_order)
    folds = sum(re.fullmatch(rf"split\d+_test_{re.escape(chosen)}", name) is not None for name in header)
    found = Results(candidates, scorers, chosen, folds, len(rows))
    names = [name.removeprefix(_PARAM) for name in params]
    values = {name: {candidate.params.get(name) for candidate in candidates} for name in names}
    found.varied = sorted((name for name in names if len(values[name]) > 1), key=lambda name: -_effect(found, name))
    found.fixed = {name: str(*values[name]) for name in names if len(values[name]) == 1 and values[name] != {None}}
    return found


def grid(results: Results, x: str, y: str) -> dict[str, Any] | None:
    """The best candidate for each pair of two params' values; ``None`` where few pairs were tried.

    ``columns`` and ``rows`` are the values; ``cells`` have a list per row of the candidate's place among
    `Results.candidates`, ``None`` where there is none, and ``tried`` tells how many share the pair.
    """
    across = Axis(x, [candidate.params.get(x) for candidate in results.candidates])
    up = Axis(y, [candidate.params.get(y) for candidate in results.candidates])
    columns, rows = _values(across), _values(up)
    cells: list[list[int | None]] = [[None] * len(columns) for _ in rows]
    tried = [[0] * len(columns) for _ in rows]
    for place in range(len(results.candidates)):
        if across.values[place] is None or up.values[place] is None:
            continue
        row, column = rows.index(up.values[place]), columns.index(across.values[place])
        tried[row][column] += 1
        if cells[row][column] is None:  # the best come first
            cells[row][column] = place
    filled = sum(count > 0 for line in tried for count in line)
    if not filled or len(columns) > 40 or len(rows) > 40 or filled < 0.4 * len(columns) * len(rows):
        return None
    return {"x": x, "y": y, "columns": columns, "rows": rows, "cells": cells, "tried": tried}


def _values(axis: Axis) -> list[Any]:
    known = {value for value in axis.values if value is not None}
    return sorted(known) if axis.is_number else axis.texts


def _effect(results: Results, name: str) -> float:
    """How far the mean scores of this param's values lie apart."""
    groups: dict[str | None, list[float]] = {}
    for candidate in results.candidates:
        if candidate.score is not None:
            groups.setdefault(candidate.params.get(name), []).append(candidate.score)
    means = [sum(scores) / len(scores) for scores in groups.values()]
    return max(means) - min(means) if means else 0.0


def _order(candidate: Candidate) -> tuple[bool, int, float, float, int]:
    """Halving's survivors come before those that it dropped, as their scores are of more data."""
    return (
        candidate.score is None,
        -(candidate.round or 0),
        candidate.rank if candidate.rank is not None else float("inf"),
        -(candidate.score or 0.0),
        candidate.row,
    )


def _whole(text: str) -> int | None:
    value = number_of(text)
    return None if value is None else int(value)
