"""Runs out of a server: MLflow's records and our documents into `Run`, and filters into MLflow's own."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from autotrack.entities import LoggedModel, Metric, Run
from autotrack.stores.expressions import And, Comparison, Expression
from autotrack.stores.mlflow.data import MlflowDataset
from autotrack.stores.mlflow.recognition import run_from
from autotrack.stores.mlflow.rest.catalog import tags_of, texts_of
from autotrack.stores.mlflow.rest.client import Json
from autotrack.stores.mlflow.rest.document import Document, is_deleted
from autotrack.stores.mlflow.rest.projection import MAX_FLOAT, is_reserved, told_name
from autotrack.stores.state import Place

_PLAIN_KEY: Final = re.compile(r"[\w.\-/ :]{1,200}", re.ASCII)
_PLAIN_TEXT: Final = re.compile(r"[\w.\-/ :,;=+()\[\]{}@]{1,300}", re.ASCII)
_MOST_COMPARISONS: Final = 20


class Facts(Mapping[str, Any]):
    """The facts of a process, asked for when somebody looks at them; equal to a dict of them, and copied as one."""

    def __init__(self, ask: Callable[[], dict[str, Any]]) -> None:
        self._ask = ask
        self._facts: dict[str, Any] | None = None

    def _known(self) -> dict[str, Any]:
        if self._facts is None:
            self._facts = self._ask()
        return self._facts

    def __getitem__(self, key: str) -> Any:
        return self._known()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def __repr__(self) -> str:
        return repr(self._known())

    def __eq__(self, other: object) -> bool:
        return self._known() == other

    __hash__ = None  # type: ignore[assignment]

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        from copy import deepcopy

        return deepcopy(self._known(), memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, (self._known(),))


def run_of(native: Json, document: Document, process: Mapping[str, Any]) -> Run:
    """A run of ours from MLflow's record and its document."""
    kept = document.run
    hidden = document.hidden
    params = _without(texts_of(native, "params"), hidden.get("params", ())) | dict(kept.params)
    tags = {key: text for key, text in tags_of(native).items() if not is_reserved(key)}
    tags = _without(tags, hidden.get("tags", ())) | dict(kept.tags)
    metrics = {point.key: point.value for point in points_of(native)}
    metrics = _without(metrics, hidden.get("metrics", ())) | dict(kept.metrics)
    deleted = kept.deleted_time
    if is_deleted(native):
        deleted = next((time for time in (deleted, kept.end_time, kept.start_time) if time is not None), 0)
    else:
        deleted = None
    return replace(
        kept,
        name=told_name(kept, str(native["info"].get("run_name", "")), document.told),
        params=_sorted(params),
        metrics=_sorted(metrics),
        tags=_sorted(tags),
        process=process,
        deleted_time=deleted,
    )


def foreign_run(native: Json, experiment: str, models: Sequence[LoggedModel]) -> Run:
    """A run that MLflow's own clients made."""
    datasets = [_dataset(item) for item in native.get("inputs", {}).get("dataset_inputs", ())]
    return run_from(
        native["info"],
        experiment=experiment,
        params=texts_of(native, "params"),
        points=points_of(native),
        tags=tags_of(native),
        datasets=datasets,
        models=models,
    )


def age(native: Json, document: Document | None) -> tuple[bool, int, Place, str]:
    """As `RunState.age`."""
    if document is None:
        return (True, int(native["info"].get("start_time") or 0), Place("", 0), str(native["info"]["run_id"]))
    run = document.run
    if document.start is None or run.start_time is None:
        return (False, 0, Place("", 0), run.run_id)
    return (True, run.start_time, document.start, run.run_id)


def points_of(native: Json) -> list[Metric]:
    """The last points of a run's metrics."""
    return [point_of(item) for item in native.get("data", {}).get("metrics", ())]


def point_of(item: Mapping[str, Any]) -> Metric:
    """A point as the API gives it."""
    value = float(item.get("value", 0.0))
    if abs(value) == MAX_FLOAT:
        value = math.inf if value > 0 else -math.inf
    if value != value:
        value = math.nan  # one object, so that two runs that were read twice are equal
    return Metric(str(item["key"]), value, int(item.get("step", 0)), int(item.get("timestamp", 0)))


def _dataset(item: Json) -> MlflowDataset:
    dataset = item.get("dataset", {})
    return MlflowDataset(
        name=str(dataset.get("name", "")),
        digest=str(dataset.get("digest", "")),
        source_type=str(dataset.get("source_type", "")),
        source=str(dataset.get("source", "")),
        schema=dataset.get("schema"),
        profile=dataset.get("profile"),
        tags={str(tag["key"]): str(tag.get("value", "")) for tag in item.get("tags", ())},
    )


def pushed_down(expression: Expression | None) -> str:
    """A filter in MLflow's language that names every run which the expression names, and perhaps more.

    It holds for runs whose fields in MLflow are exactly ours. Blank where nothing of the expression can be said there.
    """
    parts = expression.parts if isinstance(expression, And) else (expression,) if expression is not None else ()
    told = [text for part in parts if isinstance(part, Comparison) and (text := _comparison(part))]
    return " and ".join(told[:_MOST_COMPARISONS])


def _comparison(part: Comparison) -> str:
    field, operator, value = part.field, part.operator, part.value
    if isinstance(value, tuple) or operator not in ("=", "<", "<=", ">", ">="):
        return ""
    if field.entity == "attribute":
        return _attribute(field.key, operator, value)
    if not _PLAIN_KEY.fullmatch(field.key) or is_reserved(field.key):
        return ""
    if field.entity == "metric" and not isinstance(value, str):
        number = _number(value)
        return f"metrics.`{field.key}` {operator} {number}" if number else ""
    if field.entity in ("param", "tag") and operator == "=" and isinstance(value, str) and _PLAIN_TEXT.fullmatch(value):
        return f"{field.entity}s.`{field.key}` = '{value}'"
    return ""


def _attribute(key: str, operator: str, value: str | int | float) -> str:
    if key in ("start_time", "end_time") and isinstance(value, int) and 0 < value < 10**15:
        # MLflow knows no runs without a start; those are read besides.
        return f"attributes.{key} {operator} {value}"
    if key == "status" and operator == "=" and value in ("FINISHED", "FAILED", "KILLED", "RUNNING"):
        return f"attributes.status = '{value}'"
    if key == "run_name" and operator == "=" and isinstance(value, str) and _PLAIN_TEXT.fullmatch(value):
        return f"attributes.run_name = '{value}'"
    return ""


def _number(value: int | float) -> str:
    """A number that MLflow's parser reads as this very one; blank for others."""
    text = repr(float(value))
    return text if re.fullmatch(r"[0-9]{1,15}\.[0-9]{1,17}", text) else ""


def _without(texts: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: text for key, text in texts.items() if key not in keys}


def _sorted(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {key: mapping[key] for key in sorted(mapping)}
