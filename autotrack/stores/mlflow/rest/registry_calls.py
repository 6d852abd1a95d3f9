"""MLflow's REST API for registered models: one method per endpoint, plain mappings in and out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from autotrack.errors import ModelError, ModelNotFound
from autotrack.stores.mlflow.rest.client import API, BAD_VALUE, EXISTS, NOT_THERE, Client, Json, pairs
from autotrack.stores.mlflow.rest.transport import Refused

_MODELS: Final = "registered-models/"
_VERSIONS: Final = "model-versions/"
_MODELS_PAGE: Final = 1000
_VERSIONS_PAGE: Final = 1000


class RegistryCalls:
    """A tracking server's endpoints for registered models."""

    def __init__(self, client: Client) -> None:
        self._transport = client.transport

    def models(self) -> list[Json]:
        """All registered models."""
        return list(self._paged(_MODELS + "search", "registered_models", {"max_results": _MODELS_PAGE}))

    def model(self, name: str) -> Json | None:
        """One registered model; ``None`` where there is none."""
        try:
            found = self._transport.json("GET", f"{API}{_MODELS}get", query={"name": name})
        except Refused as error:
            if error.code in (NOT_THERE, BAD_VALUE):
                return None
            raise
        return dict(found["registered_model"])

    def create_model(self, name: str, description: str, tags: Mapping[str, str]) -> None:
        """Make a registered model."""
        self._call("POST", _MODELS + "create", {"name": name, "description": description, "tags": pairs(tags)})

    def rename_model(self, name: str, new_name: str) -> None:
        """Give a registered model another name."""
        self._call("POST", _MODELS + "rename", {"name": name, "new_name": new_name})

    def delete_model(self, name: str) -> None:
        """Delete a registered model for good; nothing for one that is not there."""
        self._call("DELETE", _MODELS + "delete", {"name": name}, missing_is_fine=True)

    def describe_model(self, name: str, description: str) -> None:
        """Set its description."""
        self._call("PATCH", _MODELS + "update", {"name": name, "description": description})

    def set_model_tag(self, name: str, key: str, value: str | None) -> None:
        """Set a tag, or take it away."""
        self._tag(_MODELS, {"name": name}, key, value)

    def versions(self, name: str) -> list[Json]:
        """The versions of a registered model, in no order."""
        quoted = name.replace("'", "''")
        query = {"filter": f"name = '{quoted}'", "max_results": _VERSIONS_PAGE}
        return list(self._paged(_VERSIONS + "search", "model_versions", query))

    def version(self, name: str, version: int) -> Json | None:
        """One version; ``None`` where there is none."""
        query = {"name": name, "version": str(version)}
        try:
            found = self._transport.json("GET", f"{API}{_VERSIONS}get", query=query)
        except Refused as error:
            if error.code in (NOT_THERE, BAD_VALUE):
                return None
            raise
        return dict(found["model_version"])

    def describe_version(self, name: str, version: int, description: str) -> None:
        """Set its description."""
        self._call("PATCH", _VERSIONS + "update", {**_key(name, version), "description": description})

    def set_version_tag(self, name: str, version: int, key: str, value: str | None) -> None:
        """Set a tag, or take it away."""
        self._tag(_VERSIONS, _key(name, version), key, value)

    def delete_version(self, name: str, version: int) -> None:
        """Delete a version; nothing for one that is not there."""
        self._call("DELETE", _VERSIONS + "delete", _key(name, version), missing_is_fine=True)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let an alias point to a version."""
        self._call("POST", _MODELS + "alias", {**_key(name, version), "alias": alias})

    def delete_alias(self, name: str, alias: str) -> None:
        """Take an alias away; nothing for one that is not there."""
        self._call("DELETE", _MODELS + "alias", {"name": name, "alias": alias}, missing_is_fine=True)

    def logged_model(self, model_id: str) -> Json | None:
        """A logged model of MLflow 3; ``None`` where there is none."""
        try:
            return dict(self._transport.json("GET", f"{API}logged-models/{model_id}")["model"])
        except Refused:
            return None

    def _tag(self, kind: str, of: Mapping[str, Any], key: str, value: str | None) -> None:
        if value is None:
            self._call("DELETE", kind + "delete-tag", {**of, "key": key}, missing_is_fine=True)
        else:
            self._call("POST", kind + "set-tag", {**of, "key": key, "value": value})

    def _call(self, method: str, path: str, body: Json, *, missing_is_fine: bool = False) -> None:
        try:
            self._transport.json(method, API + path, body)
        except Refused as error:
            if not (missing_is_fine and error.code == NOT_THERE):
                raise

    def _paged(self, path: str, name: str, query: Json) -> Iterator[Json]:
        while True:
            answer = self._transport.json("GET", API + path, query=query)
            yield from answer.get(name, ())
            token = answer.get("next_page_token")
            if not token:
                return
            query = {**query, "page_token": token}


def _key(name: str, version: int) -> Json:
    return {"name": name, "version": str(version)}


@contextmanager
def translated() -> Iterator[None]:
    """What the server refuses, as errors about models."""
    try:
        yield
    except Refused as error:
        if error.code == NOT_THERE:
            raise ModelNotFound(str(error)) from error
        if error.code in (BAD_VALUE, EXISTS):
            raise ModelError(str(error)) from error
        raise
