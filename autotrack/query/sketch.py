"""A plot as a small inline SVG, for notebooks: curves and points, without matplotlib. Other kinds have none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from autotrack.query import text

_WIDTH: Final = 300
_HEIGHT: Final = 190
_LEFT: Final = 44
_BOTTOM: Final = 30
_EDGE: Final = 8
_COLOURS: Final = ("#4c6ef5", "#e8590c", "#2b8a3e", "#c2255c", "#1098ad", "#b08900")
_POINTS: Final = 300
_CURVES: Final = ("roc_curve", "precision_recall_curve", "calibration_curve")
_LINES: Final = ("iterations", "learning_curve", "lines")
_CLOUDS: Final = ("predicted_vs_actual", "residuals")

Pairs = list[tuple[float, float]]


def sketch(plot: Mapping[str, Any], name: str) -> str:
    """The picture; empty for a kind that is not drawn here, or where there is nothing to see.

    Raises
    ------
    TypeError, KeyError
        When the plot is malformed.
    """
    kind = plot.get("kind")
    if kind in (*_CURVES, *_LINES):
        lines = [_pairs(line["x"], line["y"]) for line in plot["series"]][: len(_COLOURS)]
    elif kind in _CLOUDS:
        lines = [_pairs(plot["x"], plot["y"])]
    else:
        return ""
    points = [point for line in lines for point in line]
    if len(points) < 2:
        return ""
    unit = kind in _CURVES
    low_x, high_x = (0.0, 1.0) if unit else _ends([x for x, _ in points])
    low_y, high_y = (0.0, 1.0) if unit else _ends([y for _, y in points])

    def at(point: tuple[float, float]) -> tuple[float, float]:
        right = _LEFT + (_WIDTH - _LEFT - _EDGE) * (point[0] - low_x) / (high_x - low_x)
        down = _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _EDGE) * (point[1] - low_y) / (high_y - low_y)
        return round(right, 1), round(down, 1)

    drawn = [_frame(low_x, high_x, low_y, high_y)]
    for line, colour in zip(lines, _COLOURS):
        places = [at(point) for point in line]
        if kind in _CLOUDS:
            drawn += [f'<circle cx="{x}" cy="{y}" r="2" fill="{colour}" fill-opacity="0.5"/>' for x, y in places]
        else:
            joined = " ".join(f"{x},{y}" for x, y in places)
            drawn.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
    title = escape(text.shortened(text.plain(name), 80))
    return (
        f'<figure style="margin:0"><svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'role="img" aria-label="{title}" font-family="sans-serif" font-size="10" fill="currentColor">'
        f"{''.join(drawn)}</svg><figcaption><small>{title}</small></figcaption></figure>"
    )


def _pairs(xs: Sequence[Any], ys: Sequence[Any]) -> Pairs:
    kept = [
        (float(x), float(y))
        for x, y in zip(xs, ys)
        if isinstance(x, (int, float)) and isinstance(y, (int, float)) and math.isfinite(x) and math.isfinite(y)
    ]
    step = max(1, math.ceil(len(kept) / _POINTS))
    return kept[::step] if step == 1 else [*kept[::step], kept[-1]]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _frame(low_x: float, high_x: float, low_y: float, high_y: float) -> str:
    base, right = _HEIGHT - _BOTTOM, _WIDTH - _EDGE
    axes = f'<path d="M{_LEFT} {_EDGE}V{base}H{right}" fill="none" stroke="currentColor" stroke-opacity="0.35"/>'
    marks = [
        (_LEFT, base + 13, "start", low_x), (right, base + 13, "end", high_x),
        (_LEFT - 4, base, "end", low_y), (_LEFT - 4, _EDGE + 8, "end", high_y),
    ]  # fmt: skip
    return axes + "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text.number(value, 3))}</text>'
        for x, y, anchor, value in marks
    )
