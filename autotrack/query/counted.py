"""Models that were logged under a name, counted: for a store that is no registry, and for names that none can have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from autotrack.entities import FINISHED, LoggedModel, Run
from autotrack.errors import ModelError, ModelNotFound
from autotrack.query import text
from autotrack.query.view import RunView
from autotrack.stores.base import Store

if TYPE_CHECKING:
    from autotrack.query.registered import FoundModel, RegisteredReference
    from autotrack.query.sources import Keeper


def find_counted(wanted: RegisteredReference, store: Store, keeper: Keeper | None) -> FoundModel:
    """The model that is meant, counted from 1 in the order in which runs started; the latest is of one that FINISHED.

    Raises
    ------
    ModelError
        When it names an alias or a stage, or there is no such model or number.
    """
    from autotrack.query.registered import LATEST, FoundModel

    name, place = text.plain(wanted.name), text.plain(store.uri)
    versions = list(_counted(store, wanted.name))
    if not versions:
        raise ModelNotFound(
            f"no model {name!r} is registered in {place}; autolog(registered_model_name=…) registers every run's model "
            "under a name"
        )
    if wanted.alias or not (wanted.version == LATEST or wanted.version.isdecimal()):
        what = f"aliases (here {text.plain(wanted.alias)!r})" if wanted.alias else "stages"
        raise ModelError(
            f"{place} keeps no {what} of the model {name!r}: models are only counted there; load one of its "
            f"{_span(versions)} by number"
        )
    if wanted.version == LATEST:
        found = [pair for pair in versions if pair[0].status == FINISHED]
        if not found:
            raise ModelError(f"no run that finished has a model {name!r}; load one of its {_span(versions)} by number")
        run, model = found[-1]
    else:
        number = int(wanted.version)
        if not 1 <= number <= len(versions):
            raise ModelNotFound(f"the model {name!r} has no version {number} in {place}: it has {_span(versions)}")
        run, model = versions[number - 1]
    return FoundModel(RunView(run, store, keeper), model.path, model.digest)


def _counted(store: Store, name: str) -> Iterator[tuple[Run, LoggedModel]]:
    quoted = name.replace("'", "''")
    runs = store.search_runs(f"models.registered_model_name = '{quoted}' AND start_time IS NOT NULL")
    for run in reversed(runs):
        for model in run.models:
            if model.registered_model_name == name:
                yield run, model


def _span(versions: list[tuple[Run, LoggedModel]]) -> str:
    return "version 1" if len(versions) == 1 else f"versions 1 to {len(versions)}"
