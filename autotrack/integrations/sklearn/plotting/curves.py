"""Training plots from predictions already taken, in numpy: MLflow's names, and a few more.

scikit-learn's own functions give the same numbers (property tests hold ours to theirs); these sort once per class for
both curves, and neither validate nor warn. Of more than `data.CLASSES` classes the most frequent get curves, and the
plot says so. With several outputs there is no confusion matrix and no calibration; ROC and precision–recall curves are
drawn per label where the probabilities have a column per label, residuals for the first `OUTPUTS` outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from autotrack.capture.guard import shield
from autotrack.integrations.sklearn.fitting.scores import Codes, Floats, codes_of, weights_of
from autotrack.plots import data
from autotrack.plots.data import Series
from autotrack.plots.files import Plot

BINS: Final = 10
OUTPUTS: Final = 4


@dataclass(slots=True)
class Ranking:
    """Both curves of one class against the rest.

    ``fpr`` and ``tpr`` rise from 0 to 1; ``recall`` falls from 1 to 0, as scikit-learn has it, with its ``precision``.
    """

    fpr: Floats
    tpr: Floats
    auc: float
    precision: Floats
    recall: Floats
    average_precision: float
    prevalence: float


def rank(positive: NDArray[np.bool_], score: Floats, weight: Floats | None = None) -> Ranking | None:
    """Both curves from one sort, over all distinct thresholds; ``None`` where a class is absent.

    Parameters
    ----------
    positive : of shape (n_samples,).
    score : of shape (n_samples,), higher for what is more likely positive.
    weight : of shape (n_samples,), or None.
    """
    if weight is not None and not weight.all():
        used = weight != 0
        positive, score, weight = positive[used], score[used], weight[used]
    n = len(score)
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    last = np.empty(n, dtype=bool)  # of each run of equal scores
    last[-1:] = True
    np.not_equal(score[1:], score[:-1], out=last[:-1])
    ends = last.nonzero()[0]
    if weight is None:
        hits = positive.cumsum()[ends].astype(np.float64)
        seen = (ends + 1).astype(np.float64)
    else:
        weight = weight[order]
        hits, seen = (weight * positive).cumsum()[ends], weight.cumsum()[ends]
    alarms = seen - hits if weight is None else (weight * ~positive).cumsum()[ends]
    if not len(hits) or hits[-1] <= 0 or alarms[-1] <= 0:
        return None
    if weight is not None:
        seen = hits + alarms
    tpr, fpr, precision = np.zeros(len(ends) + 1), np.zeros(len(ends) + 1), np.ones(len(ends) + 1)
    np.divide(hits, hits[-1], out=tpr[1:])
    np.divide(alarms, alarms[-1], out=fpr[1:])
    np.divide(hits, seen, out=precision[1:])
    gain = tpr[1:] - tpr[:-1]
    auc = float((fpr[1:] - fpr[:-1]) @ (tpr[1:] + tpr[:-1])) / 2
    average_precision = float(gain @ precision[1:])
    prevalence = float(hits[-1] / seen[-1])
    return Ranking(fpr, tpr, auc, precision[::-1], tpr[::-1], average_precision, prevalence)


def confusion(true: Codes, predicted: Codes, n: int, weight: Floats | None = None) -> Any:
    """How often each of ``n`` classes was taken for each: an array of shape (n, n), rows are the true ones."""
    counts = np.bincount(true * n + predicted, weights=weight, minlength=n * n)
    return counts.reshape(n, n)


@dataclass(slots=True)
class Calibration:
    """Per bin in use: mean probability, fraction of positives, samples (or their weights)."""

    predicted: Floats
    observed: Floats
    counts: Any
    brier_score: float


def calibrate(positive: NDArray[np.bool_], probability: Floats, weight: Floats | None = None) -> Calibration:
    """How often the positive class came true where it was given a probability, in bins of equal width."""
    place = np.searchsorted(np.linspace(0.0, 1.0, BINS + 1)[1:-1], probability)
    ones = np.ones(len(place)) if weight is None else weight
    counts = np.bincount(place, weights=ones, minlength=BINS)
    used = counts > 0
    counts = counts[used]
    predicted = np.bincount(place, weights=ones * probability, minlength=BINS)[used] / counts
    observed = np.bincount(place, weights=ones * positive, minlength=BINS)[used] / counts
    miss = probability - positive
    return Calibration(predicted, observed, counts, float(ones @ (miss * miss) / ones.sum()))


@dataclass(slots=True)
class Seen:
    """What plots are made of: predictions, and how the plots are to be called.

    Parameters
    ----------
    task : ``"classifier"`` or ``"regressor"``.
    y_true, y_pred : labels or values of shape (n_samples,) or (n_samples, n_outputs).
    probabilities : of shape (n_samples, n_classes), or None.
    decisions : of shape (n_samples,) or (n_samples, n_classes), or None: what ranks samples without probabilities.
    classes : labels of the columns, or None.
    sample_weight : of shape (n_samples,), or None.
    pos_label : which of two classes is the positive one; the second where it is None or none of them.
    subtitle : whose predictions for what.
    metrics : known scores, by name.
    """

    task: str
    y_true: Any
    y_pred: Any
    probabilities: Any = None
    decisions: Any = None
    classes: Any = None
    sample_weight: Any = None
    pos_label: Any = None
    subtitle: str = ""
    metrics: Mapping[str, float] | None = None


Attempt = Callable[[str, str], shield]


def _shielded(_subject: str, doing: str) -> shield:
    return shield(doing)


def plots(seen: Seen, prefix: str = "", attempt: Attempt = _shielded) -> dict[str, Plot]:
    """Every plot these predictions allow, by name. One that fails is told and costs none of the others.

    Parameters
    ----------
    prefix : stands before each name.
    attempt : the shield for one plot, made of what is recorded and of what may fail.
    """
    found: dict[str, Plot] = {}
    if seen.y_true is None or seen.y_pred is None:
        return found
    for subject, make in _MAKERS.get(seen.task, {}).items():
        with attempt(f"{prefix}{subject}", f"work out the plot of the {subject}"), np.errstate(all="ignore"):
            for name, plot in make(seen):
                found[prefix + name] = plot
    return found


def _confusion_matrix(seen: Seen) -> Iterable[tuple[str, Plot]]:
    if np.ndim(seen.y_true) != 1 or np.ndim(seen.y_pred) != 1:
        return
    labels, true, predicted = codes_of(seen.y_true, seen.y_pred, seen.classes)
    weight = weights_of(seen.sample_weight, len(true))
    n, names, note = len(labels), labels.tolist(), ""
    if n > data.MATRIX_CLASSES + 1:
        # Before the counts are: a thousand classes would make a million of them.
        frequency = np.bincount(true, minlength=n) + np.bincount(predicted, minlength=n)
        kept = _most_frequent(frequency, data.MATRIX_CLASSES)
        group = np.full(n, len(kept))
        group[kept] = np.arange(len(kept))
        true, predicted = group[true], group[predicted]
        names = [names[place] for place in kept] + [data.OTHER]
        note = f"the {len(kept)} most frequent of {n:,} classes, the others together"
    if weight is not None:
        note = f"{note}; sums of sample weights" if note else "sums of sample weights"
    counts = confusion(true, predicted, len(names), weight)
    yield "confusion_matrix", data.confusion_matrix(counts, names, subtitle=seen.subtitle, note=note)


def _rankings(seen: Seen) -> Iterable[tuple[str, Plot]]:
    score = seen.probabilities if seen.probabilities is not None else seen.decisions
    true = np.asarray(seen.y_true)
    if score is None or not len(true):
        return
    score = np.asarray(score).astype(np.float64, copy=False)
    if len(score) != len(true) or not np.isfinite(score).all():
        return
    weight = weights_of(seen.sample_weight, len(true))
    positive, note = None, ""
    chosen: list[tuple[Any, NDArray[np.bool_], Floats]] = []
    if true.ndim == 2:
        if true.shape != score.shape or not ((true == 0) | (true == 1)).all():
            return
        flags, names = true.astype(bool), _labels(seen.classes, true.shape[1])
        kept = _most_frequent(flags.sum(axis=0), data.CLASSES)
        note = "each label by itself" + _cut(len(kept), true.shape[1], "labels")
        chosen = [(names[k], flags[:, k], score[:, k]) for k in kept]
    else:
        place = _places(true, seen.classes)
        if place is None:
            return
        n = len(seen.classes)
        if n == 2:
            k = _positive(seen)
            column = score[:, k] if score.ndim == 2 else score if k == 1 else -score
            positive = seen.classes[k]
            chosen = [("", place == k, column)]
        elif n > 2 and score.ndim == 2 and score.shape[1] == n:
            kept = np.arange(n) if n <= data.CLASSES else _most_frequent(np.bincount(place, minlength=n), data.CLASSES)
            note = "each class against the rest" + _cut(len(kept), n, "classes")
            chosen = [(seen.classes[k], place == k, score[:, k]) for k in kept.tolist()]
    ranked = [(name, found) for name, flag, column in chosen if (found := rank(flag, column, weight)) is not None]
    if not ranked:
        return
    absent = len(chosen) - len(ranked)
    if absent:
        note += f"; {absent} left out, of which the data has all or nothing"
    common: dict[str, Any] = {"subtitle": seen.subtitle, "note": note, "positive": positive}
    series = [Series(data.label(name), found.fpr, found.tpr, facts={"auc": found.auc}) for name, found in ranked]
    yield "roc_curve", data.roc_curve(series, **common)
    series = [
        Series(
            data.label(name),
            found.recall,
            found.precision,
            facts={"average_precision": found.average_precision, "prevalence": found.prevalence},
        )
        for name, found in ranked
    ]
    yield "precision_recall_curve", data.precision_recall_curve(series, **common)


def _calibration(seen: Seen) -> Iterable[tuple[str, Plot]]:
    probabilities, true = seen.probabilities, np.asarray(seen.y_true)
    if probabilities is None or seen.classes is None or len(seen.classes) != 2 or true.ndim != 1 or not len(true):
        return
    place = _places(true, seen.classes)
    k = _positive(seen)
    probability = np.asarray(probabilities).astype(np.float64, copy=False)[:, k]
    if place is None or not np.isfinite(probability).all():
        return
    found = calibrate(place == k, probability, weights_of(seen.sample_weight, len(true)))
    plot = data.calibration_curve(
        found.predicted,
        found.observed,
        found.counts,
        bins=BINS,
        positive=seen.classes[k],
        brier=found.brier_score,
        subtitle=seen.subtitle,
    )
    yield "calibration_curve", plot


def _errors(seen: Seen) -> Iterable[tuple[str, Plot]]:
    true, predicted = np.asarray(seen.y_true, dtype=np.float64), np.asarray(seen.y_pred, dtype=np.float64)
    if true.shape != predicted.shape or true.ndim not in (1, 2) or not len(true):
        return
    if true.ndim == 1:
        outputs, known = [("", "", true, predicted)], seen.metrics or {}
    else:
        n = true.shape[1]
        outputs, known = [(f"_{k}", f", output {k}", true[:, k], predicted[:, k]) for k in range(min(n, OUTPUTS))], {}
    facts = {name: known[name] for name in ("r2_score", "root_mean_squared_error") if name in known}
    note = "" if true.ndim == 1 or true.shape[1] <= OUTPUTS else f"the first {OUTPUTS} of {true.shape[1]} outputs"
    for suffix, said, actual, guess in outputs:
        common = {"subtitle": seen.subtitle + said, "note": note}
        yield "residuals" + suffix, data.residuals(guess, actual - guess, **common)
        yield "predicted_vs_actual" + suffix, data.predicted_vs_actual(actual, guess, facts=facts, **common)


_MAKERS: Final[dict[str, dict[str, Callable[[Seen], Iterable[tuple[str, Plot]]]]]] = {
    "classifier": {
        "confusion_matrix": _confusion_matrix,
        "roc_curve": _rankings,
        "calibration_curve": _calibration,
    },
    "regressor": {"residuals": _errors},
}
"""Task → what fails together → the plots."""


def _positive(seen: Seen) -> int:
    """Which of two classes is the positive one."""
    if seen.pos_label is None:
        return 1
    return 0 if seen.classes[0] == seen.pos_label else 1


def _places(true: NDArray[Any], classes: Any) -> Codes | None:
    """The column of each label; ``None`` where the model does not know them all."""
    if classes is None or not len(classes):
        return None
    last = len(classes) - 1
    place = np.minimum(np.searchsorted(classes, true), last)
    if (classes[place] == true).all():
        return place
    order = np.argsort(classes, kind="stable")  # not every library sorts them
    place = order[np.minimum(np.searchsorted(classes, true, sorter=order), last)]
    return place if (classes[place] == true).all() else None


def _labels(classes: Any, n: int) -> list[Any]:
    return list(classes) if classes is not None and len(classes) == n else [f"label {k}" for k in range(n)]


def _most_frequent(counts: Any, most: int) -> Any:
    """The places of the largest counts, in the order in which they stand."""
    return np.sort(np.argsort(-np.asarray(counts), kind="stable")[:most])


def _cut(kept: int, n: int, what: str) -> str:
    return f"; the {kept} most frequent of {n:,} {what}" if kept < n else ""
