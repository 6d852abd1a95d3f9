"""What MLflow's model versions are as ours: in folders and on servers, whoever made them.

A version that we made carries a tag with its source exactly, as MLflow's own fields cannot say it. It is not shown
among the version's tags.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from autotrack.errors import ModelError
from autotrack.stores.registry import checked_tags

PREFIX: Final = "autotrack."
VERSION_TAG: Final = PREFIX + "version"
"""Tag of a version: JSON with its run, path and digest, and whether the run itself named the model."""
DELETED_TAG: Final = PREFIX + "deleted"
"""Tag of a registered model that was deleted here. It stays, empty, because MLflow counts its versions anew without."""

MAX_VERSION: Final = 2**31 - 1
_STAGES: Final = {"staging": "Staging", "production": "Production", "archived": "Archived"}
_MAX_TAG: Final = 5000


class Source(NamedTuple):
    """What a version points to; ``logged`` says that the run itself named the registered model."""

    run_id: str
    path: str
    digest: str = ""
    logged: bool = False


def to_tag(source: Source) -> str:
    """The value of the tag that says it.

    Raises
    ------
    ModelError
        When it is too long for a tag.
    """
    text = json.dumps({"run": source.run_id, "path": source.path, "digest": source.digest, "logged": source.logged})
    if len(text) > _MAX_TAG:
        raise ModelError(f"a version cannot name a path of {len(source.path):,} characters in MLflow")
    return text


def from_tag(text: str | None) -> Source | None:
    """Undo `to_tag`; ``None`` for what it did not write."""
    try:
        data = json.loads(text or "")
        parts = data["run"], data["path"], data["digest"]
        return Source(*parts, bool(data.get("logged"))) if all(isinstance(part, str) for part in parts) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def stage_from(stage: Any) -> str:
    """A stage as we tell it; empty for MLflow's word for none."""
    return _STAGES.get(str(stage).lower(), "")


def shown_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of people."""
    return {key: tags[key] for key in sorted(tags) if not key.startswith(PREFIX)}


def own_tags(tags: Mapping[str, str | None] | None) -> dict[str, str | None]:
    """Tags that people may set.

    Raises
    ------
    ModelError
        For one of ours, and as `checked_tags`.
    """
    checked = checked_tags(tags)
    for key in checked:
        if key.startswith(PREFIX):
            raise ModelError(
                f"the tag {key!r} cannot be set: those that begin with {PREFIX!r} say what autotrack has to"
            )
    return checked


def path_from(source: str, artifacts: str) -> str:
    """The path of a model among its run's artifacts.

    Parameters
    ----------
    source : what MLflow says of the version; it is the path where it names another place.
    artifacts : the URI of the run's artifacts, empty where it is not known.
    """
    if source.startswith("runs:/"):
        return source.removeprefix("runs:/").partition("/")[2].strip("/")
    root = artifacts.rstrip("/") + "/"
    for begin in (root, root.removeprefix("file://")):
        if artifacts and source.startswith(begin):
            return source[len(begin) :].strip("/")
    return source
