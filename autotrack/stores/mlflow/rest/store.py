"""``http://HOST:PORT`` and ``https://HOST/PREFIX``: runs on an MLflow tracking server.

What MLflow's fields can hold stands there, so that its pages and clients see it. What they cannot (texts of any length
and content, params that change, notes, facts of processes, which of two journals counts) stands whole in sidecars,
small files of the run, and in the document in its tags, so that it comes out here as it went in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from autotrack.entities import Artifact, Experiment, LoggedModel, Metric, Run
from autotrack.entities import experiment_id as id_of_experiment
from autotrack.errors import RunNotFound, StoreError
from autotrack.events import Entry, ExperimentDescribed, ProcessDescribed
from autotrack.stores.base import ACTIVE_RUNS, View, in_view
from autotrack.stores.expressions import Expression
from autotrack.stores.filters import matches, parse_filter, parse_orders, sort_runs
from autotrack.stores.mlflow.limits import key_is_valid, time_for
from autotrack.stores.mlflow.rest.address import read_address
from autotrack.stores.mlflow.rest.artifacts import Artifacts
from autotrack.stores.mlflow.rest.catalog import DOUBLE_TAG, Catalog, folded, id_value, tags_of
from autotrack.stores.mlflow.rest.client import Client, Json
from autotrack.stores.mlflow.rest.document import DIRTY_TAG, ID_TAG, INEXACT_TAG, Document
from autotrack.stores.mlflow.rest.models import Models
from autotrack.stores.mlflow.rest.projection import Native, document_for
from autotrack.stores.mlflow.rest.reading import Facts, age, foreign_run, point_of, pushed_down, run_of
from autotrack.stores.mlflow.rest.registry import ServerRegistry
from autotrack.stores.mlflow.rest.writing import Writer
from autotrack.stores.mlflow.translation import translate
from autotrack.stores.state import Place

_PAGE: Final = 1_000
_SMALL_PAGE: Final = 20
_VIEWS: Final = {"active": "ACTIVE_ONLY", "deleted": "DELETED_ONLY", "all": "ALL"}


def open_uri(uri: str) -> MlflowServerStore:
    """The store of an ``http:`` or ``https:`` URI."""
    return MlflowServerStore(uri)


class MlflowServerStore(ServerRegistry):
    """Runs on an MLflow tracking server. Nothing is asked of it before it is used.

    Parameters
    ----------
    uri : the server's address; see `autotrack.stores.mlflow.rest.address.read_address` for who one is to it.

    Raises
    ------
    StoreError
        For a URI that is none.
    """

    def __init__(self, uri: str) -> None:
        self._address = read_address(uri)
        self._client = Client(self._address)
        self._catalog = Catalog(self._client)
        self._models = Models(self._client)
        self._writer = Writer(self._catalog, self._models)
        self._artifacts = Artifacts(self._catalog, self._models)

    @property
    def uri(self) -> str:
        """The server's address, without user, password or token."""
        return self._address.url

    @property
    def requests(self) -> int:
        """How many requests were made of the server so far, repeated ones counted once."""
        return self._client.transport.requests

    def apply(self, entries: Sequence[Entry]) -> None:
        """See `Store.apply`. A batch that breaks off may be there for some of its runs; applied again it is whole."""
        entries = list(entries)
        if entries:
            self._writer.apply(entries)

    def get_run(self, run_id: str) -> Run:
        """See `Store.get_run`."""
        native = self._catalog.native(run_id)
        return self._read(native, self._document(native, run_id))

    def find_runs(self, reference: str) -> list[Run]:
        """See `Store.find_runs`."""
        if not reference:
            return []
        filters = []
        if id_value(reference) == reference and "%" not in reference:
            filters += [f"tags.`{ID_TAG}` LIKE '{reference}%'", f"attributes.run_id LIKE '{reference}%'"]
        if "'" not in reference and reference.isascii() and reference.isprintable():
            filters.append(f"attributes.run_name = '{reference}'")
        else:
            filters = [""]
        found = self._runs(self._search(filters, ACTIVE_RUNS, None))
        return [run for run in found if run.run_id.startswith(reference) or run.name == reference]

    def search_runs(
        self,
        filter: str | None = None,
        order_by: Sequence[str] = (),
        limit: int | None = None,
        *,
        experiment: str | None = None,
        view: View = ACTIVE_RUNS,
    ) -> list[Run]:
        """See `Store.search_runs`. What MLflow's own filters can say is asked of the server."""
        expression = parse_filter(filter)
        orders = parse_orders(order_by)
        enough = None if limit is None or orders else max(0, limit)
        natives = self._search([pushed_down(expression)], view, experiment, enough)
        runs = self._runs(natives, expression, view, experiment, enough)
        found = sort_runs(runs, orders)
        return found if limit is None else found[: max(0, limit)]

    def metric_history(self, run_id: str, key: str) -> list[Metric]:
        """See `Store.metric_history`."""
        native = self._catalog.native(run_id)
        document = self._document(native, run_id)
        if document is not None and key in document.uneven:
            return folded(run_id, self._catalog.sidecars(native).entries()).history(key)
        if not key_is_valid(key) or (document is not None and key in document.hidden.get("metrics", ())):
            return []
        points = [point_of({**item, "key": key}) for item in self._client.history(str(native["info"]["run_id"]), key)]
        return sorted(points, key=lambda point: (point.step, point.timestamp))

    def experiments(self) -> list[Experiment]:
        """See `Store.experiments`."""
        counts: dict[str, int] = {}
        for run in self._runs(self._search([""], ACTIVE_RUNS, None)):
            counts[run.experiment] = counts.get(run.experiment, 0) + 1
        return [Experiment(id_of_experiment(name), name, counts[name]) for name in sorted(counts)]

    def artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        """See `Store.artifacts`."""
        native = self._catalog.native(run_id)
        return self._artifacts.listing(native, self._document(native, run_id), path)

    def artifact_path(self, run_id: str, path: str) -> Path:
        """See `Store.artifact_path`."""
        native = self._catalog.native(run_id)
        return self._artifacts.fetch(native, run_id, self._document(native, run_id), path)

    def put_artifact(self, run_id: str, path: str, source: Path) -> None:
        """See `Store.put_artifact`.

        MLflow's own pages show the files of a folder as they come; readers of ours only when all of them are there.
        """
        self._artifacts.put(self._catalog.known(run_id), run_id, path, source)

    def problems(self) -> list[str]:
        """See `Store.problems`."""
        found = []
        for native in self._search([""], "all", None):
            try:
                self._catalog.document(native)
            except StoreError as error:
                found.append(str(error))
        return found

    def close(self) -> None:
        """Close the connections and remove what was fetched."""
        self._writer.forget()
        self._artifacts.close()
        self._client.close()

    def _document(self, native: Json, run_id: str) -> Document | None:
        """The document of a run; ``None`` for one that MLflow's clients made.

        Raises
        ------
        RunNotFound
            For a run that is just being made, of which nothing is said yet.
        """
        tags = tags_of(native)
        if ID_TAG not in tags:
            return None
        document = self._catalog.document(native)
        if tags.get(DIRTY_TAG) == "1":
            return self._whole(native, run_id)
        if document is None:
            raise RunNotFound(f"no run {run_id!r} in {self.uri}: it is just being written")
        return document

    def _whole(self, native: Json, run_id: str) -> Document:
        """The document that the sidecars make, while MLflow's fields and the document there are only partly written."""
        before = self._catalog.document(native)
        entries = self._catalog.sidecars(native).entries()
        run_id = next(
            (e.event.run_id for e in entries if not isinstance(e.event, ProcessDescribed | ExperimentDescribed)), run_id
        )
        state = folded(run_id, entries)
        info = native["info"]
        at: dict[str, int] = {}
        for entry in entries:
            at[entry.journal_id] = max(entry.number, at.get(entry.journal_id, 0))
        nothing = Native({}, {}, self._catalog.experiment_name(str(info["experiment_id"])), 0)
        target = translate(state, {}, run_id=str(info["run_id"]))
        homes = before.homes if before is not None else {}
        ids = before.model_ids if before is not None else {}
        document, _ = document_for(state, target, nothing, at, homes=homes, model_ids=ids)
        metrics = state.run({}).metrics
        told = {"name": str(info.get("run_name", ""))}
        uneven = tuple(metrics)
        return replace(document, run=replace(document.run, metrics=metrics), uneven=uneven, told=told)

    def _read(self, native: Json, document: Document | None, shared: dict[tuple[str, str], Facts] | None = None) -> Run:
        experiment = self._catalog.experiment_name(str(native["info"]["experiment_id"]))
        if document is None:
            outputs = native.get("outputs", {}).get("model_outputs", ())
            models = [LoggedModel(name) for name, _ in self._models.logged(native)] if outputs else []
            return foreign_run(native, experiment, models)
        key = (document.home, document.run.process_id)
        facts = None if shared is None else shared.get(key)
        if facts is None:
            facts = Facts(lambda: self._catalog.facts(*key))
            if shared is not None:
                shared[key] = facts
        return run_of(native, document, facts)

    def _search(
        self, filters: Iterable[str], view: View, experiment: str | None, limit: int | None = None
    ) -> Iterator[Json]:
        """MLflow's runs that any of these filters names, newest first, after those of which its filters cannot tell."""
        ids = list(self._catalog.experiments(fresh=True))
        own = ids
        if experiment is not None:
            called = self._catalog.experiment_called(experiment)
            own = [] if called is None else [called]
        inexact = f"tags.`{INEXACT_TAG}` = '1'"
        asked = [(own, text) for text in dict.fromkeys(filters)]
        if own != ids or limit is not None or all(text for _, text in asked):
            asked.insert(0, (ids, inexact))
        seen = set()
        for where, text in asked:
            order = ["attributes.start_time DESC"]
            page = _PAGE if limit is None else max(_SMALL_PAGE, min(limit + 1, _PAGE))
            for native in self._client.search(where, text, view=_VIEWS[view], order_by=order, page=page):
                native_id = native["info"]["run_id"]
                if native_id not in seen:
                    seen.add(native_id)
                    yield native

    def _runs(
        self,
        natives: Iterable[Json],
        expression: Expression | None = None,
        view: View = ACTIVE_RUNS,
        experiment: str | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        """The runs among these that are meant, newest first."""
        shared: dict[tuple[str, str], Facts] = {}
        found: dict[str, tuple[str, tuple[bool, int, Place, str], Run]] = {}
        starts: list[int] = []
        for native in natives:
            if DOUBLE_TAG in tags_of(native):
                continue
            start = int(native["info"].get("start_time") or 0)
            if limit is not None and tags_of(native).get(INEXACT_TAG) != "1" and _at_least(starts, start, limit):
                break  # all that follow are older than enough others
            try:
                document = self._document(native, "")
            except (RunNotFound, StoreError):
                continue
            run = self._read(native, document, shared)
            if in_view(run, view) and experiment in (None, run.experiment) and matches(expression, run):
                native_id = str(native["info"]["run_id"])
                kept = found.get(run.run_id)
                if kept is None:
                    starts.append(time_for(run.start_time or 0))
                if kept is None or native_id < kept[0]:
                    found[run.run_id] = (native_id, age(native, document), run)
        newest = sorted(found.values(), key=lambda item: item[1], reverse=True)
        return [run for _, _, run in newest]


def _at_least(starts: Sequence[int], start: int, limit: int) -> bool:
    """Whether so many runs started later than this."""
    return len(starts) >= limit and sum(other > start for other in starts) >= limit
