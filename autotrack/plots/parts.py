"""What the constructors of plots share: series, labels, and the making of one mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Final

from autotrack.events import number_to_json
from autotrack.plots.files import Plot

_NAME: Final = 200


@dataclass(slots=True)
class Series:
    """One line of a plot.

    Parameters
    ----------
    name : for the legend; empty where the plot has one line only.
    x, y : arrays of one length.
    std : half the height of a band around y, or None.
    facts : numbers that the legend tells, such as ``auc``.
    """

    name: str
    x: Any
    y: Any
    std: Any = None
    facts: Mapping[str, float] = field(default_factory=dict)


def label(value: Any) -> str:
    """A class, feature or param value as the text that stands for it."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= _NAME else text[: _NAME - 1] + "…"


def is_spaced_as_powers(values: Any) -> bool:
    """Whether numbers lie more evenly on a logarithmic axis: all positive, over two decades or more."""
    import numpy as np

    try:
        array = np.unique(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError):
        return False
    array = array[np.isfinite(array)]
    if len(array) < 3 or array[0] <= 0 or array[-1] / array[0] < 100:
        return False
    return bool(np.median(array) < (array[0] + array[-1]) / 4)


def rates(series: Sequence[Series], fact: str, area: Any, *, steps: bool) -> list[dict[str, Any]]:
    """The series of curves between 0 and 1, each with a fact that is its area where it is not given."""
    import numpy as np

    from autotrack.plots import points

    limit = points.share(len(series))
    found = []
    for line in series:
        x, y = np.asarray(line.x, dtype=np.float64), np.asarray(line.y, dtype=np.float64)
        told = facts(line.facts)
        if fact not in told:
            told |= facts({fact: area(x, y)})
        needed = points.corners(x, y, steps=steps)
        x, y = x[needed], y[needed]
        kept = points.thinned(x, y, limit)
        x, y = x[kept], y[kept]
        known = bool(np.isfinite(x).all() and np.isfinite(y).all())
        write = points.rates if known else points.rounded
        found.append({"name": label(line.name), "x": write(x), "y": write(y), **told})
    return found


def lines(
    kind: str,
    series: Sequence[Series],
    title: str,
    subtitle: str,
    note: str,
    xlabel: str,
    ylabel: str,
    log: bool | None = False,
) -> Plot:
    """A plot of lines; ``log`` None for where the values of x are spaced so."""
    import numpy as np

    from autotrack.plots import points

    limit = points.share(len(series))
    found: list[dict[str, Any]] = []
    if log is None:
        log = any(is_spaced_as_powers(line.x) for line in series)
    for line in series:
        y = np.asarray(line.y, dtype=np.float64).ravel()
        x = np.asarray(line.x if _all_numbers(line.x) else [label(value) for value in line.x]).ravel()
        is_number = x.dtype.kind in "iufb"
        kept = points.thinned(x.astype(np.float64) if is_number else np.arange(len(y), dtype=np.float64), y, limit)
        x = x[kept]
        if x.dtype.kind in "iu":
            places = x.tolist()
        elif is_number:
            places = [points.significant(value) for value in x.tolist()]
        else:
            places = x.tolist()
        entry: dict[str, Any] = {"name": label(line.name), "x": places, "y": points.rounded(y[kept])}
        if line.std is not None:
            entry["std"] = points.rounded(np.asarray(line.std, dtype=np.float64).ravel()[kept])
        found.append(entry | facts(line.facts))
    return plot(kind, title, subtitle, note, xlabel=xlabel, ylabel=ylabel, log=bool(log), series=found)


def cloud(kind: str, x: Any, y: Any, title: str, subtitle: str, note: str, values: Any = None, **rest: Any) -> Plot:
    """A plot of points, of many a sample in which the extremes are."""
    import numpy as np

    from autotrack.plots import points

    x, y = np.asarray(x, dtype=np.float64).ravel(), np.asarray(y, dtype=np.float64).ravel()
    n = len(x)
    colours = None if values is None else np.asarray(values, dtype=np.float64).ravel()
    if n > points.MOST:
        seen = [array for array in (x, y, colours) if array is not None]
        ends = {int(place) for array in seen for place in (np.argmin(array), np.argmax(array))}
        kept = points.sampled(n, points.MOST, sorted(ends))
        x, y = x[kept], y[kept]
        colours = None if colours is None else colours[kept]
        note = joined(note, f"{len(x):,} of {n:,} points")
    shown = None if colours is None else points.rounded(colours)
    return plot(kind, title, subtitle, note, x=points.rounded(x), y=points.rounded(y), values=shown, of=n, **rest)


def plot(kind: str, title: str, subtitle: str, note: str, **rest: Any) -> Plot:
    """A plot without what is unknown, empty or off."""
    made: Plot = {"kind": kind, "title": title}
    for key, value in (("subtitle", subtitle), ("note", note), *rest.items()):
        if value is not None and value != "" and value is not False:
            made[key] = value
    return made


def _all_numbers(values: Any) -> bool:
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    return kind in "iuf" if kind else all(isinstance(value, Real) and not isinstance(value, bool) for value in values)


def facts(facts: Mapping[str, float] | None) -> dict[str, Any]:
    """Numbers as JSON carries them, whole."""
    return {name: number_to_json(float(value)) for name, value in (facts or {}).items()}


def known(value: Any) -> str | None:
    """The label of a class, where there is one."""
    return None if value is None else label(value)


def joined(note: str, more: str) -> str:
    """Two notes as one."""
    return f"{note}; {more}" if note else more
