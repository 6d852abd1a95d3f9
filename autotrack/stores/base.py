"""What a store is: one class that applies events and answers a dozen questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from autotrack.entities import Artifact, Experiment, Metric, Run
from autotrack.events import Entry


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
        they went in.
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
        """One run by its whole id.

        Raises
        ------
        RunNotFound
            When there is none.
        """
        ...

    def find_runs(self, reference: str) -> list[Run]:
        """The runs whose id begins with ``reference`` or whose name is it, newest first."""
        ...

    def search_runs(
        self,
        filter: str | None = None,
        order_by: Sequence[str] = (),
        limit: int | None = None,
        *,
        experiment: str | None = None,
    ) -> list[Run]:
        """The runs that a filter names, in the order asked for, else newest first.

        Parameters
        ----------
        filter : see `autotrack.stores.filters`; ``None`` or blank names every run.
        order_by : keys such as ``"metrics.rmse"`` or ``"start_time DESC"``; runs without the key come last.
        limit : how many at the most; ``None`` for all.
        experiment : the name of the one experiment to look in.

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
        """The experiments that have runs, by name."""
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

    def problems(self) -> list[str]:
        """What in this store could not be read, a sentence each."""
        ...

    def close(self) -> None:
        """Let go of files and connections. A closed store is not used again."""
        ...
