"""From ``models:/<name>/<version>`` to the recorded model that is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from autotrack.entities import FINISHED, LoggedModel, Run
from autotrack.errors import ModelError
from autotrack.query import text
from autotrack.query.sources import Keeper, StoreLike, source
from autotrack.query.view import RunView
from autotrack.stores.base import Store

LATEST: Final = "latest"
_FORM: Final = "'models:/<name>/<version>', such as 'models:/churn/3' or 'models:/churn/latest'"
_VERSION: Final = re.compile(r"[0-9]{1,18}")


def find_registered(uri: str, store: StoreLike = None) -> tuple[RunView, LoggedModel]:
    """The run and the model of a registered version.

    Parameters
    ----------
    uri : ``models:/<name>/<number>`` or ``models:/<name>/latest``.
    store : as for `autotrack.get_run`.

    Raises
    ------
    ModelError
        When it is no such URI, or the store has no such model or version; the message says what there is.
    """
    name, version = _parse(uri)
    opened = source(store)
    versions = list(registered_versions(opened, name))
    if not versions:
        raise ModelError(_unknown(opened, name))
    if version == LATEST:
        found = [pair for pair in versions if pair[0].status == FINISHED]
        if not found:
            raise ModelError(
                f"no run that finished has a model {text.plain(name)!r}; load one of its {_span(versions)} by number"
            )
        run, model = found[-1]
    else:
        number = int(version)
        if not 1 <= number <= len(versions):
            raise ModelError(
                f"the model {text.plain(name)!r} has no version {number} in {text.plain(opened.uri)}: it has "
                f"{_span(versions)}"
            )
        run, model = versions[number - 1]
    return RunView(run, opened, None if opened is store else Keeper(opened)), model


def registered_versions(store: Store, name: str) -> Iterator[tuple[Run, LoggedModel]]:
    """Every model recorded under this name, in the order in which their runs started: version 1 first."""
    quoted = name.replace("'", "''")
    runs = store.search_runs(f"models.registered_model_name = '{quoted}' AND start_time IS NOT NULL")
    for run in reversed(runs):
        for model in run.models:
            if model.registered_model_name == name:
                yield run, model


def _parse(uri: str) -> tuple[str, str]:
    shown = text.plain(uri)
    rest = uri.removeprefix("models:").strip("/")
    name, slash, version = rest.rpartition("/")
    if "@" in (version if slash else rest):
        raise ModelError(f"{shown!r}: there are no aliases yet; load a version by {_FORM}")
    if not slash or not name or not version:
        raise ModelError(f"{shown!r} names no version of a registered model; expected {_FORM}")
    if version != LATEST and not _VERSION.fullmatch(version):
        raise ModelError(f"{shown!r}: {text.plain(version)!r} is no version; expected {_FORM}")
    return name, version


def _span(versions: list[tuple[Run, LoggedModel]]) -> str:
    return "version 1" if len(versions) == 1 else f"versions 1 to {len(versions)}"


def _unknown(store: Store, name: str) -> str:
    runs = store.search_runs("models.registered_model_name IS NOT NULL", limit=1000)
    names = {model.registered_model_name for run in runs for model in run.models} - {None}
    shown = sorted(text.plain(str(known)) for known in names)
    there = f"there are {', '.join(shown[:10])}{', …' if len(shown) > 10 else ''}" if shown else "there are none"
    return (
        f"no model {text.plain(name)!r} is registered in {text.plain(store.uri)} ({there}); "
        "autolog(registered_model_name=…) registers every run's model under a name"
    )
