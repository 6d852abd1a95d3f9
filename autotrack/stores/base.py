"""What a store is: one class that applies events and answers a dozen questions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, runtime_checkable

from autotrack.entities import Artifact, Experiment, Metric, Run
from autotrack.events import Entry

View = Literal["active", "deleted", "all"]
ACTIVE_RUNS: Final = "active"
DELETED_RUNS: Final = "deleted"
ALL_RUNS: Final = "all"


def in_view(run: Run, view: View) -> bool:
    """Whether a search that looks at active, deleted or all runs sees this one."""
    return view == ALL_RUNS or (run.deleted_time is not None) == (view == DELETED_RUNS)


@runtime_checkable
class Store(Protocol):
    """A place that keeps runs.

    Guarantees that every store gives, and that `autotrack.testing.StoreContract` checks:

    Idempotence
        An entry applied before (same journal id, a number not greater than the last one applied of that journal)
        changes nothing.
    Order
        Entries of one journal are applied in their order. Journals may come in any order, also an event of a run
        before its ``RunStarted``; of two values for one key, the one of the later journal id and number stays, so
        that the state depends on which entries there are and not on when they came.
    Threads
        Every method may be called from several threads.
    Values
        Strings of any length and content (newlines, NUL, lone surrogates), NaN and infinite metrics come back as
        they went in; negative zero comes back as zero.
    """

    @property
    def uri(self) -> str:
        """The URI that opens this store again."""
        ...

    def apply(self, entries: Sequence[Entry]) -> None:
        """Take in events.

        Raises
        ------
        StoreError
            When they could not be stored; then none of them is.
        """
        ...

    def get_run(self, run_id: str) -> Run:
        """One run, active or deleted, by its whole id.

        Raises
        ------
        RunNotFound
            When there is none.
        """
        ...

    def find_runs(self, reference: str) -> list[Run]:
        """The active runs whose id begins with ``reference`` or whose name is it, newest first."""
        ...

    def search_runs(
        self,
        filter: str | None = None,
        order_by: Sequence[str] = (),
        limit: int | None = None,
        *,
        experiment: str | None = None,
        view: View = ACTIVE_RUNS,
    ) -> list[Run]:
        """The runs that a filter names, in the order asked for, else newest first.

        Parameters
        ----------
        filter : see `autotrack.stores.filters`; ``None`` or blank names every run.
        order_by : keys such as ``"metrics.rmse"`` or ``"start_time DESC"``; runs without the key come last.
        limit : how many at the most; ``None`` for all.
        experiment : the name of the one experiment to look in.
        view : ``"active"`` runs, ``"deleted"`` ones, or ``"all"``.

        Raises
        ------
        FilterError
            When the filter or an order cannot be understood.
        """
        ...

    def metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Every point of one metric, by step, then time; empty where there is none.

        Raises
        ------
        RunNotFound
            When there is no such run.
        """
        ...

    def experiments(self) -> list[Experiment]:
        """The experiments that have active runs or were described, by name, with these runs counted."""
        ...

    def artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        """The files and folders directly below ``path`` among a run's artifacts, by name.

        Raises
        ------
        RunNotFound
            When there is no such run.
        """
        ...

    def artifact_path(self, run_id: str, path: str) -> Path:
        """Where an artifact (a file or a folder) stands on this machine's disk; fetched first where need be.

        Raises
        ------
        ArtifactNotFound
            When the run has no such artifact, or the path leaves the run's folder.
        """
        ...

    def put_artifact(self, run_id: str, path: str, source: Path) -> None:
        """Put a file, or a whole folder, among a run's artifacts, in the place of what stands there under that path.

        A writer calls it before it applies the event that logs the artifact. The file is streamed; a call that breaks
        off leaves nothing that a reader sees. Doing it again changes nothing.

        Raises
        ------
        RunNotFound
            When this store keeps artifacts with the run and does not know it yet; apply its start first.
        StoreError
            When ``source`` cannot be read or the store not be written to, or for a path that leaves the run's folder.
        """
        ...

    def problems(self) -> list[str]:
        """What in this store could not be read, a sentence each."""
        ...

    def close(self) -> None:
        """Let go of files and connections. A closed store is not used again."""
        ...


def histories(store: Store, run: Run) -> dict[str, list[Metric]]:
    """Every point of every metric of a run, by key.

    A store that tells them faster at once than one by one has a method ``metric_histories(run_id)``; none needs it.

    Raises
    ------
    RunNotFound
        When there is no such run.
    """
    tell = getattr(store, "metric_histories", None)
    if callable(tell):
        found: dict[str, list[Metric]] = tell(run.run_id)
        return found
    return {key: store.metric_history(run.run_id, key) for key in run.metrics}


def at_rest(store: Store) -> AbstractContextManager[None]:
    """For many reads one after another: inside, a store need not look at each for what others write meanwhile.

    It tells what it held when it was asked first, or later, and what was applied through it. A store that gains by it
    has a method ``at_rest()``; none needs it.
    """
    tell = getattr(store, "at_rest", None)
    if callable(tell):
        resting: AbstractContextManager[None] = tell()
        return resting
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something that no reader misses.

    ``kind`` is ``"run"``, ``"artifacts"`` (of no run), ``"partial"`` (a broken-off write) or ``"journals"`` (files that
    can become one). ``place`` names it for people, ``size`` is in bytes, ``None`` where it is not known. ``kept`` says
    why it stays for now; empty for what `Maintained.collect` removes.
    """

    kind: str
    place: str
    size: int | None = None
    run_id: str | None = None
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found wrong: ``subject`` names the run, file or table; ``repaired`` tells what was done about it.

    ``is_note`` marks what is worth knowing and no damage, such as the unfinished last line of a killed process.
    """

    subject: str
    message: str
    repaired: str | None = None
    run_id: str | None = None
    is_note: bool = False


@runtime_checkable
class Maintained(Protocol):
    """A store that can be checked and swept; beside `Store`, not every store needs it."""

    def garbage(self, older_than: float = 0.0) -> list[Garbage]:
        """What `collect` would remove: runs deleted ``older_than`` seconds ago or longer, files of no run."""
        ...

    def collect(self, garbage: Sequence[Garbage]) -> None:
        """Remove these for good.

        Raises
        ------
        StoreError
            When one cannot be removed.
        """
        ...

    def check(self, *, repair: bool = False) -> list[Finding]:
        """Verify every run, every artifact's digest and the store's own tables; mend what can be mended if asked to."""
        ...
