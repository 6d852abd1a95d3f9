"""Params, metrics, tags and data of several runs: what differs, what is best, and how the runs are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from autotrack.entities import CANDIDATE, Dataset
from autotrack.events import number_to_json
from autotrack.query.comparing import Row, rows_of, values_of
from autotrack.query.direction import direction
from autotrack.query.text import shortened
from autotrack.query.view import RunView, is_about_the_fit

HELD_OUT: Final = "held-out"
TRAINING: Final = "training"
FIT: Final = "fit"

_SHORT: Final = 18
_LABEL: Final = 48
_HOLDERS: Final = ("steps", "transformers", "estimators", "transformer_list")


def differences(views: Sequence[RunView]) -> dict[str, Any]:
    """``params``, ``tags`` and ``metrics``, in rows with a value per run.

    Of params: what ``differs``; what only ``some`` runs have, with one value; what ``holds`` others and differs with
    them; what is ``equal``.
    """
    rows = [row for row in rows_of(views, True, facts=False) if (row.kind, row.key) != ("tags", CANDIDATE)]
    params = [row for row in rows if row.kind == "params"]
    holders = _holders(params) if len(views) > 1 else set()
    others = [row for row in params if row.differs and row.key not in holders]
    return {
        "params": {
            "differs": [_row(row) for row in others if _kinds(row) > 1],
            "some": [_row(row) for row in others if _kinds(row) == 1],
            "holds": [_row(row) for row in params if row.key in holders],
            "equal": {row.key: row.values[0] for row in params if not row.differs},
        },
        "metrics": [_metric(row) for row in rows if row.kind == "metrics"],
        "tags": {
            "differs": [_row(row) for row in rows if row.kind == "tags" and row.differs],
            "equal": {row.key: row.values[0] for row in rows if row.kind == "tags" and not row.differs},
        },
    }


class Labels:
    """How each run is called: by its name, and by what tells it from others of that name.

    Parameters
    ----------
    values : as `differences` gives them.
    """

    def __init__(self, views: Sequence[RunView], values: Mapping[str, Any]) -> None:
        names = [view.name or view.run_id[:8] for view in views]
        self._labels = [shortened(name, _LABEL) for name in names]
        for name in {name for name in names if names.count(name) > 1}:
            alike = [index for index, other in enumerate(names) if other == name]
            telling = _telling(alike, values["params"]["differs"])
            for index in alike:
                own = telling.get(index) or views[index].run_id[:6]
                # What all are called alike stands in the page's title.
                self._labels[index] = shortened(own if len(alike) == len(names) else f"{own} · {name}", _LABEL)

    def __getitem__(self, index: int) -> str:
        return self._labels[index]


def number_of(value: Any) -> float | None:
    """A param's value as a finite number, if it is one."""
    if value is None or (isinstance(value, str) and "_" in value):  # Python reads 1_000; nobody writes a param so
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number - number == 0 else None


def datasets(views: Sequence[RunView]) -> list[dict[str, Any]]:
    """For each name and context a row: the data of each run, and whether all runs that have it saw ``same`` content.

    ``same`` is ``None`` where that cannot be told: one run has it, or a digest is missing.
    """
    places: dict[tuple[str, str], list[Dataset | None]] = {}
    for index, view in enumerate(views):
        for dataset in view.datasets:
            row = places.setdefault((dataset.context, dataset.name), [None] * len(views))
            row[index] = dataset
    found = []
    for (context, name), row in places.items():
        digests = [dataset.digest for dataset in row if dataset is not None]
        known = len(digests) > 1 and all(digests)
        cells = [None if dataset is None else _dataset(dataset) for dataset in row]
        same = len(set(digests)) == 1 if known else None
        found.append({"name": name, "context": context, "same": same, "values": cells})
    return found


def _row(row: Row) -> dict[str, Any]:
    numbers = [number_of(value) for value in row.values if value is not None]
    return {
        "key": row.key,
        "values": list(row.values),
        "is_number": bool(numbers) and None not in numbers,
    }


def _kinds(row: Row) -> int:
    """How many values there are beside that there is none."""
    return len({value for value in row.values if value is not None})


def _metric(row: Row) -> dict[str, Any]:
    largest = max((abs(value) for value in row.values if value is not None and value - value == 0), default=0.0)
    top = max((row.values[index] for index in row.best), default=None)
    return {
        "key": row.key,
        "group": FIT if is_about_the_fit(row.key) else TRAINING if row.key.startswith("training_") else HELD_OUT,
        "direction": direction(row.key),
        "values": values_of(row),
        "best": sorted(row.best),
        "differs": row.differs,
        # Lengths of bars from 0; the largest absolute value is as long as a bar can be.
        "bars": [_share(value, largest) for value in row.values],
        "behind": [
            None if top is None or value is None or index in row.best else number_to_json(value - top)
            for index, value in enumerate(row.values)
        ],
    }


def _share(value: float | None, largest: float) -> float | None:
    if value is None or value - value != 0:
        return None
    return round(100 * abs(value) / largest, 2) if largest else 0.0


def _holders(params: Sequence[Row]) -> set[str]:
    """Params that differ only because they hold others that do: a pipeline's ``steps``, the estimators in it."""
    keys = {row.key for row in params if row.differs}
    found = set()
    for row in params:
        if not row.differs:
            continue
        prefix, _, name = row.key.rpartition("__")
        inside = f"{row.key}__"
        beside = f"{prefix}__" if prefix else ""
        if name in _HOLDERS:
            nested = any("__" in key[len(beside) :] for key in keys if key.startswith(beside))
        else:
            nested = any(key.startswith(inside) for key in keys)
        if nested and (
            name in _HOLDERS or len({value.partition("(")[0] for value in row.values if value is not None}) == 1
        ):
            found.add(row.key)
    return found


def _telling(alike: Sequence[int], rows: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """What tells these runs apart in the values of one param or two; nothing where no two do."""
    short = []
    for row in rows:
        values = [row["values"][index] for index in alike]
        if len(set(values)) > 1 and all(value is not None and len(value) <= _SHORT for value in values):
            short.append((row["key"].rpartition("__")[2], values))
    pairs = [[one] for one in short] + [[one, other] for at, one in enumerate(short) for other in short[at + 1 :]]
    for pair in pairs[:200]:
        texts = [", ".join(f"{key}={values[at]}" for key, values in pair) for at in range(len(alike))]
        if len(set(texts)) == len(texts):
            return dict(zip(alike, texts, strict=True))
    return {}


def _dataset(dataset: Dataset) -> dict[str, Any]:
    return {
        "kind": dataset.kind,
        "digest": dataset.digest,
        "shape": list(dataset.shape),
        "columns": len(dataset.columns),
    }
