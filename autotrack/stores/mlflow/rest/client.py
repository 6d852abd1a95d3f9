"""MLflow's REST API, as far as we use it: one method per endpoint, plain mappings in and out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from autotrack.stores.mlflow.rest.address import Address
from autotrack.stores.mlflow.rest.transport import Refused, Transport, dumps

API: Final = "/api/2.0/mlflow/"
NOT_THERE: Final = "RESOURCE_DOES_NOT_EXIST"
EXISTS: Final = "RESOURCE_ALREADY_EXISTS"
BAD_VALUE: Final = "INVALID_PARAMETER_VALUE"

MAX_METRICS: Final = 1000
MAX_PARAMS: Final = 100
MAX_TAGS: Final = 100
MAX_ENTITIES: Final = 1000
MAX_BYTES: Final = 900_000
"""The server takes batches of up to a million bytes, and counts them in its own spelling."""

_PAGE: Final = 1000
_HISTORY_PAGE: Final = 25_000

Json = dict[str, Any]


class Client:
    """A tracking server's endpoints."""

    def __init__(self, address: Address) -> None:
        self.transport = Transport(address)

    # Experiments

    def experiments(self) -> list[Json]:
        """All experiments, deleted ones too."""
        return list(self._paged("experiments/search", "experiments", {"max_results": _PAGE, "view_type": "ALL"}))

    def experiment_named(self, name: str) -> Json | None:
        """The experiment of a name, deleted or not."""
        try:
            found = self.transport.json("GET", API + "experiments/get-by-name", query={"experiment_name": name})
        except Refused as error:
            if error.code == NOT_THERE:
                return None
            raise
        return dict(found["experiment"])

    def create_experiment(self, name: str, tags: Mapping[str, str]) -> None:
        """Make an experiment with these tags; nothing for one that is there."""
        try:
            self._post("experiments/create", {"name": name, "tags": pairs(tags)}, repeatable=False)
        except Refused as error:
            if error.code != EXISTS:
                raise

    def restore_experiment(self, experiment_id: str) -> None:
        """Undo its deletion."""
        self._post("experiments/restore", {"experiment_id": experiment_id})

    # Runs

    def search(
        self,
        experiments: Sequence[str],
        filter: str = "",
        *,
        view: str = "ACTIVE_ONLY",
        order_by: Sequence[str] = (),
        page: int = _PAGE,
    ) -> Iterator[Json]:
        """The runs that a filter in MLflow's own language names, page by page as they are asked for."""
        if not experiments:
            return iter(())
        body: Json = {"experiment_ids": list(experiments), "run_view_type": view, "max_results": page}
        if filter:
            body["filter"] = filter
        if order_by:
            body["order_by"] = list(order_by)
        return self._paged("runs/search", "runs", body)

    def run(self, run_id: str) -> Json | None:
        """A run, deleted or not."""
        try:
            return dict(self.transport.json("GET", API + "runs/get", query={"run_id": run_id})["run"])
        except Refused as error:
            if error.code in (NOT_THERE, BAD_VALUE):
                return None
            raise

    def create_run(self, experiment: str, name: str, start_time: int, user: str, tags: Mapping[str, str]) -> Json:
        """Make a run. Not repeatable: search for the run's tag before, when it may have been done."""
        body = {"experiment_id": experiment, "run_name": name, "start_time": start_time, "tags": pairs(tags)}
        if user:
            body["user_id"] = user
        return dict(self._post("runs/create", body, repeatable=False)["run"])

    def update_run(self, run_id: str, **fields: Any) -> None:
        """Set ``status``, ``end_time`` or ``run_name``."""
        self._post("runs/update", {"run_id": run_id, **fields})

    def delete_run(self, run_id: str) -> None:
        """Put a run into the trash."""
        self._post("runs/delete", {"run_id": run_id})

    def restore_run(self, run_id: str) -> None:
        """Take a run out of the trash."""
        self._post("runs/restore", {"run_id": run_id})

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Set one tag."""
        self._post("runs/set-tag", {"run_id": run_id, "key": key, "value": value})

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag; nothing for one that is not there."""
        try:
            self._post("runs/delete-tag", {"run_id": run_id, "key": key})
        except Refused as error:
            if error.code != NOT_THERE:
                raise

    def log_batch(self, run_id: str, body: Mapping[str, Any]) -> None:
        """Log what `batches` made."""
        self._post("runs/log-batch", {"run_id": run_id, **body})

    def log_inputs(self, run_id: str, datasets: Sequence[Json]) -> None:
        """Log datasets."""
        self._post("runs/log-inputs", {"run_id": run_id, "datasets": list(datasets)})

    def log_outputs(self, run_id: str, model_ids: Iterable[str]) -> None:
        """Say that the run made these logged models."""
        models = [{"model_id": model_id, "step": 0} for model_id in model_ids]
        self._post("runs/outputs", {"run_id": run_id, "models": models})

    def history(self, run_id: str, key: str) -> list[Json]:
        """Every point of one metric, in no order."""
        found: list[Json] = []
        token: str | None = None
        while True:
            query = {"run_id": run_id, "metric_key": key, "max_results": _HISTORY_PAGE, "page_token": token}
            answer = self.transport.json("GET", API + "metrics/get-history", query=query)
            found += answer.get("metrics", [])
            token = answer.get("next_page_token")
            if not token:
                return found

    # Logged models (MLflow 3)

    def create_model(
        self, experiment: str, name: str, run_id: str, tags: Mapping[str, str], params: Mapping[str, str]
    ) -> Json:
        """Make a logged model, pending. Not repeatable."""
        body: Json = {"experiment_id": experiment, "name": name, "source_run_id": run_id}
        body |= {"tags": pairs(tags), "params": pairs(params)}
        return dict(self._post("logged-models", body, repeatable=False)["model"])

    def finish_model(self, model_id: str) -> None:
        """Say that all its files are there."""
        body = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
        self.transport.json("PATCH", f"{API}logged-models/{model_id}", body)

    def delete_model(self, model_id: str) -> None:
        """Put a logged model out of sight."""
        try:
            self.transport.json("DELETE", f"{API}logged-models/{model_id}")
        except Refused as error:
            if error.code != NOT_THERE:
                raise

    def models(self, experiment: str, run_id: str) -> list[Json] | None:
        """The logged models of a run; ``None`` where the server knows no such thing."""
        body = {"experiment_ids": [experiment], "filter": f"source_run_id = '{run_id}'", "max_results": 100}
        try:
            return list(self._paged("logged-models/search", "models", body))
        except Refused as error:
            if is_unknown(error):
                return None
            raise

    # Registered models

    def create_registered_model(self, name: str) -> None:
        """Make a registered model; nothing for one that is there."""
        try:
            self._post("registered-models/create", {"name": name}, repeatable=False)
        except Refused as error:
            if error.code != EXISTS:
                raise

    def model_versions(self, name: str, run_id: str) -> list[Json]:
        """The versions of a registered model that come from a run."""
        quoted = name.replace("'", "''")
        query = {"filter": f"name = '{quoted}' and run_id = '{run_id}'", "max_results": 100}
        found: list[Json] = []
        while True:
            answer = self.transport.json("GET", API + "model-versions/search", query=query)
            found += answer.get("model_versions", [])
            if not answer.get("next_page_token"):
                return found
            query["page_token"] = answer["next_page_token"]

    def create_version(
        self,
        name: str,
        source: str,
        run_id: str,
        model_id: str | None,
        tags: Mapping[str, str],
        description: str = "",
    ) -> Json:
        """Make a model version. Not repeatable."""
        body: Json = {"name": name, "source": source, "run_id": run_id, "tags": pairs(tags)}
        if model_id is not None:
            body["model_id"] = model_id
        if description:
            body["description"] = description
        return dict(self._post("model-versions/create", body, repeatable=False)["model_version"])

    # The server

    def takes_parts(self) -> bool:
        """Whether large files may be uploaded in parts, straight to what keeps them."""
        try:
            info = self.transport.json("GET", "/api/3.0/mlflow/server-info")
        except Refused:
            return False
        return info.get("multipart_uploads_enabled") is True

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    def _post(self, path: str, body: Mapping[str, Any], repeatable: bool = True) -> Json:
        return self.transport.json("POST", API + path, body, repeatable=repeatable)

    def _paged(self, path: str, name: str, body: Json) -> Iterator[Json]:
        while True:
            answer = self._post(path, body)
            yield from answer.get(name, ())
            token = answer.get("next_page_token")
            if not token:
                return
            body = {**body, "page_token": token}


def is_unknown(error: Refused) -> bool:
    """Whether the server is too old to know what it was asked for."""
    return error.status in (404, 405) and error.code in ("", "ENDPOINT_NOT_FOUND")


def pairs(texts: Mapping[str, str]) -> list[Json]:
    """Params or tags as the API writes them."""
    return [{"key": key, "value": value} for key, value in texts.items()]


def batches(metrics: Sequence[Json], params: Mapping[str, str], tags: Mapping[str, str]) -> list[Json]:
    """Bodies for `Client.log_batch` that keep to the API's limits.

    The tags come last, all of them in the last body if they fit, so that what they say of the others is true.
    """
    made: list[Json] = []
    body: Json = {}
    size = count = 0
    limits = {"metrics": MAX_METRICS, "params": MAX_PARAMS, "tags": MAX_TAGS}
    for kind, items in (("metrics", list(metrics)), ("params", pairs(params)), ("tags", pairs(tags))):
        if kind == "tags" and (count + len(items) > MAX_ENTITIES or size + len(dumps({"": items})) > MAX_BYTES):
            if body:
                made.append(body)
            body, size, count = {}, 0, 0
        for item in items:
            length = len(dumps(item)) + 8
            if body and (size + length > MAX_BYTES or count == MAX_ENTITIES or len(body.get(kind, ())) == limits[kind]):
                made.append(body)
                body, size, count = {}, 0, 0
            body.setdefault(kind, []).append(item)
            size += length
            count += 1
    if body:
        made.append(body)
    return made
