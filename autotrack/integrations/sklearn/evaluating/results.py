"""What a metric gives that is no number: reports, matrices, curves and one value per class become files of the run.

``metrics/{metric}[-{n}]_{dataset}.txt`` holds a text as it is; ``….json`` holds
``{"metric", "dataset", "call", "result"}``, where the result is a list, or a mapping for those that have several parts
with names. NaN and infinities are the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from autotrack.capture.recorder import RunRecorder
from autotrack.capture.worker import PAUSE
from autotrack.entities import SKIPPED
from autotrack.events import number_to_json
from autotrack.integrations.base import Call
from autotrack.integrations.sklearn.evaluating.predictions import Origin

FOLDER: Final = "metrics"

_MOST_NUMBERS: Final = 50_000
"""So many numbers of one result are kept; as JSON they are about a megabyte."""

_PARTS: Final[Mapping[str, Sequence[str]]] = {
    "calibration_curve": ("prob_true", "prob_pred"),
    "class_likelihood_ratios": ("positive", "negative"),
    "confusion_matrix_at_thresholds": ("tns", "fps", "fns", "tps", "thresholds"),
    "det_curve": ("fpr", "fnr", "thresholds"),
    "homogeneity_completeness_v_measure": ("homogeneity", "completeness", "v_measure"),
    "precision_recall_curve": ("precision", "recall", "thresholds"),
    "precision_recall_fscore_support": ("precision", "recall", "f_score", "support"),
    "roc_curve": ("fpr", "tpr", "thresholds"),
}
"""The names of what a function gives back as a tuple."""


def record(call: Call, name: str, value: Any, origin: Origin, command: str) -> None:
    """Have a result written among the artifacts of the run, and drawn as data where it is a curve or a matrix."""
    run = origin.fitted.run
    dataset = f"{origin.dataset}-part" if origin.part else origin.dataset
    key = origin.fitted.key(name, dataset, "part result" if origin.part else "result")
    tasks: list[Callable[[], None]] = []
    path = f"{FOLDER}/{key}"
    kept = _own(value)
    size = _numbers(kept)
    if size is None:
        run.note(SKIPPED, name, f"{command} gave a {type(value).__name__}, which is not kept")
    elif size > _MOST_NUMBERS:
        run.note(SKIPPED, name, f"{command} gave {size:,} numbers; up to {_MOST_NUMBERS:,} are kept")
    elif isinstance(kept, str):
        text = kept.encode("utf-8", "surrogatepass")
        tasks.append(lambda: run.artifact(f"{path}.txt", text))
    else:
        about = {"metric": name, "dataset": dataset, "call": command}
        tasks.append(lambda: run.artifact(f"{path}.json", _to_json(about, name, kept)))
    plot = _PLOTS.get(name) if run.session.settings.log_plots else None
    if plot is not None and size is not None:
        more = _labels(call, value) if plot is _confusion_matrix else call.argument("pos_label")
        subtitle = f"{run.name}, {dataset}"
        tasks.append(lambda: _write_plot(run, key, plot(kept, more, subtitle)))

    def write() -> None:
        with run.attempt(name, f"write the result of {name}"):
            for task in tasks:
                task()
        run.flush()

    run.flush()
    if tasks:
        run.session.worker.submit(write, delay=PAUSE)


def _own(value: Any) -> Any:
    """A copy of a result that the user's program cannot change; arrays stay arrays."""
    if isinstance(value, np.ndarray):
        return np.array(value)
    if isinstance(value, Mapping):
        return {str(key): _own(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_own(inner) for inner in value]
    if hasattr(value, "to_numpy"):
        return np.array(value.to_numpy())
    if not isinstance(value, (str, int, float, bool, np.generic, type(None))) and hasattr(value, "__array__"):
        return np.array(value)
    return value


def _numbers(value: Any) -> int | None:
    """How many numbers a result holds (letters count a tenth), ``None`` where it holds what JSON has no form for."""
    if isinstance(value, np.ndarray):
        return value.size if value.dtype.kind in "biufOUS" else None
    if isinstance(value, (dict, list)):
        counts = [_numbers(inner) for inner in (value.values() if isinstance(value, dict) else value)]
        return None if any(count is None for count in counts) else sum(filter(None, counts))
    if isinstance(value, str):
        return len(value) // 10
    return 1 if value is None or isinstance(value, (int, float, np.generic)) else None


def _to_json(about: Mapping[str, str], name: str, value: Any) -> bytes:
    parts = _PARTS.get(name)
    if parts is not None and isinstance(value, list) and len(parts) == len(value):
        value = dict(zip(parts, value, strict=True))
    return json.dumps({**about, "result": _plain(value)}, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, float):
        return number_to_json(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, (str, int)) else str(value)


def _labels(call: Call, matrix: Any) -> list[Any]:
    """The classes of a confusion matrix, as scikit-learn orders them."""
    labels = call.argument("labels")
    if labels is None:
        from sklearn.utils.multiclass import unique_labels

        labels = unique_labels(call.argument("y_true"), call.argument("y_pred"))
    named = list(np.asarray(labels).tolist())
    return named if len(named) == len(matrix) else list(range(len(matrix)))


def _write_plot(run: RunRecorder, key: str, plot: Any) -> None:
    from autotrack.plots import files

    run.artifact(files.path_of(key), files.to_json({key: plot}))


def _confusion_matrix(counts: Any, labels: Any, subtitle: str) -> Any:
    from autotrack.plots import data

    return data.confusion_matrix(counts, labels, subtitle=subtitle)


def _roc_curve(curve: Any, positive: Any, subtitle: str) -> Any:
    from autotrack.plots import data

    fpr, tpr, _ = curve
    return data.roc_curve([data.Series("", fpr, tpr)], subtitle=subtitle, positive=positive)


def _precision_recall_curve(curve: Any, positive: Any, subtitle: str) -> Any:
    from autotrack.plots import data

    precision, recall, _ = curve
    # It begins at the lowest threshold, where all are taken for positive.
    facts = {"prevalence": precision[0]} if len(precision) and recall[0] == 1 else {}
    line = data.Series("", recall, precision, facts=facts)
    return data.precision_recall_curve([line], subtitle=subtitle, positive=positive)


def _det_curve(curve: Any, positive: Any, subtitle: str) -> Any:
    from autotrack.plots import data

    fpr, fnr, _ = curve
    return data.lines(
        [data.Series("", fpr, fnr)],
        xlabel="false positive rate",
        ylabel="false negative rate",
        title="Detection error tradeoff",
        subtitle=subtitle,
    )


def _calibration_curve(curve: Any, positive: Any, subtitle: str) -> Any:
    from autotrack.plots import data

    observed, predicted = curve
    return data.calibration_curve(predicted, observed, positive=positive, subtitle=subtitle)


_PLOTS: Final[Mapping[str, Callable[[Any, Any, str], Any]]] = {
    "calibration_curve": _calibration_curve,
    "confusion_matrix": _confusion_matrix,
    "det_curve": _det_curve,
    "precision_recall_curve": _precision_recall_curve,
    "roc_curve": _roc_curve,
}
