"""Make plots: functions that turn arrays into plain mappings that JSON takes, one function per kind.

Every plot has ``kind``, ``title`` and, where known, ``subtitle`` (whose data, which model) and ``note`` (what was left
out). The rest is said at each function. Lines are ``series``: a list of ``{"name", "x", "y"}`` with ``std`` where there
is a band, and facts such as ``auc``. Points beyond `points.MOST` are thinned, numbers rounded to six digits; facts
are whole.

>>> plot = roc_curve([Series("virginica", fpr, tpr, facts={"auc": 0.97})], subtitle="SVC, test data")  # doctest: +SKIP
>>> run.artifact("plots/roc_curve_X_test.json", to_json({"roc_curve_X_test": plot}))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from autotrack.events import number_to_json
from autotrack.plots.files import Plot

CLASSES: Final = 20
"""So many classes get a curve of their own, the most frequent ones."""

MATRIX_CLASSES: Final = 30
"""So many classes a confusion matrix of more shows by themselves; the others are one."""

FEATURES: Final = 30
"""So many features are kept of more, the most important ones."""

_NAME: Final = 200
OTHER: Final = "(other)"


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


def confusion_matrix(
    counts: Any, labels: Sequence[Any], *, title: str = "Confusion matrix", subtitle: str = "", note: str = ""
) -> Plot:
    """How often each class was taken for each: ``labels`` and ``counts``, a row per true class.

    Counts, which are sums where samples have weights, are not normalised. Of more than `MATRIX_CLASSES` classes the
    most frequent stay, and the last row and column are all the others together.

    Parameters
    ----------
    counts : array of shape (n_classes, n_classes); rows are true classes, columns predicted ones.
    labels : the classes.
    """
    import numpy as np

    from autotrack.plots import points

    matrix = np.asarray(counts)
    n = len(labels)
    names = [label(value) for value in labels]
    if n > MATRIX_CLASSES + 1:
        frequent = np.sort(np.argsort(-(matrix.sum(axis=1) + matrix.sum(axis=0)), kind="stable")[:MATRIX_CLASSES])
        group = np.full(n, MATRIX_CLASSES)
        group[frequent] = np.arange(MATRIX_CLASSES)
        small = np.zeros((MATRIX_CLASSES + 1, MATRIX_CLASSES + 1), dtype=matrix.dtype)
        np.add.at(small, (group[:, None], group[None, :]), matrix)
        matrix = small
        names = [names[place] for place in frequent] + [OTHER]
        note = _joined(note, f"the {MATRIX_CLASSES} most frequent of {n} classes, the others together")
    rows = matrix.tolist() if matrix.dtype.kind in "iu" else [points.rounded(row) for row in matrix]
    return _plot("confusion_matrix", title, subtitle, note, labels=names, counts=rows)


def roc_curve(
    series: Sequence[Series], *, title: str = "ROC curve", subtitle: str = "", note: str = "", positive: Any = None
) -> Plot:
    """True positive rate (y) over false positive rate (x), a series per class, each from (0, 0) to (1, 1).

    Facts: ``auc``, worked out by the trapezoidal rule where it is not given.

    Parameters
    ----------
    positive : the class that counts as positive, where there is one curve.
    """
    import numpy as np

    def area(x: Any, y: Any) -> float:
        return float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2)

    found = _rates(series, "auc", area, steps=False)
    return _plot("roc_curve", title, subtitle, note, positive=_known(positive), series=found)


def precision_recall_curve(
    series: Sequence[Series],
    *,
    title: str = "Precision–recall curve",
    subtitle: str = "",
    note: str = "",
    positive: Any = None,
) -> Plot:
    """Precision (y) over recall (x), a series per class, to be drawn as steps.

    Facts: ``average_precision``, worked out where it is not given; ``prevalence``, the precision of chance.

    Parameters
    ----------
    series : with recall falling, as `sklearn.metrics.precision_recall_curve` gives it, or rising.
    positive : the class that counts as positive, where there is one curve.
    """
    import numpy as np

    def falling(line: Series) -> Series:
        x, y = np.asarray(line.x, dtype=np.float64), np.asarray(line.y, dtype=np.float64)
        return Series(line.name, x[::-1], y[::-1], facts=line.facts) if len(x) and x[0] < x[-1] else line

    def area(x: Any, y: Any) -> float:
        return float(-np.sum(np.diff(x) * y[:-1]))

    found = _rates([falling(line) for line in series], "average_precision", area, steps=True)
    return _plot("precision_recall_curve", title, subtitle, note, positive=_known(positive), series=found)


def calibration_curve(
    predicted: Any,
    observed: Any,
    counts: Any = None,
    *,
    bins: int = 10,
    positive: Any = None,
    brier: float | None = None,
    title: str = "Calibration curve",
    subtitle: str = "",
    note: str = "",
) -> Plot:
    """How often the positive class came true (y) where it was given a probability (x), a point per bin in use.

    Parameters
    ----------
    predicted : mean predicted probability of each bin.
    observed : fraction of positives in each bin.
    counts : samples in each bin, or None.
    bins : of how many bins of equal width.
    positive : the class that counts as positive.
    brier : Brier score.
    """
    from autotrack.plots import points

    facts = {} if brier is None else {"brier_score": brier}
    line = {"name": "", "x": points.rounded(predicted), "y": points.rounded(observed), **facts}
    if counts is not None:
        line["counts"] = points.rounded(counts)
    return _plot("calibration_curve", title, subtitle, note, positive=_known(positive), bins=bins, series=[line])


def residuals(
    predicted: Any, residual: Any, *, title: str = "Residuals", subtitle: str = "", note: str = "", unit: str = ""
) -> Plot:
    """Actual minus predicted value (y) over the predicted one (x), a point per sample."""
    return _cloud("residuals", predicted, residual, title, subtitle, note, unit=unit)


def predicted_vs_actual(
    actual: Any,
    predicted: Any,
    *,
    facts: Mapping[str, float] | None = None,
    title: str = "Predicted and actual values",
    subtitle: str = "",
    note: str = "",
    unit: str = "",
) -> Plot:
    """Predicted (y) over actual value (x), a point per sample. Facts: such as ``r2_score``."""
    return _cloud("predicted_vs_actual", actual, predicted, title, subtitle, note, unit=unit, facts=_facts(facts))


def feature_importances(
    names: Sequence[Any],
    values: Any,
    *,
    importance: str = "importance",
    std: Any = None,
    of: int | None = None,
    title: str = "Feature importances",
    subtitle: str = "",
    note: str = "",
) -> Plot:
    """How much each feature counts, the most important first: ``names``, ``values``, ``std``, ``of`` so many features.

    Parameters
    ----------
    names, values : of all features; the `FEATURES` with the largest absolute values are kept.
    importance : what a value is, for the axis: ``"impurity decrease"``, ``"coefficient"`` …
    std : standard deviation of each value, or None.
    of : so many features there are, where the caller has kept the largest.
    """
    import numpy as np

    from autotrack.plots import points

    array = np.asarray(values, dtype=np.float64).ravel()
    n = max(len(array), of or 0)
    order = np.argsort(-np.abs(array), kind="stable")[:FEATURES]  # NaN comes last
    if n > FEATURES:
        note = _joined(note, f"the {FEATURES} largest of {n:,}")
    spread = None if std is None else points.rounded(np.asarray(std, dtype=np.float64).ravel()[order])
    kept = [label(names[place]) for place in order.tolist()]
    return _plot(
        "feature_importances", title, subtitle, note,
        importance=importance, names=kept, values=points.rounded(array[order]), std=spread, of=n,
    )  # fmt: skip


def learning_curve(
    series: Sequence[Series],
    *,
    ylabel: str = "score",
    xlabel: str = "training samples",
    title: str = "Learning curve",
    subtitle: str = "",
    note: str = "",
) -> Plot:
    """Score (y) over the number of training samples (x): a series each for training and validation, with std bands."""
    return _lines("learning_curve", series, title, subtitle, note, xlabel, ylabel)


def validation_curve(
    series: Sequence[Series],
    *,
    param: str,
    ylabel: str = "score",
    log: bool | None = None,
    title: str = "Validation curve",
    subtitle: str = "",
    note: str = "",
) -> Plot:
    """Score (y) over the values of one param (x), with std bands.

    Parameters
    ----------
    series : x may be numbers or texts (then in the order given).
    param : the param's name.
    log : whether the axis of x is logarithmic; ``None`` for where the values are spaced so.
    """
    return _lines("validation_curve", series, title, subtitle, note, param, ylabel, log)


def iterations(
    series: Sequence[Series],
    *,
    ylabel: str = "",
    xlabel: str = "iteration",
    title: str = "",
    subtitle: str = "",
    note: str = "",
) -> Plot:
    """A metric (y) over the iterations of one fit (x), such as a loss curve."""
    return _lines("iterations", series, title, subtitle, note, xlabel, ylabel)


def lines(
    series: Sequence[Series],
    *,
    xlabel: str = "",
    ylabel: str = "",
    log: bool | None = False,
    title: str = "",
    subtitle: str = "",
    note: str = "",
) -> Plot:
    """Any lines."""
    return _lines("lines", series, title, subtitle, note, xlabel, ylabel, log)


def bars(
    names: Sequence[Any],
    values: Any,
    *,
    std: Any = None,
    xlabel: str = "",
    title: str = "",
    subtitle: str = "",
    note: str = "",
) -> Plot:
    """Named values, in the order given: ``names``, ``values``, ``std``. More than `points.MOST` are cut."""
    from autotrack.plots import points

    kept = [label(name) for name in names[: points.MOST]]
    if len(names) > points.MOST:
        note = _joined(note, f"the first {points.MOST:,} of {len(names):,}")
    spread = None if std is None else points.rounded(std)[: points.MOST]
    values = points.rounded(values)[: points.MOST]
    return _plot("bars", title, subtitle, note, xlabel=xlabel, names=kept, values=values, std=spread)


def heat_map(
    columns: Sequence[Any],
    rows: Sequence[Any],
    values: Any,
    *,
    xlabel: str,
    ylabel: str,
    value: str = "score",
    title: str = "",
    subtitle: str = "",
    note: str = "",
) -> Plot:
    """A value per pair of two params' values: ``columns`` (x), ``rows`` (y), ``values`` with a list per row.

    Parameters
    ----------
    columns, rows : the params' values, in order.
    values : array of shape (n_rows, n_columns); NaN where there is none.
    xlabel, ylabel : the params' names.
    value : what the values are.

    Raises
    ------
    ValueError
        When there are more than `points.MOST` cells: make a `scatter`.
    """
    import numpy as np

    from autotrack.plots import points

    matrix = np.asarray(values, dtype=np.float64).reshape(len(rows), len(columns))
    if matrix.size > points.MOST:
        raise ValueError(f"a heat map has at most {points.MOST:,} cells, not {matrix.size:,}")
    cells = points.rounded(matrix)
    width = len(columns)
    return _plot(
        "heat_map", title, subtitle, note,
        xlabel=xlabel, ylabel=ylabel, value_name=value,
        columns=[label(item) for item in columns], rows=[label(item) for item in rows],
        values=[cells[start : start + width] for start in range(0, len(cells), width or 1)],
    )  # fmt: skip


def scatter(
    x: Any,
    y: Any,
    values: Any = None,
    *,
    xlabel: str,
    ylabel: str,
    value: str = "score",
    log_x: bool | None = None,
    log_y: bool | None = None,
    title: str = "",
    subtitle: str = "",
    note: str = "",
) -> Plot:
    """Points, coloured by ``values`` where there are any: the candidates of a search over two params.

    Parameters
    ----------
    x, y : numbers.
    values : a number per point, or None.
    value : what the values are.
    log_x, log_y : whether the axis is logarithmic; ``None`` for where the numbers are spaced so.
    """
    log_x, log_y = (is_spaced_as_powers(at) if log is None else log for at, log in ((x, log_x), (y, log_y)))
    return _cloud(
        "scatter", x, y, title, subtitle, note, values,
        xlabel=xlabel, ylabel=ylabel, value_name=value, log_x=log_x, log_y=log_y,
    )  # fmt: skip


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


def _rates(series: Sequence[Series], fact: str, area: Any, *, steps: bool) -> list[dict[str, Any]]:
    import numpy as np

    from autotrack.plots import points

    limit = points.share(len(series))
    found = []
    for line in series:
        x, y = np.asarray(line.x, dtype=np.float64), np.asarray(line.y, dtype=np.float64)
        facts = _facts(line.facts)
        if fact not in facts:
            facts |= _facts({fact: area(x, y)})
        needed = points.corners(x, y, steps=steps)
        x, y = x[needed], y[needed]
        kept = points.thinned(x, y, limit)
        x, y = x[kept], y[kept]
        known = bool(np.isfinite(x).all() and np.isfinite(y).all())
        write = points.rates if known else points.rounded
        found.append({"name": label(line.name), "x": write(x), "y": write(y), **facts})
    return found


def _lines(
    kind: str,
    series: Sequence[Series],
    title: str,
    subtitle: str,
    note: str,
    xlabel: str,
    ylabel: str,
    log: bool | None = False,
) -> Plot:
    import numpy as np

    from autotrack.plots import points

    limit = points.share(len(series))
    found: list[dict[str, Any]] = []
    if log is None:
        log = any(is_spaced_as_powers(line.x) for line in series)
    for line in series:
        y = np.asarray(line.y, dtype=np.float64).ravel()
        x = np.asarray(line.x).ravel()
        is_number = x.dtype.kind in "iufb"
        kept = points.thinned(x.astype(np.float64) if is_number else np.arange(len(y), dtype=np.float64), y, limit)
        x = x[kept]
        if x.dtype.kind in "iu":
            places = x.tolist()
        elif is_number:
            places = [points.significant(value) for value in x.tolist()]
        else:
            places = [label(value) for value in x.tolist()]
        entry: dict[str, Any] = {"name": label(line.name), "x": places, "y": points.rounded(y[kept])}
        if line.std is not None:
            entry["std"] = points.rounded(np.asarray(line.std, dtype=np.float64).ravel()[kept])
        found.append(entry | _facts(line.facts))
    return _plot(kind, title, subtitle, note, xlabel=xlabel, ylabel=ylabel, log=bool(log), series=found)


def _cloud(kind: str, x: Any, y: Any, title: str, subtitle: str, note: str, values: Any = None, **rest: Any) -> Plot:
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
        note = _joined(note, f"{len(x):,} of {n:,} points")
    shown = None if colours is None else points.rounded(colours)
    return _plot(kind, title, subtitle, note, x=points.rounded(x), y=points.rounded(y), values=shown, of=n, **rest)


def _plot(kind: str, title: str, subtitle: str, note: str, **rest: Any) -> Plot:
    plot: Plot = {"kind": kind, "title": title}
    for key, value in (("subtitle", subtitle), ("note", note), *rest.items()):
        if value is not None and value != "" and value is not False:
            plot[key] = value
    return plot


def _facts(facts: Mapping[str, float] | None) -> dict[str, Any]:
    return {name: number_to_json(float(value)) for name, value in (facts or {}).items()}


def _known(value: Any) -> str | None:
    return None if value is None else label(value)


def _joined(note: str, more: str) -> str:
    return f"{note}; {more}" if note else more
