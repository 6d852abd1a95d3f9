"""Where artifacts are, as clients of the API spell it. What they spell becomes a run and a path among its artifacts.

No request names a place on the server: ``<experiment>/<run>/artifacts/<path>`` is taken apart, the run is looked up in
the store, and the store is asked for the path. What could mean another place to anybody who reads it more cleverly
(decodes it again, takes a backslash for a slash, cuts it at ``?``, ``#`` or ``;``) is refused before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from autotrack.entities import LoggedModel, Run
from autotrack.errors import RunNotFound
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import model_ids
from autotrack.server.rest.parsing import shown
from autotrack.stores.artifacts.folder import PARTIAL, parts_of
from autotrack.stores.artifacts.object_layout import HIDDEN
from autotrack.stores.base import Store
from autotrack.stores.mlflow.translation import model_name

SCHEME: Final = "mlflow-artifacts:"
ARTIFACTS: Final = "artifacts"
MODELS: Final = "models"
_FORM: Final = "<experiment id>/<run id>/artifacts/<path> or <experiment id>/models/<model id>/artifacts/<path>"

_LONGEST_PATH: Final = 4000
_MOST_LAYERS: Final = 10
"""So often may a path be percent-encoded."""
_LONGEST_PART: Final = 240
"""Bytes; a writer puts some behind it while it writes."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_URI: Final = re.compile(r"\s*(?:[a-z]:|[a-z][a-z0-9+.\-]*:$|(?:file|dbfs|data|https?|s3|gs|runs|models):)", re.I)
"""How a part of a path begins that somebody could take for a drive or a scheme."""
_BREAKS: Final = re.compile(r"[/\\;?#&]")


@dataclass(frozen=True, slots=True)
class Place:
    """A place among a run's artifacts.

    Parameters
    ----------
    path : relative to the run's artifacts, with forward slashes; empty for all of them.
    model : the logged model by whose id it was named, ``None`` when it was named by the run's.
    """

    run: Run
    path: str
    model: LoggedModel | None = None


def run_location(run: Run) -> str:
    """The URI of a run's artifacts, as clients are told it."""
    return f"{SCHEME}/{run.experiment_id}/{run.run_id}/{ARTIFACTS}"


def model_location(run: Run, model: LoggedModel) -> str:
    """The URI of a logged model's files."""
    return f"{SCHEME}/{run.experiment_id}/{MODELS}/{model_ids.id_of(run.run_id, model.path)}/{ARTIFACTS}"


def checked(path: str) -> str:
    """A path below some folder, without empty parts; empty for the folder itself.

    Raises
    ------
    Problem
        For one that could lead out of it, however it is read.
    """
    if len(path) > _LONGEST_PATH:
        raise _refused(path, f"it has more than {_LONGEST_PATH} characters")
    decoded = path
    for _ in range(_MOST_LAYERS):
        _check(path, decoded)
        decoded, before = unquote(decoded), decoded
        if decoded == before:
            break
    else:
        raise _refused(path, "it is encoded again and again")
    parts = parts_of(path)
    if parts is None:
        raise _refused(path, "it leads out of the artifacts")
    for part in parts:
        if PARTIAL.search(part) or part == HIDDEN:
            raise _refused(path, f"{shown(part)} is a name that autotrack keeps for itself")
        if len(part.encode("utf-8", "replace")) > _LONGEST_PART:
            raise _refused(path, f"a name in it has more than {_LONGEST_PART} bytes")
    return "/".join(parts)


def _check(path: str, decoded: str) -> None:
    if decoded.startswith("/"):
        raise _refused(path, "it is absolute")
    if "\\" in decoded:
        raise _refused(path, "it has a backslash; folders are parted by /")
    if _CONTROL.search(decoded):
        raise _refused(path, "it has a control character")
    if "//" in decoded:
        raise _refused(path, "a name in it is empty")
    for piece in _BREAKS.split(decoded):
        if piece.strip(" ") == "..":
            raise _refused(path, "it leads out of the artifacts")
    for part in decoded.split("/"):
        if _URI.match(part):
            raise _refused(path, "it reads as a URI or a drive")
        if part not in ("", ".") and part[-1] in ". ":
            raise _refused(path, "a name in it ends with a dot or a blank")


def _refused(path: str, reason: str) -> Problem:
    return Problem(problems.INVALID, f"Invalid path {shown(path)}: {reason}")


def run_of(store: Store, run_id: str) -> Run:
    """A run by its whole id, active or deleted.

    Raises
    ------
    Problem
        When there is none.
    """
    try:
        return store.get_run(run_id)
    except RunNotFound:
        raise Problem(problems.NOT_FOUND, f"Run with id={shown(run_id)} not found") from None


def logged_model(store: Store, model_id: str) -> tuple[Run, LoggedModel]:
    """The model of this id, and its run; also a model that was deleted.

    Raises
    ------
    Problem
        When there is none.
    """
    run_id = model_ids.run_of(model_id)
    if run_id is not None:
        try:
            run = store.get_run(run_id)
        except RunNotFound:
            pass
        else:
            model = model_ids.model_of(run, model_id)
            if model is not None:
                return run, model
    raise Problem(problems.NOT_FOUND, f"Logged model with ID {shown(model_id)} not found.")


def resolve(store: Store, spelled: str) -> Place:
    """The place that a path of the proxy names.

    Raises
    ------
    Problem
        When it names none, or could lead elsewhere.
    """
    parts = checked(spelled).split("/")
    if len(parts) >= 3 and parts[2] == ARTIFACTS and parts[1] != MODELS:
        run = run_of(store, parts[1])
        place = Place(run, "/".join(parts[3:]))
    elif len(parts) >= 4 and parts[1] == MODELS and parts[3] == ARTIFACTS:
        run, model = logged_model(store, parts[2])
        place = Place(run, "/".join([model.path, *parts[4:]]), model)
    else:
        raise _refused(spelled, f"here stand {_FORM}")
    if run.experiment_id != parts[0]:
        raise Problem(problems.NOT_FOUND, f"{shown(spelled)}: run {run.run_id} is in experiment {run.experiment_id}")
    return place


def writable(place: Place) -> Place:
    """The same place, where files may be put.

    Raises
    ------
    Problem
        When the run is deleted, or it is no place for a file.
    """
    if place.run.deleted_time is not None:
        raise Problem(
            problems.INVALID, f"run {place.run.run_id} is deleted: nothing is put among its artifacts; restore it first"
        )
    if not place.path or (place.model is not None and place.path == place.model.path):
        raise _refused(place.path, "it names no file")
    return place


def is_listed_by_itself(model: LoggedModel) -> bool:
    """Whether MLflow 3 shows the files of a logged model under the run's path already.

    Its client joins what stands under a path of the run and what the run's logged model of that name has, and would
    show each file twice, and fetch it twice.
    """
    return bool(model.model_id) and shown_name(model) == model.path


def shown_name(model: LoggedModel) -> str:
    """The name under which a client sees a logged model."""
    told = model.details.get("name")
    return told if isinstance(told, str) and told else model_name(model)
