"""The metrics of a run as a table: a row per metric, a column per set of data, the training data last."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from autotrack.entities import Run
from autotrack.events import number_to_json
from autotrack.query.direction import direction
from autotrack.query.view import is_about_the_fit

TRAINING: Final = "training"
_BEFORE: Final = f"{TRAINING}_"
_BINARY: Final = "_binary"
_FIRST: Final = (
    "roc_auc",
    "average_precision",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_binary",
    "log_loss",
    "r2",
    "root_mean_squared_error",
    "mean_absolute_error",
    "mean_squared_error",
    "score",
    "precision",
    "recall",
)
"""The metrics that say most come first; the others follow by name."""

_COUNTED: Final = re.compile(r"(?P<name>.+?)-(?P<call>\d+)")
_NAMED: Final = re.compile(
    r"(?P<name>[A-Za-z0-9_]*?(?:_score|_error|_loss|_deviance|_coef|_auc|_distance|_measure))(?:-(?P<call>\d+))?"
    r"_(?P<data>(?!score|error|loss|binary).+)"
)
_FOLDS: Final = re.compile(r"(?P<what>mean|std|split)_(?P<of>test|train)_(?P<name>.+)")
_LARGE: Final = 6


class Place(NamedTuple):
    """Where a metric stands: ``name`` of the row, ``data`` of the column, ``call`` counted from 1."""

    name: str
    data: str
    call: int = 1


def place(key: str, datasets: Sequence[str], estimator: str = "", info: Mapping[str, str] | None = None) -> Place:
    """What a metric is about, by its key.

    Parameters
    ----------
    key : ``training_accuracy_score`` or ``accuracy_score-2_X_test``; others are of no data: ``data`` is empty.
    datasets : names of the data that the run saw.
    estimator : the class; its ``score`` is logged under it.
    info : how each metric was computed, as ``metric_info.json`` has it.
    """
    if key.startswith(_BEFORE):
        return Place(_short(key.removeprefix(_BEFORE)), TRAINING)
    head, data = "", ""
    for name in sorted(datasets, key=len, reverse=True):
        if name and key.endswith(f"_{name}") and len(key) > len(name) + 1:
            head, data = key[: -len(name) - 1], name
            break
    call = 1
    if counted := _COUNTED.fullmatch(head):
        head, call = counted["name"], int(counted["call"])
    if not data and (named := _NAMED.fullmatch(key)):
        head, data, call = named["name"], named["data"], int(named["call"] or 1)
    if not data:
        return Place(key, "")
    if estimator and head == f"{estimator}_score":
        return Place("score", data, call)
    name = _short(head)
    if name in ("f1", "precision", "recall"):
        averaged = re.search(r"average='?(\w+)", (info or {}).get(key, ""))
        kind = averaged[1] if averaged else "binary"
        name = name if kind == "weighted" else f"{name}_{kind}"
    return Place(name, data, call)


def _short(name: str) -> str:
    """Names that mean one thing: ``roc_auc`` is logged of the training data, ``roc_auc_score`` by the function."""
    if name.endswith(_BINARY):
        return _short(name.removesuffix(_BINARY)) + _BINARY
    return name.removesuffix("_score") or name


def table(run: Run, info: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The metrics of a run in three groups.

    Returns
    -------
    ``columns`` and ``rows`` of scores by data, ``folds`` of a cross-validation with mean and standard deviation,
    ``others`` that tell of the fit.
    """
    datasets = [data.name for data in run.datasets]
    estimator = run.tags.get("estimator_name", "")
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    columns: list[str] = []
    folds: dict[tuple[str, str], dict[str, Any]] = {}
    others: list[dict[str, Any]] = []
    for key, value in run.metrics.items():
        if fold := _FOLDS.fullmatch(key):
            row = folds.setdefault((fold["name"], fold["of"]), {"name": fold["name"], "of": fold["of"]})
            row[fold["what"]] = _cell(key, value)
            continue
        at = Place(key, "") if is_about_the_fit(key) else place(key, datasets, estimator, info)
        if not at.data:
            is_seconds = key.startswith("fit_seconds") or key.endswith("_time")
            others.append({"name": key, "is_seconds": is_seconds, **_cell(key, value)})
            continue
        if at.data not in columns:
            columns.append(at.data)
        row = rows.setdefault((at.name, at.call), {"name": at.name, "call": at.call, "cells": {}})
        row["cells"][at.data] = _cell(key, value)
    if not any(TRAINING in row["cells"] and len(row["cells"]) > 1 for row in rows.values()):
        _mend_binary(rows, columns)
    columns.sort(key=lambda name: (name == TRAINING, datasets.index(name) if name in datasets else 0, name))
    return {
        "columns": columns,
        "rows": sorted(rows.values(), key=_rank),
        "folds": [row for row in folds.values() if "mean" in row],
        "others": sorted(
            [*others, *(_alone(row) for row in folds.values() if "mean" not in row)],
            key=lambda row: (is_about_the_fit(row["name"]), row["name"]),
        ),
    }


def _mend_binary(rows: dict[tuple[str, int], dict[str, Any]], columns: Sequence[str]) -> None:
    """Without metrics of our own for the positive class, a plain ``f1`` is the only one to stand beside."""
    for name, call in list(rows):
        plain = (name.removesuffix(_BINARY), call)
        if name.endswith(_BINARY) and plain in rows and not set(rows[plain]["cells"]) & set(rows[name, call]["cells"]):
            rows[plain]["cells"] |= rows.pop((name, call))["cells"]


def _cell(key: str, value: float) -> dict[str, Any]:
    return {"key": key, "value": number_to_json(value), "direction": direction(key)}


def _alone(row: Mapping[str, Any]) -> dict[str, Any]:
    """A metric that looks like one of folds, and has no mean beside it."""
    cell = next(row[what] for what in ("split", "std") if what in row)
    return {"name": cell["key"], "is_seconds": False, **cell}


def _rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
    name = row["name"]
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name, row["call"])


def headline(found: Mapping[str, Any], run: Run) -> list[dict[str, Any]]:
    """The few metrics that stand large: of held-out data where there are any, of folds, else of the training data.

    Each has ``name``, ``key``, ``value``, ``data``, and ``training`` or ``std`` where known.
    """
    large: list[dict[str, Any]] = []
    for row in found["rows"]:
        training = row["cells"].get(TRAINING)
        for data, cell in row["cells"].items():
            if data != TRAINING:
                beside = training["value"] if training is not None else None
                large.append({"name": row["name"], "data": data, "training": beside, **cell})
    if "best_cv_score" in run.metrics:
        best = _cell("best_cv_score", run.metrics["best_cv_score"])
        large.insert(min(1, len(large)), {"name": "best mean score", "data": "folds", **best})
    for row in found["folds"]:
        if row["of"] == "test":
            std = row["std"]["value"] if "std" in row else None
            large.append({"name": f"mean {row['name']}", "data": "folds", "std": std, **row["mean"]})
    if not large:
        large = [
            {"name": row["name"], "data": TRAINING, **row["cells"][TRAINING]}
            for row in found["rows"]
            if TRAINING in row["cells"]
        ]
    if not large:
        others = [row for row in found["others"] if not row["is_seconds"]]
        large = [{"name": row["name"], "data": "", **row} for row in others]
    return large[:_LARGE]


def info_of(content: bytes) -> dict[str, str]:
    """What ``metric_info.json`` says; nothing where it is not what it should be."""
    try:
        known = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return {key: value for key, value in known.items() if isinstance(value, str)} if isinstance(known, dict) else {}
