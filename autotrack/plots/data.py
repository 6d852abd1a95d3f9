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
from typing import Any, Final

from autotrack.plots import parts
from autotrack.plots.files import Plot
from autotrack.plots.parts import Series as Series
from autotrack.plots.parts import is_spaced_as_powers as is_spaced_as_powers
from autotrack.plots.parts import label as label

CLASSES: Final = 20
"""So many classes get a curve of their own, the most frequent ones."""

MATRIX_CLASSES: Final = 30
"""So many classes a confusion matrix of more shows by themselves; the others are one."""

FEATURES: Final = 30
"""So many features are kept of more, the most important ones."""

OTHER: Final = "(other)"


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
        note = parts.joined(note, f"the {MATRIX_CLASSES} most frequent of {n} classes, the others together")
    rows = matrix.tolist() if matrix.dtype.kind in "iu" else [points.rounded(row) for row in matrix]
    return parts.plot("confusion_matrix", title, subtitle, note, labels=names, counts=rows)


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

    found = parts.rates(series, "auc", area, steps=False)
    return parts.plot("roc_curve", title, subtitle, note, positive=parts.known(positive), series=found)


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

    found = parts.rates([falling(line) for line in series], "average_precision", area, steps=True)
    return parts.plot("precision_recall_curve", title, subtitle, note, positive=parts.known(positive), series=found)


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
    return parts.plot(
        "calibration_curve", title, subtitle, note, positive=parts.known(positive), bins=bins, series=[line]
    )


def residuals(
    predicted: Any, residual: Any, *, title: str = "Residuals", subtitle: str = "", note: str = "", unit: str = ""
) -> Plot:
    """Actual minus predicted value (y) over the predicted one (x), a point per sample."""
    return parts.cloud("residuals", predicted, residual, title, subtitle, note, unit=unit)


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
    return parts.cloud(
        "predicted_vs_actual", actual, predicted, title, subtitle, note, unit=unit, facts=parts.facts(facts)
    )


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
        note = parts.joined(note, f"the {FEATURES} largest of {n:,}")
    spread = None if std is None else points.rounded(np.asarray(std, dtype=np.float64).ravel()[order])
    kept = [label(names[place]) for place in order.tolist()]
    return parts.plot(
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
    return parts.lines("learning_curve", series, title, subtitle, note, xlabel, ylabel)


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
    return parts.lines("validation_curve", series, title, subtitle, note, param, ylabel, log)


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
    return parts.lines("iterations", series, title, subtitle, note, xlabel, ylabel)


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
    return parts.lines("lines", series, title, subtitle, note, xlabel, ylabel, log)


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
        note = parts.joined(note, f"the first {points.MOST:,} of {len(names):,}")
    spread = None if std is None else points.rounded(std)[: points.MOST]
    values = points.rounded(values)[: points.MOST]
    return parts.plot("bars", title, subtitle, note, xlabel=xlabel, names=kept, values=values, std=spread)


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
    return parts.plot(
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
    return parts.cloud(
        "scatter", x, y, title, subtitle, note, values,
        xlabel=xlabel, ylabel=ylabel, value_name=value, log_x=log_x, log_y=log_y,
    )  # fmt: skip
