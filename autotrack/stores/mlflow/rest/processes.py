"""The facts of processes, kept once for all of a process's runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autotrack.entities import DEFAULT_EXPERIMENT
from autotrack.events import Entry, RunStarted
from autotrack.stores.mlflow.rest.catalog import Catalog, facts_of
from autotrack.stores.mlflow.rest.records import passed


class Processes:
    """Writes what processes tell of themselves. The caller holds a lock."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._homes: dict[str, str] = {}
        self._facts: dict[str, dict[str, Any]] = {}

    def home(self, process_id: str) -> str:
        """The experiment where the facts of a process lie, as far as that was asked for; else blank."""
        return self._homes.get(process_id, "")

    def apply(self, process_id: str, entries: Sequence[Entry], runs: Mapping[str, list[Entry]]) -> bool:
        """Keep the facts of a process; whether they were new.

        Parameters
        ----------
        runs : the entries of the runs that come with them: the facts lie beside the first of the process's runs.
        """
        home = self._found(process_id, runs)
        sidecars = self._catalog.process(home, process_id)
        known = sidecars.known() or sidecars.entries()
        last: dict[str, int] = {}
        for entry in known:
            last[entry.journal_id] = max(entry.number, last.get(entry.journal_id, 0))
        new = passed(entries, last)
        if new:
            sidecars.put(new)
        self._facts[process_id] = facts_of(sidecars.known())
        return bool(new)

    def _found(self, process_id: str, runs: Mapping[str, list[Entry]]) -> str:
        if process_id not in self._homes:
            home = self._catalog.home(process_id)
            if home is None:
                starts = (entry.event for entries in runs.values() for entry in entries)
                mine = [e for e in starts if isinstance(e, RunStarted) and e.process_id == process_id != ""]
                if mine:
                    home = self._catalog.experiment_for(mine[0].experiment)
                else:
                    home = self._catalog.default_home() or self._catalog.experiment_for(DEFAULT_EXPERIMENT)
            self._homes[process_id] = home
        return self._homes[process_id]

    def facts(self, process_id: str, experiment: str) -> dict[str, Any]:
        """The facts of the process of a run; of one that nothing is known of they will lie in the run's experiment."""
        if process_id not in self._facts:
            home = self._homes.get(process_id) or self._catalog.home(process_id) or (experiment if process_id else "")
            if not home:
                return {}
            self._homes[process_id] = home
            self._facts[process_id] = self._catalog.facts(home, process_id)
        return self._facts[process_id]
