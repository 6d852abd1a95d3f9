"""The SQL store, by SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.entities import Artifact, Experiment, LoggedModel, Metric, Run
from autotrack.errors import RunNotFound
from autotrack.events import Entry
from autotrack.stores import tokens
from autotrack.stores.artifacts import open_artifacts
from autotrack.stores.artifacts.base import ArtifactStorage
from autotrack.stores.base import ACTIVE_RUNS, Finding, Garbage, View
from autotrack.stores.database import glancing, paging, tables
from autotrack.stores.database.address import Address, with_artifacts
from autotrack.stores.database.chunks import DatabaseArtifacts
from autotrack.stores.database.codes import escape
from autotrack.stores.database.comparing import begins, compare_texts
from autotrack.stores.database.conditions import NEWEST_FIRST, RUNS
from autotrack.stores.database.engine import Database
from autotrack.stores.database.names import Names as KeptNames
from autotrack.stores.database.registry import DatabaseRegistry
from autotrack.stores.database.rows import Reader
from autotrack.stores.database.searching import search
from autotrack.stores.database.upkeep import Upkeep
from autotrack.stores.database.writing import Writer
from autotrack.stores.filters import parse_filter, parse_orders
from autotrack.stores.glances import Points
from autotrack.stores.paging import Names, Page

T = TypeVar("T")


class DatabaseStore(DatabaseRegistry):
    """The runs in a database. Nothing is opened before it is needed; its tables are made then.

    Parameters
    ----------
    address : where it is, and where its artifacts are.

    Raises
    ------
    StoreError
        When there can be no artifacts where the address says.
    """

    def __init__(self, address: Address) -> None:
        self._database = Database(address)
        names, experiments = KeptNames(tables.names), KeptNames(tables.experiments)
        self._writer = Writer(self._database, names, experiments)
        self._reader = Reader(names, experiments)
        self._artifacts: ArtifactStorage
        if address.artifacts is None:
            self._artifacts = DatabaseArtifacts(self._database)
        else:
            self._artifacts = open_artifacts(address.artifacts)
        self._upkeep = Upkeep(self._database, self._reader, self._artifacts)

    @property
    def uri(self) -> str:
        """The URI, with ``***`` for the password."""
        address = self._database.address
        return address.shown if address.artifacts is None else with_artifacts(address.shown, self._artifacts.uri)

    def apply(self, entries: Sequence[Entry]) -> None:
        """See `Store.apply`."""
        self._writer.apply(list(entries))

    def get_run(self, run_id: str) -> Run:
        """See `Store.get_run`."""

        def read(connection: Connection) -> Run | None:
            number = self._reader.run_number(connection, run_id)
            return None if number is None else self._reader.runs(connection, [number])[0]

        run = self._database.read(read)
        if run is None:
            raise self._no_run(run_id)
        return run

    def find_runs(self, reference: str) -> list[Run]:
        """See `Store.find_runs`."""
        if not reference:
            return []
        begin = escape(reference)
        start = sa.func.substr(sa.type_coerce(RUNS.run_id, sa.Text()), 1, len(begin))
        has_id = sa.and_(*begins(RUNS.run_head, begin), start == begin)
        has_name = compare_texts(RUNS.name, "=", reference, RUNS.name_head)
        query = sa.select(RUNS.id).where(sa.or_(has_id, has_name), RUNS.deleted_time.is_(None)).order_by(*NEWEST_FIRST)
        return self._database.read(
            lambda connection: self._reader.runs(connection, connection.execute(query).scalars().all())
        )

    def search_runs(
        self,
        filter: str | None = None,
        order_by: Sequence[str] = (),
        limit: int | None = None,
        *,
        experiment: str | None = None,
        view: View = ACTIVE_RUNS,
    ) -> list[Run]:
        """See `Store.search_runs`."""
        expression, orders = parse_filter(filter), parse_orders(order_by)
        return self._database.read(
            lambda connection: search(connection, self._reader, expression, orders, limit, experiment, view)
        )

    def page_runs(
        self,
        filter: str | None = None,
        order_by: Sequence[str] = (),
        limit: int = 100,
        *,
        experiments: Sequence[str] | None = None,
        view: View = ACTIVE_RUNS,
        after: str | None = None,
        top_level: bool = False,
        points: dict[str, Points] | None = None,
    ) -> Page:
        """See `autotrack.stores.paging.page_runs`; ``points`` is told where the metrics stand, by the runs' ids."""
        expression, orders = parse_filter(filter), parse_orders(order_by)
        digest = tokens.search_digest(paging.KIND, filter, order_by, experiments, view, top_level)
        place = None if after is None else tokens.decode(digest, after)
        return self._database.read(
            lambda connection: paging.page(
                connection, self._reader, expression, orders, limit, experiments, view, top_level, place, digest, points
            )
        )

    def page_with_points(
        self, filter: str | None, order_by: Sequence[str], limit: int, **asked: Any
    ) -> tuple[Page, dict[str, Points]]:
        """See `autotrack.stores.glances.page_with_points`."""
        points: dict[str, Points] = {}
        return self.page_runs(filter, order_by, limit, **asked, points=points), points

    def count_runs(
        self,
        filter: str | None = None,
        *,
        experiments: Sequence[str] | None = None,
        view: View = ACTIVE_RUNS,
        at_most: int | None = None,
        top_level: bool = False,
    ) -> int:
        """See `autotrack.stores.paging.count_runs`."""
        expression = parse_filter(filter)
        return self._database.read(
            lambda connection: paging.count(connection, self._reader, expression, experiments, view, at_most, top_level)
        )

    def children_of(
        self, run_ids: Sequence[str], *, view: View = ACTIVE_RUNS, limit_each: int | None = None
    ) -> dict[str, list[Run]]:
        """See `autotrack.stores.paging.children_of`."""
        return self._database.read(
            lambda connection: paging.children(connection, self._reader, run_ids, view, limit_each)
        )

    def count_children(self, run_ids: Sequence[str], *, view: View = ACTIVE_RUNS) -> dict[str, int]:
        """See `autotrack.stores.paging.count_children`."""
        return self._database.read(lambda connection: paging.child_counts(connection, run_ids, view))

    def names_of(self, experiment: str | None = None) -> Names:
        """See `autotrack.stores.paging.names_of`."""
        return self._database.read(lambda connection: paging.names(connection, self._reader, experiment))

    def change_mark(self) -> str:
        """See `autotrack.stores.paging.change_mark`. What garbage collection removes does not count."""
        return self._database.read(paging.mark)

    def metric_history(self, run_id: str, key: str) -> list[Metric]:
        """See `Store.metric_history`."""
        return self._of_run(run_id, lambda connection, run: self._reader.history(connection, run, key))

    def outline(self, run_id: str, params: Collection[str], tags: Collection[str]) -> Run | None:
        """See `autotrack.stores.glances.outline`."""
        return self._database.glance(
            lambda connection: glancing.outline(connection, self._reader, run_id, params, tags)
        )

    def last_points(self, run_ids: Sequence[str]) -> dict[str, Points]:
        """See `autotrack.stores.glances.last_points`."""
        return self._database.glance(lambda connection: self._reader.last_points(connection, run_ids))

    def experiment_facts(self, names: Collection[str] | None) -> dict[str, dict[str, Any]]:
        """See `autotrack.stores.glances.experiment_facts`."""
        return self._database.read(lambda connection: glancing.experiment_facts(connection, self._reader, names))

    def experiments(self) -> list[Experiment]:
        """See `Store.experiments`."""
        return self._database.read(self._reader.list_experiments)

    def artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        """See `Store.artifacts`."""
        files, models = self._logged(run_id)
        folders = [Artifact(model.path, is_dir=True) for model in models]
        return self._artifacts.listing(run_id, path, [*files, *folders])

    def artifact_path(self, run_id: str, path: str) -> Path:
        """See `Store.artifact_path`."""
        files, models = self._logged(run_id)
        return self._artifacts.fetch(run_id, path, [*files, *models])

    def put_artifact(self, run_id: str, path: str, source: Path) -> None:
        """See `Store.put_artifact`. The run need not be known yet."""
        self._artifacts.put(run_id, path, source)

    def problems(self) -> list[str]:
        """Nothing: what cannot be read raises."""
        return []

    def garbage(self, older_than: float = 0.0) -> list[Garbage]:
        """See `Maintained.garbage`."""
        return self._upkeep.garbage(older_than)

    def collect(self, garbage: Sequence[Garbage]) -> None:
        """See `Maintained.collect`."""
        self._upkeep.collect(garbage)

    def check(self, *, repair: bool = False) -> list[Finding]:
        """See `Maintained.check`."""
        return self._upkeep.check(repair=repair)

    def close(self) -> None:
        """See `Store.close`."""
        self._artifacts.close()
        self._database.close()

    def _logged(self, run_id: str) -> tuple[list[Artifact], list[LoggedModel]]:
        return self._of_run(
            run_id,
            lambda connection, run: (
                self._reader.logged_files(connection, run),
                self._reader.logged_models(connection, run),
            ),
        )

    def _of_run(self, run_id: str, query: Callable[[Connection, int], T]) -> T:
        def read(connection: Connection) -> T | None:
            number = self._reader.run_number(connection, run_id)
            return None if number is None else query(connection, number)

        found = self._database.read(read)
        if found is None:
            raise self._no_run(run_id)
        return found

    def _no_run(self, run_id: str) -> RunNotFound:
        return RunNotFound(f"no run {run_id!r} in {self.uri}")
