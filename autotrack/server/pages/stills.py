"""Still pictures of plots, as SVG: what is there before a script draws, and where there are no scripts.

Colours are classes, for `plots.css` to give. Plots come out of files that anybody may have written: one that is not as
it should be gives no picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from autotrack.server.pages.formatting import number

WIDTH: Final = 640
HEIGHT: Final = 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 10, 46
_SERIES: Final = 20
_POINTS: Final = 300
_BARS: Final = 30
_CELLS: Final = 1_000
_COLOURS: Final = 8

Plot = Mapping[str, Any]


def still(plot: Plot) -> Markup:
    """The picture; empty where none can be drawn."""
    draw = _DRAWERS.get(str(plot.get("kind")))
    if draw is None:
        return Markup("")
    try:
        return Markup("").join(draw(plot))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return Markup("")


def _open(height: float = HEIGHT) -> Markup:
    return Markup('<svg class="still" viewBox="0 0 {} {}" aria-hidden="true" focusable="false">').format(
        WIDTH, round(height)
    )


def _text(x: float, y: float, text: Any, anchor: str = "middle", kind: str = "", longest: int = 36) -> Markup:
    shown = str(text)
    shown = shown if len(shown) <= longest else shown[: longest - 1] + "…"
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>').format(x, y, anchor, kind, shown)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<path d="M{:.1f} {:.1f}L{:.1f} {:.1f}" class="{}"/>').format(x1, y1, x2, y2, kind)


class _Scale:
    """From numbers to places along an axis."""

    def __init__(self, values: Iterable[Any], first: float, last: float, *, log: bool = False, unit: bool = False):
        known = [value for value in values if _is_number(value) and (not log or value > 0)]
        self.log = log and bool(known)
        low, high = (0.0, 1.0) if unit or not known else (float(min(known)), float(max(known)))
        if self.log:
            low, high = math.log10(low), math.log10(high)
        if high - low <= abs(high) * 1e-12:
            low, high = low - (abs(low) * 0.05 or 0.5), high + (abs(high) * 0.05 or 0.5)
        margin = (high - low) * (0.02 if unit else 0.04)
        self.low, self.high, self.first, self.last = low - margin, high + margin, first, last

    def __call__(self, value: Any) -> float | None:
        if not _is_number(value) or (self.log and value <= 0):
            return None
        at = math.log10(value) if self.log else float(value)
        return self.first + (at - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self) -> list[float]:
        """Round numbers within the axis."""
        if self.log:
            whole = range(math.ceil(self.low), math.floor(self.high) + 1)
            every = max(1, len(whole) // 7)
            return [10.0**power for power in whole[::every]] or [10**self.low, 10**self.high]
        rough = (self.high - self.low) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        begin = math.ceil(self.low / step)
        return [round(step * (begin + at), 12) for at in range(math.floor(self.high / step) - begin + 1)]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _axes(x: _Scale, y: _Scale, xlabel: Any, ylabel: Any, words: Sequence[str] = ()) -> Iterable[Markup]:
    for tick in y.ticks():
        at = y(tick)
        if at is not None:
            yield _line(_LEFT, at, WIDTH - _RIGHT, at, "grid")
            yield _text(_LEFT - 6, at + 4, number(tick), "end")
    marks: list[tuple[float, str]] = [(tick, number(tick)) for tick in x.ticks()]
    if words:
        step = max(1, len(words) // 8)
        marks = [(place, words[place]) for place in range(0, len(words), step)]
    for tick, shown in marks:
        along = x(tick)
        if along is not None:
            yield _text(along, HEIGHT - _BOTTOM + 16, shown, longest=14)
    yield _text((_LEFT + WIDTH) / 2, HEIGHT - 8, xlabel or "", longest=70)
    if ylabel:
        yield Markup('<text transform="translate(13 {}) rotate(-90)" text-anchor="middle">{}</text>').format(
            round((HEIGHT - _BOTTOM) / 2), str(ylabel)[:50]
        )


def _sides(**options: Any) -> tuple[Callable[[Iterable[Any]], _Scale], Callable[[Iterable[Any]], _Scale]]:
    unit = options.get("unit", False)
    return (
        lambda values: _Scale(values, _LEFT, WIDTH - _RIGHT, log=bool(options.get("log_x")), unit=unit),
        lambda values: _Scale(values, HEIGHT - _BOTTOM, _TOP, log=bool(options.get("log_y")), unit=unit),
    )


def _lines(plot: Plot, *, unit: bool = False, steps: bool = False, labels: tuple[str, str] = ("", "")) -> list[Markup]:
    series = [line for line in plot["series"] if line["x"]][:_SERIES]
    words = list(dict.fromkeys(x for line in series for x in line["x"] if isinstance(x, str)))
    places = {word: place for place, word in enumerate(words)}
    across, up = _sides(unit=unit, log_x=plot.get("log") and not words)
    xs = [[places[x] if isinstance(x, str) else x for x in line["x"]] for line in series]
    x = across(value for line in xs for value in line)
    y = up(value for line in series for value in line["y"])
    xlabel, ylabel = labels if labels[0] else (plot.get("xlabel"), plot.get("ylabel"))
    drawn = [_open(), *_axes(x, y, xlabel, ylabel, words)]
    for place, (line, along) in enumerate(zip(series, xs, strict=True)):
        drawn.append(_path(x, y, along, line["y"], place % _COLOURS + 1, steps=steps))
    if unit and not steps:
        drawn.append(_line(x(0) or 0, y(0) or 0, x(1) or 0, y(1) or 0, "faint"))
    drawn.append(Markup("</svg>"))
    return drawn


def _path(x: _Scale, y: _Scale, xs: Sequence[Any], ys: Sequence[Any], colour: int, *, steps: bool) -> Markup:
    length = min(len(xs), len(ys))
    step = max(1, length // _POINTS)
    kept = sorted({*range(0, length, step), length - 1}) if length else []
    words: list[str] = []
    begun = False
    last: tuple[float, float] | None = None
    for place in kept:
        across, up = x(xs[place]), y(ys[place])
        if across is None or up is None:
            begun = False
            continue
        if begun and steps and last is not None:
            words.append(f"L{across:.1f} {last[1]:.1f}")
        words.append(f"{'L' if begun else 'M'}{across:.1f} {up:.1f}")
        begun, last = True, (across, up)
    if length == 1 and last is not None:
        return _dot(*last, colour)
    return Markup('<path d="{}" class="line s{}"/>').format("".join(words), colour)


def _dot(x: float, y: float, colour: int, radius: float = 3.5) -> Markup:
    return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}" class="dot f{}"/>').format(x, y, radius, colour)


def _points(plot: Plot, labels: tuple[str, str], *, ideal: str = "") -> list[Markup]:
    xs, ys = plot["x"], plot["y"]
    across, up = _sides(log_x=plot.get("log_x"), log_y=plot.get("log_y"))
    x, y = across(xs), up(ys)
    drawn = [_open(), *_axes(x, y, *labels)]
    step = max(1, len(xs) // _POINTS)
    for place in range(0, min(len(xs), len(ys)), step):
        along, high = x(xs[place]), y(ys[place])
        if along is not None and high is not None:
            drawn.append(_dot(along, high, 1))
    if ideal == "zero" and (zero := y(0)) is not None:
        drawn.append(_line(_LEFT, zero, WIDTH - _RIGHT, zero, "faint"))
    if ideal == "diagonal":
        low, high = max(x.low, y.low), min(x.high, y.high)
        if low < high:
            drawn.append(_line(x(low) or 0, y(low) or 0, x(high) or 0, y(high) or 0, "faint"))
    drawn.append(Markup("</svg>"))
    return drawn


def _bars(plot: Plot) -> list[Markup]:
    names, values = plot["names"][:_BARS], plot["values"][:_BARS]
    left, height = 210, 24
    x = _Scale([0, *values], left, WIDTH - 60)
    zero = x(0) or left
    drawn = [_open(len(names) * height + 40)]
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        at, top = x(value), place * height + 6
        drawn.append(_text(left - 8, top + 12, name, "end", "ink", 32))
        if at is not None:
            drawn.append(
                Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="16" rx="2" class="f{}"/>').format(
                    min(zero, at), top, max(abs(at - zero), 1), 1 if at >= zero else 2
                )
            )
        drawn.append(_text(max(zero, at or zero) + 6, top + 12, number(_told(value)), "start"))
    label = plot.get("xlabel") or plot.get("importance") or ""
    drawn += [_text((left + WIDTH) / 2, len(names) * height + 28, label, longest=60), Markup("</svg>")]
    return drawn


def _told(value: Any) -> float | str | None:
    return value if isinstance(value, (int, float, str)) else None


def _grid(
    columns: Sequence[Any], rows: Sequence[Any], cells: Sequence[Sequence[Any]], strength: Callable[[int, int], float],
    xlabel: Any, ylabel: Any,
) -> list[Markup]:  # fmt: skip
    if not columns or not rows or len(columns) * len(rows) > _CELLS:
        return []
    left, top = 130, 8
    width = min((WIDTH - left - 10) / len(columns), 150)
    height = min(max(300 / len(rows), 18), 64)
    end = top + height * len(rows)
    drawn = [_open(end + 48)]
    roomy = width >= 30
    for row, name in enumerate(rows):
        drawn.append(_text(left - 8, top + (row + 0.5) * height + 4, name, "end", "ink", 14))
        for column in range(len(columns)):
            share = min(max(strength(row, column), 0.0), 1.0)
            x, y = left + column * width, top + row * height
            drawn.append(
                Markup(
                    '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="f1" fill-opacity="{:.3f}"/>'
                ).format(x, y, width - 2, height - 2, 0.06 + 0.94 * share)
            )
            if roomy:
                shown = number(_told(cells[row][column]))
                kind = "cell-text on" if share > 0.5 else "cell-text"
                drawn.append(_text(x + width / 2 - 1, y + height / 2 - 1, shown, "middle", kind))
    for column, name in enumerate(columns):
        drawn.append(_text(left + (column + 0.5) * width, end + 16, name, "middle", "ink", max(3, int(width // 7))))
    drawn.append(_text(left + width * len(columns) / 2, end + 38, xlabel, longest=60))
    drawn.append(
        Markup('<text transform="translate(13 {:.0f}) rotate(-90)" text-anchor="middle">{}</text>').format(
            top + (end - top) / 2, str(ylabel)[:40]
        )
    )
    drawn.append(Markup("</svg>"))
    return drawn


def _confusion(plot: Plot) -> list[Markup]:
    counts = plot["counts"]
    totals = [sum(value for value in row if _is_number(value)) for row in counts]

    def share(row: int, column: int) -> float:
        value = counts[row][column]
        return value / totals[row] if _is_number(value) and totals[row] > 0 else 0.0

    return _grid(plot["labels"], plot["labels"], counts, share, "predicted class", "true class")


def _heat_map(plot: Plot) -> list[Markup]:
    values = plot["values"]
    known = [value for row in values for value in row if _is_number(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)

    def strength(row: int, column: int) -> float:
        value = values[row][column]
        return (value - low) / (high - low or 1) if _is_number(value) else 0.0

    return _grid(plot["columns"], plot["rows"], values, strength, plot.get("xlabel", ""), plot.get("ylabel", ""))


_DRAWERS: Final[dict[str, Callable[[Plot], list[Markup]]]] = {
    "roc_curve": lambda plot: _lines(plot, unit=True, labels=("false positive rate", "true positive rate")),
    "precision_recall_curve": lambda plot: _lines(plot, unit=True, steps=True, labels=("recall", "precision")),
    "calibration_curve": lambda plot: _lines(
        plot, unit=True, labels=("mean predicted probability", "fraction of positives")
    ),
    "learning_curve": _lines,
    "validation_curve": _lines,
    "iterations": _lines,
    "lines": _lines,
    "residuals": lambda plot: _points(plot, ("predicted value", "actual − predicted"), ideal="zero"),
    "predicted_vs_actual": lambda plot: _points(plot, ("actual value", "predicted value"), ideal="diagonal"),
    "scatter": lambda plot: _points(plot, (plot.get("xlabel", ""), plot.get("ylabel", ""))),
    "feature_importances": _bars,
    "bars": _bars,
    "confusion_matrix": _confusion,
    "heat_map": _heat_map,
}
