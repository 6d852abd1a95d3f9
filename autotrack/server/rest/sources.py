"""From where a model version is: what a client names becomes a run of this store and a path among its artifacts."""

from __future__ import annotations

import re
from typing import Final

from autotrack.entities import Run
from autotrack.errors import ModelError, RunNotFound
from autotrack.query.registered import find_version, parse
from autotrack.server import problems
from autotrack.server.places import told
from autotrack.server.problems import Problem
from autotrack.server.rest import locating, model_records
from autotrack.server.rest.locating import run_of
from autotrack.server.rest.parsing import shown
from autotrack.stores.registry import RegistryStore

_RUNS: Final = re.compile(r"runs:/(?P<run>[^/]+)/(?P<path>.+)")
_MODELS: Final = re.compile(r"models:/(?P<rest>[^/].*)")
_PROXIED: Final = re.compile(
    r"mlflow-artifacts:(?://[A-Za-z0-9.\-]+(?::[0-9]{1,5})?|//\[[0-9A-Fa-f:.]+\](?::[0-9]+)?)?/(?P<path>[^/].*)"
)
_TRICKS: Final = re.compile(r"[?#;%\\\x00-\x1f\x7f]")


def resolve(registry: RegistryStore, source: str, run_id: str | None, model_id: str | None) -> tuple[Run, str]:
    """The run that a source is from, and the path among its artifacts; blocks.

    Parameters
    ----------
    source : ``runs:/RUN/path``, ``models:/MODEL_ID``, ``models:/NAME/3``, ``models:/NAME@alias``, or
        ``mlflow-artifacts:/EXPERIMENT/RUN/artifacts/path``.
    run_id, model_id : what the client tells besides; they have to fit.

    Raises
    ------
    Problem
        For any other source, or one that is not in this store.
    """
    if len(source) > 8000 or _TRICKS.search(source):
        raise _refused(source, "it has characters that no source here has")
    if run_id:
        run_of(registry, run_id)
    run, path = _place(registry, source)
    if not path:
        raise _refused(source, "it names no folder among the run's artifacts")
    if run_id and run.run_id != run_id:
        raise _refused(source, f"it is of run {run.run_id}, and run_id is {shown(run_id)}")
    if model_id and locating.logged_model(registry, model_id)[1].path != path:
        raise _refused(source, f"it is not the model of model_id {shown(model_id)}")
    return run, path


def _place(registry: RegistryStore, source: str) -> tuple[Run, str]:
    if match := _RUNS.fullmatch(source):
        return run_of(registry, match["run"]), locating.checked(match["path"])
    if match := _MODELS.fullmatch(source):
        if "/" not in match["rest"] and "@" not in match["rest"]:
            run, model = model_records.there(registry, match["rest"])
            return run, model.path
        try:
            version = find_version(registry, parse(source))
            return registry.get_run(version.run_id), version.path
        except RunNotFound:
            raise _refused(source, "its run is not in this store any more") from None
        except ModelError as error:
            raise _refused(source, told(error, registry)) from None
    if match := _PROXIED.fullmatch(source):
        place = locating.resolve(registry, match["path"])
        return place.run, place.path
    raise _refused(source, "it is none of the forms below")


def _refused(source: str, reason: str) -> Problem:
    return Problem(
        problems.INVALID,
        f"Invalid model version source: {shown(source)}: {reason}. A version is of a model in this store: "
        "runs:/<run id>/<path>, models:/<model id>, models:/<name>/<version> or "
        "mlflow-artifacts:/<experiment id>/<run id>/artifacts/<path>",
    )
