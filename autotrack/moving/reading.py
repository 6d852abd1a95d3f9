"""Reading a whole store piece by piece, in terms of what every store answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from autotrack.entities import Artifact, Metric, Run
from autotrack.errors import RunNotFound, StoreError
from autotrack.stores.base import ACTIVE_RUNS, ALL_RUNS, Store, View, histories
from autotrack.stores.filters import parse_filter

PAGE: Final = 500
_DEEPEST: Final = 64


@dataclass(frozen=True, slots=True)
class Selection:
    """Which runs of a store are meant: those that a filter names, of one experiment, deleted ones too if asked for.

    Raises
    ------
    FilterError
        When the filter cannot be understood.
    """

    filter: str | None = None
    experiment: str | None = None
    deleted: bool = False

    def __post_init__(self) -> None:
        parse_filter(self.filter)  # the message points at the place in the text that the user wrote

    @property
    def view(self) -> View:
        """What a search is to look at."""
        return ALL_RUNS if self.deleted else ACTIVE_RUNS

    def pages(self, store: Store, size: int = PAGE) -> Iterator[list[Run]]:
        """The runs in the order of their ids, so many at a time: never all of them are in memory at once.

        Raises
        ------
        StoreError
            When the store does not keep to that order.
        """
        last: str | None = None
        while True:
            condition = None if last is None else f"run_id > {quoted(last)}"
            found = self._search(store, condition, size)
            if last is not None and any(run.run_id <= last for run in found):
                raise StoreError(
                    f"{store.uri} does not order runs by their ids: {found[0].run_id!r} came after {last!r}"
                )
            yield found
            if len(found) < size:
                return
            last = found[-1].run_id

    def one(self, store: Store, run_id: str) -> Run | None:
        """The run of this id, if it is one of those that are meant."""
        return next(iter(self._search(store, f"run_id = {quoted(run_id)}", 1)), None)

    def count(self, store: Store) -> int | None:
        """How many runs are meant, where that is known without looking at them."""
        if self.deleted or (self.filter or "").strip():
            return None
        counts = {experiment.name: experiment.run_count for experiment in store.experiments()}
        return sum(counts.values()) if self.experiment is None else counts.get(self.experiment, 0)

    def _search(self, store: Store, condition: str | None, limit: int) -> list[Run]:
        parts = [f"({self.filter})"] if self.filter and self.filter.strip() else []
        parts += [condition] if condition is not None else []
        return store.search_runs(
            " and ".join(parts) or None, ["run_id"], limit, experiment=self.experiment, view=self.view
        )


def quoted(text: str) -> str:
    """A text as a filter's literal."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Known:
    """Everything a store tells of one run. ``files`` are its artifacts by path, without folders."""

    run: Run
    points: dict[str, list[Metric]] = field(default_factory=dict)
    files: dict[str, Artifact] = field(default_factory=dict)


def known(store: Store, run: Run) -> Known:
    """All of a run.

    Raises
    ------
    AutotrackError
        When something of it cannot be read.
    """
    return Known(run, histories(store, run), {artifact.path: artifact for artifact in walk(store, run.run_id)})


def known_by_id(store: Store, run_id: str) -> Known | None:
    """All of the run of this id; ``None`` where there is none."""
    try:
        return known(store, store.get_run(run_id))
    except RunNotFound:
        return None


def walk(store: Store, run_id: str, folder: str = "", depth: int = 0) -> Iterator[Artifact]:
    """The files of a run, those in folders too.

    Raises
    ------
    StoreError
        When folders lie so deep in each other that one must be a link to one above it.
    """
    if depth > _DEEPEST:
        raise StoreError(f"the artifacts of run {run_id!r} are nested more than {_DEEPEST} deep: {folder!r:.200}")
    for artifact in store.artifacts(run_id, folder):
        if artifact.is_dir:
            yield from walk(store, run_id, artifact.path, depth + 1)
        else:
            yield artifact
