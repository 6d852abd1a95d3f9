"""Copying runs from one store into another: by difference, so that it may be broken off and repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from autotrack.entities import Run
from autotrack.errors import RunNotFound, StoreError
from autotrack.events import Entry
from autotrack.journal import new_journal_id
from autotrack.moving.differences import (
    Difference,
    changing_entries,
    described,
    difference,
    facts_entries,
    facts_key,
    new_entries,
    starting_entries,
)
from autotrack.moving.files import Carried, carry
from autotrack.moving.reading import Known, Selection, known, known_by_id
from autotrack.query.sources import StoreLike, reading
from autotrack.stores.base import Store, at_rest

BATCH_RUNS: Final = 64
BATCH_POINTS: Final = 20_000
_PATIENCE: Final = 20
"""So many runs that fail one after the other are a store that fails."""
_LONGEST_CHAIN: Final = 100
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something about one run, or about the copy where ``run_id`` is empty: ``message`` is a sentence."""

    run_id: str
    message: str


@dataclass(slots=True)
class CopyResult:
    """How a copy went.

    ``new`` runs were not in the target, ``updated`` ones differed, ``unchanged`` ones were up to date. ``failed`` names
    runs, or parts of them, that could not be carried over, ``remarks`` what the source itself lacks. ``files`` and
    ``size`` (bytes) are the artifacts that were copied.
    """

    new: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: list[Trouble] = field(default_factory=list)
    remarks: list[Trouble] = field(default_factory=list)
    files: int = 0
    size: int = 0
    gave_up: bool = False

    @property
    def seen(self) -> int:
        """How many runs are in the target now, for all that the source has of them."""
        return self.new + self.updated + self.unchanged


def copy_runs(
    source: StoreLike,
    target: StoreLike,
    filter: str | None = None,
    *,
    experiment: str | None = None,
    deleted: bool = False,
    progress: Callable[[CopyResult], None] | None = None,
) -> CopyResult:
    """Copy runs, with their histories and artifacts, from one store into another, under the same ids.

    It may be interrupted anywhere and called again; called again, it changes nothing. Where both stores have a value,
    the source's stands afterwards; what only the target has stays. Two calls at the same time are one.

    Parameters
    ----------
    source, target : a URI, a folder or an open store; ``None`` for the one in force.
    filter : which runs; see `autotrack.search_runs`. ``None`` for all.
    experiment : the name of the one experiment to copy.
    deleted : copy deleted runs too, as deleted ones.
    progress : called after each run.

    Raises
    ------
    FilterError
        When the filter cannot be understood.
    StoreError
        When a store cannot be opened, or both are the same. What is wrong with one run is told in the result.
    """
    with reading(source) as opened, reading(target) as to:
        copying = Copying(opened, to, Selection(filter, experiment, deleted), progress)
        copying.run()
        return copying.result


@dataclass(slots=True)
class _Waiting:
    """A run that the target does not have, with what makes it."""

    told: Difference
    entries: list[Entry]
    has_place: bool


class Copying:
    """One copy. ``result`` tells how far it came, also when it was interrupted.

    Raises
    ------
    StoreError
        When both stores are the same.
    """

    def __init__(
        self,
        source: Store,
        target: Store,
        selection: Selection,
        progress: Callable[[CopyResult], None] | None = None,
    ) -> None:
        if source.uri == target.uri:
            raise StoreError(f"{source.uri} is both the store to copy from and the one to copy to")
        self.result = CopyResult()
        self._source = source
        self._target = target
        self._selection = selection
        self.progress = progress
        self._ahead: set[str] = set()
        self._facts: dict[str, str] = {}
        self._waiting: list[_Waiting] = []
        self._failures = 0
        self._met: set[str] = set()

    def run(self) -> None:
        """Copy all runs that are selected.

        Raises
        ------
        AutotrackError
            When the source cannot be searched.
        """
        for page in self._selection.pages(self._source):
            with at_rest(self._source), at_rest(self._target):
                self._page(page)
            if self.result.gave_up:
                return
        self._flush()
        self._copy_experiments()

    def _page(self, page: Sequence[Run]) -> None:
        for run in page:
            if run.run_id in self._ahead:
                self._ahead.discard(run.run_id)
                continue
            for each in self._with_parents(run):
                self._met.add(each.experiment)
                self._guarded(each.run_id, partial(self._one, each))
            if self._failures >= _PATIENCE:
                self.result.gave_up = True
                return

    def _copy_experiments(self) -> None:
        """Tell the target what is known of the experiments themselves; those without runs are meant by no filter."""
        chosen = self._selection
        if chosen.filter and chosen.filter.strip():
            meant: Callable[[str], bool] = self._met.__contains__
        else:
            meant = lambda name: chosen.experiment in (None, name)  # noqa: E731
        wanted = {each.name: each.facts for each in self._source.experiments() if each.facts and meant(each.name)}
        if not wanted:
            return
        there = {each.name: each.facts for each in self._target.experiments()}
        told = described(wanted, there)
        if not told:
            return
        try:
            self._target.apply(told)
        except StoreError as error:
            self.result.remarks.append(Trouble("", f"what is told of the experiments was not copied: {error}"))

    def _with_parents(self, run: Run) -> list[Run]:
        """The run behind those that it is a child of and that have not been copied: runs come in the order of ids."""
        chain = [run]
        while len(chain) < _LONGEST_CHAIN:
            parent_id = chain[-1].parent_run_id
            if parent_id is None or parent_id <= run.run_id or parent_id in self._ahead:
                break
            parent = self._selection.one(self._source, parent_id)
            if parent is None or parent in chain:
                break
            chain.append(parent)
            self._ahead.add(parent_id)
        return chain[::-1]

    def _guarded(self, run_id: str, action: Callable[[], None]) -> None:
        """Do something with one run; if it fails, name it and go on with the others."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever a store of somebody's raises concerns this run only
            self._failures += 1
            self.result.failed.append(Trouble(run_id, _sentence(error)))
            self._tell()
        else:
            self._failures = 0

    def _one(self, run: Run) -> None:
        source = known(self._source, run)
        there = known_by_id(self._target, run.run_id)
        try:
            carried = self._carry(source, there)
        except RunNotFound:
            # This target keeps artifacts with the run: it has to know it first.
            if there is not None:
                raise
            self._target.apply(starting_entries(difference(source, None, {})))
            there = known_by_id(self._target, run.run_id)
            carried = self._carry(source, there)
            self._settle(source, None, carried, has_place=True)
            return
        self._settle(source, there, carried)

    def _carry(self, source: Known, there: Known | None) -> Carried:
        run_id = source.run.run_id
        return carry(
            self._source,
            source,
            self._target,
            there,
            lambda path, found: self._target.put_artifact(run_id, path, Path(found)),
        )

    def _settle(self, source: Known, there: Known | None, carried: Carried, has_place: bool = False) -> None:
        """Tell the target what it lacks, now or with the next batch."""
        run = source.run
        result = self.result
        result.files += carried.files
        result.size += carried.size
        told = difference(source, there, carried.logged)
        for what in carried.lost:
            result.remarks.append(Trouble(run.run_id, f"{what} is recorded and no longer in {self._source.uri}"))
        for what in carried.unreadable:
            result.failed.append(Trouble(run.run_id, f"not copied: {what}"))
        if run.broken and run.start_time is not None:
            result.remarks.append(Trouble(run.run_id, f"copied as far as it can be read: {run.broken}"))
        if there is not None:
            if told:
                self._change(source, told, carried)
            if told or carried.files:
                result.updated += 1
            else:
                result.unchanged += 1
            self._tell()
        elif told:
            self._facts_once(told)
            self._waiting.append(_Waiting(told, new_entries(told), has_place))
            points = sum(len(waiting.told.points) for waiting in self._waiting)
            if len(self._waiting) >= BATCH_RUNS or points >= BATCH_POINTS:
                self._flush()
        else:
            raise StoreError(f"nothing of it can be carried over: {run.broken or 'it is empty'}")

    def _facts_once(self, told: Difference) -> None:
        """Leave out facts of a process that were told with another of its runs."""
        if told.facts:
            key = facts_key(told)
            if self._facts.get(told.run.process_id) == key:
                told.facts = {}
            self._facts[told.run.process_id] = key

    def _flush(self) -> None:
        """Apply the runs that wait; one by one where they cannot be applied together."""
        waiting, self._waiting = self._waiting, []
        with at_rest(self._target):  # from now on: what others wrote since these were found missing counts
            if hasattr(self._target, "at_rest"):
                waiting = [each for each in waiting if not self._came_meanwhile(each)]
            entries = [entry for each in waiting for entry in (*facts_entries(each.told), *each.entries)]
            if entries:
                with suppress(Exception):  # the same again below, run by run, and then it is told
                    self._target.apply(entries)
            for each in waiting:
                self._guarded(each.told.run.run_id, partial(self._confirm, each))

    def _came_meanwhile(self, waiting: _Waiting) -> bool:
        """Whether somebody else put the run into the target; then it is compared again."""
        run = waiting.told.run
        if waiting.has_place or not self._has(run.run_id):
            return False
        self._guarded(run.run_id, partial(self._one, run))
        return True

    def _confirm(self, waiting: _Waiting) -> None:
        """See that the target has a run now, whole; it may refuse a batch, or remember a journal of a run collected."""
        run_id = waiting.told.run.run_id
        if not self._has(run_id):
            self._target.apply([*facts_entries(waiting.told), *waiting.entries])
        if not self._has(run_id):
            fresh = new_journal_id()
            self._target.apply(new_entries(waiting.told, fresh))
            self._target.get_run(run_id)
        self.result.new += 1
        self._tell()

    def _has(self, run_id: str) -> bool:
        try:
            self._target.get_run(run_id)
        except RunNotFound:
            return False
        return True

    def _change(self, source: Known, told: Difference, carried: Carried) -> None:
        taken = False
        for _ in range(_ROUNDS):
            self._target.apply(changing_entries(told, fresh=taken))
            left = difference(source, known_by_id(self._target, told.run.run_id), carried.logged)
            if not left:
                return
            # The journal of that name was taken in before: by another copy, or for a run that was collected since.
            taken = left.has_points == told.has_points
            told = left
        what = ", ".join(told.subjects())
        raise StoreError(f"{self._target.uri} keeps later values ({what}): was a clock ahead when they were logged?")

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.result)


def _sentence(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if isinstance(error, (StoreError, RunNotFound)) else f"{type(error).__name__}: {text}"
