"""Registered models and their versions as MLflow's clients read them, JSON types only.

What MLflow keeps of a version and autotrack has no place for stands in tags whose names begin with `wire.HIDDEN`; the
API does not show these tags, and nobody sets them by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from autotrack.entities import STAGE_TAG, ModelVersion, RegisteredModel
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import model_ids
from autotrack.server.rest.parsing import shown
from autotrack.server.rest.wire import HIDDEN
from autotrack.stores.mlflow.translation import USER

STAGE: Final = STAGE_TAG
"""Tag: the stage of a version, one of `STAGES` but the first."""
SOURCE: Final = HIDDEN + "source"
"""Tag: from where a version is, in the words of the client that made it."""
RUN_LINK: Final = HIDDEN + "run_link"
"""Tag: the address of a version's run in another server, as its client told it."""
UPDATED: Final = HIDDEN + "updated"
"""Tag: when a model or a version was changed last, in milliseconds since the epoch."""

NO_STAGE: Final = "None"
STAGING: Final = "Staging"
PRODUCTION: Final = "Production"
ARCHIVED: Final = "Archived"
STAGES: Final = (NO_STAGE, STAGING, PRODUCTION, ARCHIVED)


def checked_stage(stage: str) -> str:
    """A stage, however its letters are written.

    Raises
    ------
    Problem
        For what is none.
    """
    found = next((one for one in STAGES if one.lower() == stage.lower()), None)
    if found is None:
        raise Problem(
            problems.INVALID, f"Invalid Model Version stage: {shown(stage)}. Value must be one of {', '.join(STAGES)}."
        )
    return found


def stage_of(version: ModelVersion) -> str:
    """The stage of a version."""
    return version.tags.get(STAGE) or version.stage or NO_STAGE


def source_of(version: ModelVersion) -> str:
    """From where a version is."""
    return version.tags.get(SOURCE) or f"models:/{model_ids.id_of(version.run_id, version.path)}"


def shown_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that a client sees."""
    return {key: value for key, value in tags.items() if not key.startswith(HIDDEN)}


def settable(key: str) -> str:
    """The name of a tag that a client may set.

    Raises
    ------
    Problem
        For one of those that are hidden.
    """
    if key.startswith(HIDDEN):
        raise Problem(problems.INVALID, f"tags that begin with {HIDDEN} are the server's own; choose another key")
    return key


def updated(tags: Mapping[str, str], created: int | None) -> int:
    """When it was changed last, in milliseconds since the epoch."""
    told = tags.get(UPDATED, "")
    return max(created or 0, int(told) if told.isascii() and told.isdigit() and len(told) < 19 else 0)


def version_json(version: ModelVersion) -> dict[str, Any]:
    """A version."""
    tags = shown_tags(version.tags)
    told: dict[str, Any] = {
        "name": version.name,
        "version": str(version.version),
        "creation_timestamp": version.created_time or 0,
        "last_updated_timestamp": updated(version.tags, version.created_time),
        "user_id": tags.get(USER, ""),
        "current_stage": stage_of(version),
        "source": source_of(version),
        "run_id": version.run_id,
        "run_link": version.tags.get(RUN_LINK, ""),
        "status": "READY",
        "model_id": model_ids.id_of(version.run_id, version.path),
        "tags": _pairs(tags),
        "aliases": list(version.aliases),
    }
    if version.description:
        told["description"] = version.description
    return told


def model_json(model: RegisteredModel, versions: Sequence[ModelVersion]) -> dict[str, Any]:
    """A registered model.

    Parameters
    ----------
    versions : all that it has.
    """
    tags = shown_tags(model.tags)
    told: dict[str, Any] = {
        "name": model.name,
        "creation_timestamp": model.created_time or 0,
        "last_updated_timestamp": updated(model.tags, model.created_time),
        "user_id": tags.get(USER, ""),
        "latest_versions": [version_json(version) for version in latest_of(versions)],
        "tags": _pairs(tags),
        "aliases": [{"alias": alias, "version": str(number)} for alias, number in model.aliases.items()],
    }
    if model.description:
        told["description"] = model.description
    return told


def latest_of(versions: Iterable[ModelVersion], stages: Iterable[str] = STAGES) -> list[ModelVersion]:
    """The greatest version in each of these stages."""
    latest: dict[str, ModelVersion] = {}
    for version in versions:
        stage = stage_of(version)
        if stage not in latest or latest[stage].version < version.version:
            latest[stage] = version
    return [latest[stage] for stage in dict.fromkeys(stages) if stage in latest]


def _pairs(texts: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in texts.items()]
