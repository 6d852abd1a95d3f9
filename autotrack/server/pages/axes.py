"""Axes over values that were recorded as text, and parallel coordinates drawn over them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, Final

from autotrack.query.text import shortened
from autotrack.server.pages.compared_values import number_of
from autotrack.server.pages.formatting import number

_TICKS: Final = 6
_NAMES: Final = 14
_TEXT: Final = 20
_DECADES: Final = 100

WIDTH: Final = 1000
HEIGHT: Final = 300
TOP: Final = 34
BOTTOM: Final = 22
SIDE: Final = 70
SHADES: Final = 10


class Axis:
    """An axis: of numbers, on a logarithmic scale where they are spaced so; else of texts in a sensible order.

    Parameters
    ----------
    name : what stands above it.
    values : of each run; ``None`` where it has none.
    """

    def __init__(self, name: str, values: Sequence[Any]) -> None:
        self.name = name
        known = [value for value in values if value is not None]
        numbers = [number_of(value) for value in known]
        self.is_number = bool(known) and all(
            value is not None or isinstance(raw, float) for value, raw in zip(numbers, known, strict=True)
        )
        found = sorted({value for value in numbers if value is not None}) if self.is_number else []
        self.is_number = self.is_number and bool(found)
        self.is_log = len(found) > 2 and found[0] > 0 and found[-1] / found[0] >= _DECADES and _is_skewed(found)
        self.texts = [] if self.is_number else _in_order({str(value) for value in known})
        self.values = [self.place(value) for value in values]
        self._low, self._high = (found[0], found[-1]) if found else (0.0, float(max(0, len(self.texts) - 1)))
        self._found = found

    def place(self, value: Any) -> Any:
        """A value as a picture takes it: a number, or a text; ``None`` for one that is nowhere on the axis."""
        if value is None:
            return None
        return number_of(value) if self.is_number else str(value)

    def height(self, value: Any) -> float | None:
        """How far up a value stands, from 0 to 1."""
        at = self.place(value)
        if at is None:
            return None
        if not self.is_number:
            return self._share(float(self.texts.index(at)))
        return self._share(at)

    def ticks(self) -> list[tuple[float, str, str]]:
        """Heights with a short and a whole text each."""
        if not self.is_number:
            every = self.texts if len(self.texts) <= _NAMES else self.texts[:: math.ceil(len(self.texts) / _NAMES)]
            return [(self.height(one) or 0.0, shortened(one, _TEXT), one) for one in every]
        if len(self._found) <= _TICKS:
            marks = self._found
        elif self.is_log:
            low, high = math.floor(math.log10(self._low)), math.ceil(math.log10(self._high))
            step = max(1, math.ceil((high - low) / _TICKS))
            between = [10.0**power for power in range(low, high + 1, step)]
            marks = [mark for mark in between if self._low <= mark <= self._high]
        else:
            span = self._high - self._low
            marks = [self._low + span * part / (_TICKS - 1) for part in range(_TICKS)]
        return [(self._share(mark), number(mark, 3), number(mark, 6)) for mark in marks]

    def _share(self, value: float) -> float:
        low, high = self._low, self._high
        if self.is_log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return (value - low) / (high - low) if high > low else 0.5


def parallel(axes: Sequence[Axis], labels: Sequence[str], *, best: Collection[int] = ()) -> dict[str, Any]:
    """Lines across axes, in the units of a picture `WIDTH` by `HEIGHT`; the last axis shades the lines.

    A line that has no value on an axis passes below it.

    Parameters
    ----------
    labels : of each line.
    best : the lines to be marked.
    """
    gap = (WIDTH - 2 * SIDE) / max(1, len(axes) - 1)
    low, high = HEIGHT - BOTTOM, TOP
    names = _names(axes, min(18, round(gap / 7.5)))
    columns = [
        {
            "name": axis.name,
            "text": names[place],
            "x": round(SIDE + gap * place, 1),
            "is_log": axis.is_log,
            "ticks": [
                {"y": round(low - (low - high) * at, 1), "text": text, "whole": whole}
                for at, text, whole in axis.ticks()
            ],
        }
        for place, axis in enumerate(axes)
    ]
    lines = []
    for index, label in enumerate(labels):
        heights = [axis.height(axis.values[index]) for axis in axes]
        points = [
            [column["x"], round(low - (low - high) * height, 1) if height is not None else HEIGHT - 4]
            for column, height in zip(columns, heights, strict=True)
        ]
        shade = None if heights[-1] is None else min(SHADES - 1, int(heights[-1] * SHADES))
        values = [
            None if value is None else number(value) if axis.is_number else value
            for axis in axes
            for value in [axis.values[index]]
        ]
        lines.append(
            {"index": index, "label": label, "points": points, "shade": shade, "best": index in best, "values": values}
        )
    return {"width": WIDTH, "height": HEIGHT, "top": high, "bottom": low, "axes": columns, "lines": lines}


def _names(axes: Sequence[Axis], length: int) -> list[str]:
    """The axes' names for the room there is: the last part of a nested param's name where that is enough."""
    short = [axis.name.rpartition("__")[2] for axis in axes]
    kept = [one if short.count(one) == 1 else axis.name for one, axis in zip(short, axes, strict=True)]
    return [name if len(name) <= length else f"{name[: max(1, length - 1)]}…" for name in kept]


def _is_skewed(found: Sequence[float]) -> bool:
    return found[len(found) // 2] < (found[0] + found[-1]) / 4


def _in_order(texts: set[str]) -> list[str]:
    """Numbers by size first (some values are none), then texts by alphabet."""

    def key(text: str) -> tuple[int, float, str]:
        value = number_of(text)
        return (1, 0.0, text) if value is None else (0, value, text)

    return sorted(texts, key=key)
