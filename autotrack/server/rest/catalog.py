"""Which experiments there are: by their ids, which never change, and by the names they are called now.

The id is a function of the name that runs give. Renaming changes what an experiment is called, not what its runs give;
one that is created later under a name that another had is kept under a name that is still free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from autotrack.entities import ACTIVE, DEFAULT_EXPERIMENT
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import wire
from autotrack.server.site import Site
from autotrack.stores.base import Store
from autotrack.stores.glances import experiment_facts

_DEFAULT_ID: Final = "0"
_MOST_NAMES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Entry:
    """An experiment: ``name`` is the one that runs give."""

    name: str
    facts: Mapping[str, Any]

    @property
    def experiment_id(self) -> str:
        return wire.experiment_id(self.name)

    @property
    def shown_name(self) -> str:
        return wire.shown_name(self.name, self.facts)

    @property
    def is_active(self) -> bool:
        return self.stage == ACTIVE

    @property
    def stage(self) -> str:
        """``"active"`` or ``"deleted"``."""
        return self.facts.get("stage") or ACTIVE


_names: WeakKeyDictionary[Site, dict[str, str]] = WeakKeyDictionary()
"""Of each site: the names by the ids, as far as they were asked for. They never change."""


def by_id(site: Site, experiment_id: str) -> Entry:
    """The experiment of an id; blocks.

    Raises
    ------
    Problem
        When there is none.
    """
    name = _known(site).get(experiment_id)
    if name is not None:
        facts = experiment_facts(site.store, [name])
        if name in facts or experiment_id == _DEFAULT_ID:
            return Entry(name, facts.get(name, {}))
    found = all_of(site.store).get(experiment_id)
    if found is None:
        raise Problem(problems.NOT_FOUND, f"No Experiment with id={experiment_id[:100]} exists")
    _remember(site, [found])
    return found


def names_of(site: Site, ids: Iterable[str]) -> list[str]:
    """The names that the runs of experiments give; ids that are unknown are passed over. Blocks."""
    wanted = list(dict.fromkeys(ids))
    known = _known(site)
    if any(experiment_id not in known for experiment_id in wanted):
        found = all_of(site.store)
        entries = [found[experiment_id] for experiment_id in wanted if experiment_id in found]
        _remember(site, entries)
        known = known | {entry.experiment_id: entry.name for entry in entries}
    return [known[experiment_id] for experiment_id in wanted if experiment_id in known]


def _known(site: Site) -> dict[str, str]:
    return _names.setdefault(site, {_DEFAULT_ID: DEFAULT_EXPERIMENT})


def _remember(site: Site, entries: Iterable[Entry]) -> None:
    names = _known(site)
    for entry in entries:
        names[entry.experiment_id] = entry.name
    if len(names) > _MOST_NAMES:
        _names[site] = {_DEFAULT_ID: DEFAULT_EXPERIMENT}


def by_shown_name(site: Site, name: str) -> Entry | None:
    """The experiment that is called so now, ``None`` where there is none; blocks."""
    facts = experiment_facts(site.store, [name])
    if name in facts and wire.shown_name(name, facts[name]) == name:
        return Entry(name, facts[name])
    found = (entry for entry in all_of(site.store).values() if entry.shown_name == name)
    return next(found, None)


def all_of(store: Store) -> dict[str, Entry]:
    """Every experiment by its id, the default one always among them; blocks."""
    facts = {DEFAULT_EXPERIMENT: {}, **experiment_facts(store)}
    return {wire.experiment_id(name): Entry(name, told) for name, told in facts.items()}


def free_name(site: Site, name: str) -> str:
    """The name under which an experiment that is to be called ``name`` can be kept; blocks."""
    candidate, number = name, 1
    while experiment_facts(site.store, [candidate]):
        number += 1
        candidate = f"{name} #{number}"
    return candidate
