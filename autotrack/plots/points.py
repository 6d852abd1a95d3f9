"""Fewer points that look the same, and numbers of few digits: what keeps a plot's JSON small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from autotrack.events import number_to_json

MOST: Final = 1_000
"""So many points a plot has at the most."""

_LEAST: Final = 30
"""So many points each of several curves may have, however many they are."""

_DIGITS: Final = 6
_GOLDEN: Final = 0.6180339887498949

Floats = NDArray[np.float64]


def share(curves: int) -> int:
    """So many points each of so many curves in one plot may have."""
    return max(_LEAST, MOST // max(1, curves))


def corners(x: Floats, y: Floats, *, steps: bool = False) -> NDArray[np.bool_]:
    """Which points of a line are needed to draw it: its ends, and where its direction changes.

    Of a line that is drawn in steps only points within a level or upright piece can be spared.
    """
    kept = np.ones(len(x), dtype=bool)
    if len(x) < 3:
        return kept
    dx, dy = x[1:] - x[:-1], y[1:] - y[:-1]
    if steps:
        level, upright = dy == 0, dx == 0
        np.logical_not((level[1:] & level[:-1]) | (upright[1:] & upright[:-1]), out=kept[1:-1])
    else:
        # Rounding leaves a little of what should cancel.
        np.greater(np.abs(dx[:-1] * dy[1:] - dx[1:] * dy[:-1]), 1e-14, out=kept[1:-1])
        # A line that turns back on itself changes direction too.
        kept[1:-1] |= dx[:-1] * dx[1:] + dy[:-1] * dy[1:] < 0
    return kept


def thinned(x: Floats, y: Floats, limit: int) -> NDArray[np.intp] | slice:
    """Which points of a line to keep, so that at most ``limit`` remain: evenly spaced along it, and its ends.

    No point left out is farther from one that is kept, along either axis, than the line's length divided by the limit.
    """
    n = len(x)
    if n <= limit:
        return slice(None)
    with np.errstate(all="ignore"):
        steps = _relative(x) + _relative(y)
    travelled = np.concatenate([[0.0], np.cumsum(np.nan_to_num(steps, nan=0.0, posinf=0.0, neginf=0.0))])
    if travelled[-1] <= 0:
        return np.linspace(0, n - 1, limit).astype(np.intp)
    places = np.searchsorted(travelled, np.linspace(0, travelled[-1], limit))
    places[-1] = n - 1
    return np.unique(places)


def _relative(values: Floats) -> Floats:
    finite = values[np.isfinite(values)]
    span = float(finite.max() - finite.min()) if len(finite) else 0.0
    steps: Floats = np.abs(np.diff(values))
    return steps / span if span > 0 else np.zeros_like(steps)


def sampled(n: int, limit: int, keep: Sequence[int] = ()) -> NDArray[np.intp] | slice:
    """Which of ``n`` points of a cloud to keep: spread over all of them, in no rhythm of their order, and ``keep``."""
    if n <= limit:
        return slice(None)
    limit -= len(keep)
    first = np.arange(limit)
    places = ((first + (first * _GOLDEN) % 1.0) * (n / limit)).astype(np.intp)
    return np.unique(np.concatenate([places, np.asarray(keep, dtype=np.intp)]))


def rates(values: Floats) -> list[Any]:
    """Finite numbers between 0 and 1, rounded."""
    rounded: list[Any] = values.round(_DIGITS).tolist()
    return rounded


def rounded(values: Any) -> list[Any]:
    """Numbers as JSON carries them, rounded to six digits of the span they cover."""
    array = np.asarray(values, dtype=np.float64).ravel()
    if not array.size:
        return []
    low, high = float(array.min()), float(array.max())
    finite = math.isfinite(low) and math.isfinite(high)
    if not finite:
        known = array[np.isfinite(array)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    span = high - low or abs(high)
    decimals = _DIGITS - 1 - math.floor(math.log10(span)) if span and math.isfinite(span) else 0
    if not -20 < decimals <= 20:
        return [significant(value) for value in array.tolist()]
    short: list[Any] = array.round(decimals).tolist()
    return short if finite else [number_to_json(value) for value in short]


def significant(value: float) -> Any:
    """One number as JSON carries it, rounded to six digits of its own."""
    return number_to_json(float(f"{value:.{_DIGITS}g}"))
