"""The runs on a tracking server of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from autotrack.entities import Artifact, Experiment, Metric, ModelVersion, RegisteredModel, Run
from autotrack.events import Entry
from autotrack.stores.base import ACTIVE_RUNS, View
from autotrack.stores.mlflow.rest.address import Address
from autotrack.stores.paging import Names, Page
from autotrack.stores.remote import wire
from autotrack.stores.remote.calls import Calls, dumps
from autotrack.stores.remote.files import RemoteFiles

_BATCH: Final = 8 * 2**20
"""Bytes of one request with entries, unless one entry has more."""
_PAGE: Final = 1000

T = TypeVar("T")


class AutotrackServerStore:
    """Runs on ``autotrack server``. Safe for threads.

    Parameters
    ----------
    address : where it is.
    """

    def __init__(self, address: Address) -> None:
        self._calls = Calls(address)
        self._ask = self._calls.ask
        self._files = RemoteFiles(self._calls)

    @property
    def uri(self) -> str:
        """The server's address, without user, password or token."""
        return self._calls.url

    def apply(self, entries: Sequence[Entry]) -> None:
        """See `Store.apply`. Entries of more than some megabytes go in several requests, each whole or not at all."""
        batch: list[bytes] = []
        size = 0
        for entry in entries:
            line = dumps(wire.entry_to_json(entry))
            if batch and size + len(line) > _BATCH:
                self._calls.send_entries(batch)
                batch, size = [], 0
            batch.append(line)
            size += len(line)
        if batch:
            self._calls.send_entries(batch)

    def get_run(self, run_id: str) -> Run:
        """See `Store.get_run`."""
        return wire.run_from_json(self._ask("runs/get", run_id=run_id)["run"])

    def find_runs(self, reference: str) -> list[Run]:
        """See `Store.find_runs`."""
        return _runs(self._ask("runs/find", reference=reference))

    def search_runs(
        self,
        filter: str | None = None,
        order_by: Sequence[str] = (),
        limit: int | None = None,
        *,
        experiment: str | None = None,
        view: View = ACTIVE_RUNS,
    ) -> list[Run]:
        """See `Store.search_runs`; fetched in pages."""
        experiments = None if experiment is None else [experiment]
        found: list[Run] = []
        token: str | None = None
        while True:
            wanted = _PAGE if limit is None else min(_PAGE, limit - len(found))
            page = self.page_runs(filter, order_by, max(0, wanted), experiments=experiments, view=view, after=token)
            found += page.runs
            token = page.next
            if token is None or (limit is not None and len(found) >= limit):
                return found

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
    ) -> Page:
        """See `autotrack.stores.paging.page_runs`."""
        told = self._ask(
            "runs/page",
            filter=filter,
            order_by=[order_by] if isinstance(order_by, str) else list(order_by),
            limit=limit,
            experiments=None if experiments is None else list(experiments),
            view=view,
            after=after,
            top_level=top_level,
        )
        return Page(_runs(told), told["next"])

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
        named = None if experiments is None else list(experiments)
        told = self._ask(
            "runs/count", filter=filter, experiments=named, view=view, at_most=at_most, top_level=top_level
        )
        return int(told["count"])

    def children_of(
        self, run_ids: Sequence[str], *, view: View = ACTIVE_RUNS, limit_each: int | None = None
    ) -> dict[str, list[Run]]:
        """See `autotrack.stores.paging.children_of`."""
        told = self._ask("runs/children", run_ids=list(run_ids), view=view, limit_each=limit_each)
        return {run_id: [wire.run_from_json(run) for run in runs] for run_id, runs in told["children"]}

    def names_of(self, experiment: str | None = None) -> Names:
        """See `autotrack.stores.paging.names_of`."""
        told = self._ask("names", experiment=experiment)
        return Names(told["params"], told["metrics"], told["tags"])

    def change_mark(self) -> str:
        """See `autotrack.stores.paging.change_mark`."""
        return str(self._ask("mark")["mark"])

    def metric_history(self, run_id: str, key: str) -> list[Metric]:
        """See `Store.metric_history`."""
        return wire.points_from_json(key, self._ask("metrics/history", run_id=run_id, key=key)["points"])

    def metric_histories(self, run_id: str) -> dict[str, list[Metric]]:
        """See `autotrack.stores.base.histories`."""
        told = self._ask("metrics/histories", run_id=run_id)["histories"]
        return {key: wire.points_from_json(key, points) for key, points in told}

    def experiments(self) -> list[Experiment]:
        """See `Store.experiments`."""
        return [wire.experiment_from_json(one) for one in self._ask("experiments")["experiments"]]

    def artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        """See `Store.artifacts`."""
        return self._files.listing(run_id, path)

    def artifact_path(self, run_id: str, path: str) -> Path:
        """See `Store.artifact_path`."""
        return self._files.fetch(run_id, path)

    def put_artifact(self, run_id: str, path: str, source: Path) -> None:
        """See `Store.put_artifact`."""
        self._files.put(run_id, path, source)

    def problems(self) -> list[str]:
        """See `Store.problems`."""
        return list(self._ask("problems")["problems"])

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    # See `autotrack.stores.registry.ModelRegistry`.

    def create_registered_model(
        self, name: str, *, description: str = "", tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        """See `ModelRegistry.create_registered_model`."""
        return self._model("create_registered_model", name=name, description=description, tags=_dict(tags))

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """See `ModelRegistry.rename_registered_model`."""
        return self._model("rename_registered_model", name=name, new_name=new_name)

    def create_model_version(
        self,
        name: str,
        run_id: str,
        path: str,
        *,
        digest: str = "",
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """See `ModelRegistry.create_model_version`."""
        told = {"name": name, "run_id": run_id, "path": path, "digest": digest, "description": description}
        return self._version("create_model_version", **told, tags=_dict(tags))

    def registered_models(self) -> list[RegisteredModel]:
        """See `ModelRegistry.registered_models`."""
        return [wire.model_from_json(one) for one in self._registry("registered_models")]

    def registered_model(self, name: str) -> RegisteredModel:
        """See `ModelRegistry.registered_model`."""
        return self._model("registered_model", name=name)

    def model_versions(self, name: str) -> list[ModelVersion]:
        """See `ModelRegistry.model_versions`."""
        return [wire.version_from_json(one) for one in self._registry("model_versions", name=name)]

    def model_version(self, name: str, version: int) -> ModelVersion:
        """See `ModelRegistry.model_version`."""
        return self._version("model_version", name=name, version=version)

    def update_registered_model(
        self, name: str, *, description: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> RegisteredModel:
        """See `ModelRegistry.update_registered_model`."""
        return self._model("update_registered_model", name=name, description=description, tags=_dict(tags))

    def update_model_version(
        self, name: str, version: int, *, description: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> ModelVersion:
        """See `ModelRegistry.update_model_version`."""
        said = {"description": description, "tags": _dict(tags)}
        return self._version("update_model_version", name=name, version=version, **said)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """See `ModelRegistry.set_alias`."""
        self._registry("set_alias", name=name, alias=alias, version=version)

    def delete_alias(self, name: str, alias: str) -> None:
        """See `ModelRegistry.delete_alias`."""
        self._registry("delete_alias", name=name, alias=alias)

    def delete_model_version(self, name: str, version: int) -> None:
        """See `ModelRegistry.delete_model_version`."""
        self._registry("delete_model_version", name=name, version=version)

    def delete_registered_model(self, name: str) -> None:
        """See `ModelRegistry.delete_registered_model`."""
        self._registry("delete_registered_model", name=name)

    def _model(self, call: str, **told: Any) -> RegisteredModel:
        return wire.model_from_json(self._registry(call, **told))

    def _version(self, call: str, **told: Any) -> ModelVersion:
        return wire.version_from_json(self._registry(call, **told))

    def _registry(self, call: str, **told: Any) -> Any:
        return self._ask(f"registry/{call}", **told)["value"]


def _runs(told: Mapping[str, Any]) -> list[Run]:
    return [wire.run_from_json(run) for run in told["runs"]]


def _dict(texts: Mapping[str, T] | None) -> dict[str, T] | None:
    return None if texts is None else dict(texts)
