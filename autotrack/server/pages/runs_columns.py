"""The columns of a table of runs: which there are, which suit the runs at hand, and what stands in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from autotrack.entities import Run
from autotrack.events import number_to_json
from autotrack.query.view import by_interest, is_about_the_fit
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.stores.paging import Names

Kind = Literal["number", "text", "time", "seconds", "status"]

NOTE_TAG: Final = "mlflow.note.content"
SYSTEM_TAGS: Final = "mlflow."

_METRICS: Final = 4
_PARAMS: Final = 4
_PLAIN: Final = 40
"""A param of which all values are shorter is worth a column unasked."""

_DULL: Final = ("verbose", "n_jobs")
"""Params that change nothing of a model."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; ``field`` is what the filter language calls it, empty for one that cannot be sorted by."""

    id: str
    label: str
    kind: Kind
    field: str
    group: str = ""

    @property
    def downwards_first(self) -> bool:
        """Whether the first click on its header asks for the greatest first."""
        return self.kind in ("number", "time", "seconds")


NAME: Final = Column("name", "Run", "text", "run_name")
BUILT_IN: Final[dict[str, tuple[Column, Callable[[Run], Any]]]] = {
    column.id: (column, value)
    for column, value in (
        (Column("status", "Status", "status", "status"), lambda run: run.status),
        (Column("start_time", "Started", "time", "start_time"), lambda run: run.start_time),
        (Column("end_time", "Ended", "time", "end_time"), lambda run: run.end_time),
        (Column("duration", "Took", "seconds", "duration"), lambda run: run.duration),
        (Column("experiment", "Experiment", "text", "experiment"), lambda run: run.experiment),
        (Column("dataset", "Data", "text", ""), lambda run: _datasets(run)),
        (Column("note", "Note", "text", f'tags."{NOTE_TAG}"'), lambda run: run.tags.get(NOTE_TAG)),
        (Column("user", "User", "text", "user"), lambda run: _fact(run, "user")),
        (Column("script", "Script", "text", "script"), lambda run: _fact(run, "script")),
        (Column("error", "Error", "text", "error"), lambda run: _last_line(run.error)),
        (Column("run_id", "Id", "text", "run_id"), lambda run: run.run_id),
    )
}
_ENTITIES: Final[dict[str, Kind]] = {"metrics": "number", "params": "text", "tags": "text"}


def column(identity: str) -> Column:
    """The column of an id: ``"status"``, ``"metrics.rmse"``.

    Raises
    ------
    Problem
        When there can be none.
    """
    if identity == NAME.id:
        return NAME
    if identity in BUILT_IN:
        return BUILT_IN[identity][0]
    entity, _, key = identity.partition(".")
    if entity not in _ENTITIES or not key:
        known = ", ".join(BUILT_IN)
        raise Problem(
            problems.INVALID,
            f"there is no column {identity[:100]!r}: expected {known}, or metrics.NAME, params.NAME, tags.NAME",
        )
    quoted = key.replace('"', '""')
    return Column(identity, key, _ENTITIES[entity], f'{entity}."{quoted}"', entity)


def order(sort: str) -> str:
    """A key to sort by (a column's id, ``-`` before it for downwards) as stores want it.

    Raises
    ------
    Problem
        When there is no such column, or runs cannot be sorted by it.
    """
    found = column(sort.removeprefix("-"))
    if not found.field:
        raise Problem(problems.INVALID, f"runs cannot be sorted by {found.label}")
    return f"{found.field} DESC" if sort.startswith("-") else found.field


def value(run: Run, column: Column) -> Any:
    """What stands in a column, as JSON carries it; ``None`` for nothing."""
    if not column.group:
        return BUILT_IN[column.id][1](run)
    if column.group == "metrics":
        found = run.metrics.get(column.label)
        return None if found is None else number_to_json(found)
    return (run.params if column.group == "params" else run.tags).get(column.label)


def suiting(runs: Sequence[Run], *, with_experiment: bool) -> list[str]:
    """The ids of the columns that tell these runs apart best."""
    chosen = ["status", "start_time", "duration", *_telling_metrics(runs), *_differing_params(runs)]
    if any(run.datasets for run in runs):
        chosen.append("dataset")
    if any(run.tags.get(NOTE_TAG) for run in runs):
        chosen.append("note")
    if with_experiment:
        chosen.append("experiment")
    return chosen


def offered(names: Names) -> list[dict[str, str]]:
    """All columns that can be chosen, as JSON types."""
    found = [column for column, _ in BUILT_IN.values()]
    found += [column(f"metrics.{key}") for key in by_interest(names.metrics)]
    found += [column(f"params.{key}") for key in names.params]
    found += [column(f"tags.{key}") for key in names.tags if key != NOTE_TAG]
    return [{"id": one.id, "label": one.label, "group": one.group or "run"} for one in found]


def _telling_metrics(runs: Sequence[Run]) -> list[str]:
    counts = Counter(key for run in runs for key in run.metrics if not is_about_the_fit(key))
    interest = {key: number for number, key in enumerate(by_interest(counts))}

    def rank(key: str) -> tuple[bool, int, int]:
        return (key.startswith("training_"), -counts[key], interest[key])

    return [f"metrics.{key}" for key in sorted(counts, key=rank)[:_METRICS]]


def _differing_params(runs: Sequence[Run]) -> list[str]:
    values: dict[str, list[str]] = {}
    for run in runs:
        for key, text in run.params.items():
            values.setdefault(key, []).append(text)
    differing = {
        key: len(found)
        for key, found in values.items()
        if key.rpartition("__")[2] not in _DULL
        and len(set(found)) > 1
        and all(len(text) < _PLAIN and not _is_an_object(text) for text in found)
    }
    # What most runs have comes first; of nested ones ("svc__C") and others as they are spelled.
    return [f"params.{key}" for key in sorted(differing, key=lambda key: (-differing[key], key))[:_PARAMS]]


def _is_an_object(text: str) -> bool:
    return text.endswith((")", "]", "}", ">")) or "object at 0x" in text


def _datasets(run: Run) -> str | None:
    names: dict[str, str] = {}
    for dataset in run.datasets:
        rows = dataset.shape[0] if dataset.shape else None
        shape = "" if rows is None else f" {rows:,}" + (f" × {dataset.shape[1]}" if len(dataset.shape) > 1 else "")
        names.setdefault(dataset.name or "unnamed", f"{dataset.name or 'unnamed'}{shape}")
    return ", ".join(names.values()) or None


def _fact(run: Run, key: str) -> str | None:
    found = run.process.get(key)
    return found if isinstance(found, str) and found else None


def _last_line(error: str | None) -> str | None:
    from autotrack.query.view import last_line

    return last_line(error) if error else None
