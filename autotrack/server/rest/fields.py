"""Fields that several messages have; those of a whole run's params, tags and metrics are read by tight loops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from autotrack.entities import FAILED, FINISHED, KILLED, RUNNING, Metric
from autotrack.server.rest.parsing import MAX_INT64, Field, integer, items, missing, real, shown, text, whole, wrong
from autotrack.stores.base import ACTIVE_RUNS, ALL_RUNS, DELETED_RUNS, View

LONGEST_KEY: Final = 250
"""Characters of a param's, tag's or metric's name, as MLflow has it."""
LONGEST_EXPERIMENT: Final = 500
LONGEST_FILTER: Final = 200_000

STATUSES: Final = {RUNNING: 1, "SCHEDULED": 2, FINISHED: 3, FAILED: 4, KILLED: 5}
VIEWS: Final = {"ACTIVE_ONLY": 1, "DELETED_ONLY": 2, "ALL": 3}
VIEW_OF: Final[Mapping[str | None, View]] = {
    None: ACTIVE_RUNS,
    "ACTIVE_ONLY": ACTIVE_RUNS,
    "DELETED_ONLY": DELETED_RUNS,
    "ALL": ALL_RUNS,
}

RUN_ID: Final = text("run_id", needed=True, aliases=("run_uuid",))
EXPERIMENT_ID: Final = text("experiment_id", needed=True)
KEY: Final = text("key", needed=True, most=LONGEST_KEY)
PAGE_TOKEN: Final = text("page_token")
FILTER: Final = text("filter", most=LONGEST_FILTER)


def tags(name: str = "tags") -> Field:
    """A list of pairs of ``key`` and ``value``, read as a mapping; the last of two with one key stays."""
    return Field(name, read_pairs, _PAIRS, many=True)


def params(name: str = "params") -> Field:
    """As `tags`; two with one key and different values are refused."""
    return Field(name, _read_params, _PAIRS, many=True)


def metrics(name: str = "metrics") -> Field:
    """A list of points of metrics, each read as a `Metric` and `told_of_model`."""
    return Field(name, _read_metrics, _METRICS, many=True)


def _read_params(value: Any, place: str) -> dict[str, str]:
    found = read_pairs(value, place)
    if len(found) != len(value):
        for position, item in enumerate(value):
            if found[item["key"]] != (item.get("value") or ""):
                hint = f"it is given twice, also as {shown(found[item['key']])}"
                raise wrong(f"{place}[{position}].key", item["key"], hint)
    return found


def read_pairs(value: Any, place: str) -> dict[str, str]:
    """A list of objects with ``key`` and ``value``, both texts.

    Raises
    ------
    Problem
        For anything else, and for keys that are empty or too long.
    """
    found: dict[str, str] = {}
    for item in items(value, place):
        if type(item) is dict:
            key, content = item.get("key"), item.get("value")
            if content is None:
                content = ""
            if type(key) is str and type(content) is str and 0 < len(key) <= LONGEST_KEY:
                found[key] = content
                continue
        raise _wrong_pair(value, place)
    return found


def _wrong_pair(value: list[Any], place: str) -> Exception:
    """What is wrong with the first pair that is."""
    for position, item in enumerate(value):
        here = f"{place}[{position}]"
        if type(item) is not dict:
            return wrong(here, item, "it is an object with key and value")
        problem = _wrong_key(item.get("key"), here)
        if problem is not None:
            return problem
        content = item.get("value")
        if content is not None and type(content) is not str:
            return wrong(f"{here}.value", content, "it is text")
    return wrong(place, value, "it is a list of objects with key and value")


def _wrong_key(key: Any, place: str) -> Exception | None:
    if key is None or key == "":
        return missing(f"{place}.key")
    if type(key) is not str:
        return wrong(f"{place}.key", key, "it is text")
    if len(key) > LONGEST_KEY:
        return wrong(f"{place}.key", key, f"it has {len(key):,} characters and may have {LONGEST_KEY}")
    return None


def _read_metrics(value: Any, place: str) -> list[tuple[Metric, dict[str, Any] | None]]:
    found: list[tuple[Metric, dict[str, Any] | None]] = []
    for position, item in enumerate(items(value, place)):
        if type(item) is dict:
            get = item.get
            key, number, time, step = get("key"), get("value"), get("timestamp"), get("step", 0)
            if (
                type(number) is float
                and type(time) is int
                and type(step) is int
                and type(key) is str
                and 0 < len(key) <= LONGEST_KEY
                and 0 <= time <= MAX_INT64
                and -MAX_INT64 <= step <= MAX_INT64
            ):
                metric = Metric(key, number, step, time)
            else:
                metric = read_metric(item, f"{place}[{position}]")
            found.append((metric, told_of_model(item, metric) if "model_id" in item else None))
        else:
            raise wrong(f"{place}[{position}]", item, "it is an object with key, value, timestamp and step")
    return found


def read_metric(item: Mapping[str, Any], place: str) -> Metric:
    """A point of a metric.

    Raises
    ------
    Problem
        When it is none.
    """
    here = f"{place}." if place else ""
    key, value, time, step = (item.get(name) for name in ("key", "value", "timestamp", "step"))
    problem = _wrong_key(key, place) if place else _wrong_key(key, "metric")
    if problem is not None:
        raise problem
    if value is None:
        raise missing(f"{here}value")
    number = real(value)
    if number is None:
        raise wrong(f"{here}value", value, 'it is a number, "NaN", "Infinity" or "-Infinity"')
    if time is None:
        raise missing(f"{here}timestamp")
    timestamp = whole(time)
    if timestamp is None or timestamp < 0:
        raise wrong(f"{here}timestamp", time, "it is a whole number of milliseconds since 1970")
    place_in_order = 0 if step is None else whole(step)
    if place_in_order is None:
        raise wrong(f"{here}step", step, "it is a whole number of 64 bits")
    return Metric(str(key), number, place_in_order, timestamp)


def told_of_model(item: Mapping[str, Any], metric: Metric) -> dict[str, Any] | None:
    """Which model and data a metric was logged for, ``None`` where it is of the run alone."""
    model_id = item.get("model_id")
    if not isinstance(model_id, str) or not model_id:
        return None
    told = {"model_id": model_id}
    for name in ("dataset_name", "dataset_digest"):
        if isinstance(item.get(name), str) and item[name]:
            told[name] = item[name]
    return told


_PAIRS: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"key": {"type": "string", "maxLength": LONGEST_KEY}, "value": {"type": "string"}},
        "required": ["key"],
    },
}
_METRICS: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "key": {"type": "string", "maxLength": LONGEST_KEY},
            "value": {"type": ["number", "string"]},
            "timestamp": dict(integer("timestamp", least=0).schema),
            "step": dict(integer("step").schema),
        },
        "required": ["key", "value", "timestamp"],
    },
}
