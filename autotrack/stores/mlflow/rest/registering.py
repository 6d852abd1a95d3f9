"""Versions of registered models from what runs have logged, while their events are applied."""

from __future__ import annotations

import hashlib
from typing import Final

from autotrack.entities import LoggedModel
from autotrack.errors import StoreError
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.rest.document import PREFIX
from autotrack.stores.mlflow.rest.models import SOURCE_TAG, Models
from autotrack.stores.mlflow.rest.records import Record
from autotrack.stores.mlflow.rest.registry import create_version
from autotrack.stores.mlflow.versions import VERSION_TAG, Source, from_tag

REGISTERED: Final = PREFIX + "registered."
"""Begin of the tags of a run that say of which of its models a version was made, deleted since or not."""


def register_logged(models: Models, record: Record, model: LoggedModel) -> None:
    """Make a version of a registered model from a model of a run, once.

    A name that MLflow does not take is written with ``_`` for ``/`` and ``:``.
    """
    registered = model.registered_model_name or ""
    done = _tag(registered, model.path)
    if done in record.tags or record.state.started is None:
        return
    name = _name(registered)
    source = Source(record.run_id, model.path, model.digest, logged=True)
    models.client.create_registered_model(name)
    if not _is_there(models, name, record.native_id, source):
        create_version(models, name, record.native, source, tags={})
    models.client.set_tag(record.native_id, done, "1")
    record.tags[done] = "1"


def _is_there(models: Models, name: str, native_id: str, source: Source) -> bool:
    """Whether the version was made by somebody who was stopped before he could say so."""
    old = f"{source.run_id}/{source.path}"
    for version in models.client.model_versions(name, native_id):
        tags = {tag["key"]: tag.get("value", "") for tag in version.get("tags", ())}
        made = from_tag(tags.get(VERSION_TAG))
        if made is not None and made.logged and made[:2] == source[:2]:
            return True
        if tags.get(SOURCE_TAG) == old or tags.get(SOURCE_TAG, "").startswith(old + "@"):
            return True
    return False


def _tag(name: str, path: str) -> str:
    return REGISTERED + hashlib.sha256(f"{name}\0{path}".encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _name(name: str) -> str:
    cleaned = limits.name_for(name.replace("/", "_").replace(":", "_"), 250)
    if not cleaned.strip():
        raise StoreError(f"{name!r} cannot be the name of a registered model")
    return cleaned
