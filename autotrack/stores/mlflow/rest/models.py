"""Models on a server: MLflow 3's logged models with their files, and versions of registered models."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from autotrack.digests import of_folder
from autotrack.errors import ModelError
from autotrack.models.mlmodel import MLMODEL, ModelInfo, read_mlmodel
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.rest.catalog import tags_of, texts_of
from autotrack.stores.mlflow.rest.client import MAX_PARAMS, Client, Json, is_unknown
from autotrack.stores.mlflow.rest.document import ID_TAG, PREFIX, Document
from autotrack.stores.mlflow.rest.files import Files, open_files
from autotrack.stores.mlflow.rest.transport import Refused

PATH_TAG: Final = PREFIX + "path"
DIGEST_TAG: Final = PREFIX + "digest"
SOURCE_TAG: Final = PREFIX + "source"
"""The tag of a model version that said which model of which run of ours it is, before there was `VERSION_TAG`."""

_READY: Final = "LOGGED_MODEL_READY"


class Models:
    """The models of runs. Safe for threads."""

    def __init__(self, client: Client) -> None:
        self.client: Final = client
        self._lock = threading.RLock()
        self._ids: dict[str, dict[str, str | None]] = {}
        self._infos: dict[str, dict[str, ModelInfo]] = {}
        self._places: dict[str, str] = {}
        self._stale: dict[str, list[str]] = {}
        self._new: set[str] = set()
        self._supported = True
        """False once the server turned out to have no logged models: MLflow 2 has none."""

    def ids(self, native_id: str) -> dict[str, str]:
        """The ids of a run's logged models, by path, as far as they are known."""
        with self._lock:
            return {path: found for path, found in self._ids.get(native_id, {}).items() if found is not None}

    def id_of(self, native_id: str, path: str) -> str | None:
        """The id of one logged model."""
        with self._lock:
            return self._ids.get(native_id, {}).get(path)

    def infos(self, native_id: str) -> dict[str, ModelInfo]:
        """What the ``MLmodel`` files of the models say that were put here."""
        with self._lock:
            return dict(self._infos.get(native_id, {}))

    def find(self, native: Json, paths: Iterable[str], document: Document | None) -> None:
        """Look for the logged models of these paths, where they are not known yet."""
        native_id = str(native["info"]["run_id"])
        with self._lock:
            known = self._ids.setdefault(native_id, {})
            for path, found in (document.model_ids if document is not None else {}).items():
                known.setdefault(path, found)
            unknown = [path for path in paths if path not in known]
            if native_id in self._new and not known:
                return  # made here, and none of its models was put as one
        if unknown:
            there = self._there(native) or []
            with self._lock:
                for path in unknown:
                    ready = [model for model in there if _is(model, path) and model["info"].get("status") == _READY]
                    known.setdefault(path, str(ready[-1]["info"]["model_id"]) if ready else None)

    def begin(self, native: Json, path: str, folder: Path) -> tuple[Files, bool] | None:
        """Make room for a model's folder: where its files go, and whether they are there already.

        `finish` is to be called when they are there. ``None`` where the server has no logged models, or none by this
        name: then the folder is one like others.
        """
        if limits.model_name_for(path) != path:
            return None
        native_id = str(native["info"]["run_id"])
        with self._lock:
            is_first = native_id in self._new and path not in self._ids.get(native_id, {})
        there = [] if is_first and self._supported else self._there(native)
        if there is None:
            return None
        digest = of_folder(folder)
        mine = [model for model in there if _is(model, path)]
        same = [model for model in mine if _tags(model).get(DIGEST_TAG) == digest]
        found = same[-1] if same else self._create(native, path, digest)
        if found is None:
            return None
        self._remember(native, path, found, folder)
        model_id = str(found["info"]["model_id"])
        with self._lock:
            self._stale[model_id] = [i for model in mine if (i := str(model["info"]["model_id"])) != model_id]
        return open_files(self.client, str(found["info"]["artifact_uri"])), found["info"].get("status") == _READY

    def finish(self, native: Json, path: str) -> None:
        """All files of a model are there: show it, and put away what it takes the place of."""
        model_id = self.id_of(str(native["info"]["run_id"]), path)
        assert model_id is not None
        self.client.finish_model(model_id)
        with self._lock:
            stale = self._stale.pop(model_id, [])
        for other in stale:
            self.client.delete_model(other)

    def forget(self, native_id: str) -> None:
        """Ask for the logged models of a run anew: somebody else may have put some."""
        with self._lock:
            self._new.discard(native_id)
            self._ids.pop(native_id, None)

    def is_new(self, native: Json) -> None:
        """A run was made just now: it has no models yet."""
        with self._lock:
            self._new.add(str(native["info"]["run_id"]))

    def files_of(self, model_id: str, native: Json) -> Files | None:
        """The files of a logged model; ``None`` for one that is gone."""
        with self._lock:
            place = self._places.get(model_id)
        if place is None:
            for model in self._there(native) or ():
                with self._lock:
                    self._places[str(model["info"]["model_id"])] = str(model["info"]["artifact_uri"])
            place = self._places.get(model_id)
        return None if place is None else open_files(self.client, place)

    def logged(self, native: Json) -> list[tuple[str, str]]:
        """Names and ids of the logged models of a run that MLflow's own clients made."""
        return [
            (str(model["info"].get("name", "")), str(model["info"]["model_id"]))
            for model in self._there(native) or ()
            if model["info"].get("status") == _READY
        ]

    def place_of(self, native: Json, path: str) -> tuple[str, str | None]:
        """Where the files of a model of a run stand, and its id where it is a logged model."""
        model_id = self.id_of(str(native["info"]["run_id"]), path)
        if model_id is None and ID_TAG not in tags_of(native):
            model_id = dict(self.logged(native)).get(path)
        if model_id is None:
            return f"{native['info']['artifact_uri']}/{path}", None
        self.files_of(model_id, native)
        with self._lock:
            return self._places.get(model_id, ""), model_id

    def _create(self, native: Json, path: str, digest: str) -> Json | None:
        info = native["info"]
        params = dict(list(texts_of(native, "params").items())[:MAX_PARAMS])
        tags = {PATH_TAG: path, DIGEST_TAG: digest}
        try:
            return self.client.create_model(str(info["experiment_id"]), path, str(info["run_id"]), tags, params)
        except Refused as error:
            if is_unknown(error):
                self._supported = False
                return None
            raise

    def _remember(self, native: Json, path: str, model: Json, folder: Path) -> None:
        native_id = str(native["info"]["run_id"])
        with self._lock:
            self._ids.setdefault(native_id, {})[path] = str(model["info"]["model_id"])
            self._places[str(model["info"]["model_id"])] = str(model["info"]["artifact_uri"])
            try:
                self._infos.setdefault(native_id, {})[path] = read_mlmodel(folder)
            except ModelError:  # not one that can be read: it is kept as it is
                self._infos.setdefault(native_id, {}).pop(path, None)

    def _there(self, native: Json) -> list[Json] | None:
        """The logged models of a run, the oldest first; ``None`` where the server has no such thing."""
        if not self._supported:
            return None
        found = self.client.models(str(native["info"]["experiment_id"]), str(native["info"]["run_id"]))
        if found is None:
            self._supported = False
            return None
        return sorted(found, key=lambda model: int(model["info"].get("creation_timestamp_ms", 0)))


def is_model(folder: Path) -> bool:
    """Whether a folder is a model's."""
    return (folder / MLMODEL).is_file()


def _is(model: Json, path: str) -> bool:
    return _tags(model).get(PATH_TAG) == path


def _tags(model: Json) -> Mapping[str, Any]:
    return {tag["key"]: tag.get("value", "") for tag in model["info"].get("tags", ())}
