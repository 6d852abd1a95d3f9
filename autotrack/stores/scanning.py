"""The reads of stores that have no index: they look at every run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from autotrack.entities import Experiment, Run, experiment_id
from autotrack.stores.filters import matches, parse_filter, parse_orders, sort_runs


def search(
    runs: Callable[[], Iterable[Run]],
    filter: str | None,
    order_by: Sequence[str],
    limit: int | None,
    experiment: str | None,
) -> list[Run]:
    """What `autotrack.stores.base.Store.search_runs` gives.

    Parameters
    ----------
    runs : gives those of the view, newest first; called once filter and orders are understood.

    Raises
    ------
    FilterError
        When the filter or an order cannot be understood.
    """
    expression = parse_filter(filter)
    orders = parse_orders(order_by)
    meant = (run for run in runs() if experiment is None or run.experiment == experiment)
    found = sort_runs((run for run in meant if matches(expression, run)), orders)
    return found if limit is None else found[: max(0, limit)]


def find(runs: Callable[[], Iterable[Run]], reference: str) -> list[Run]:
    """What `autotrack.stores.base.Store.find_runs` gives; ``runs`` gives the active ones, newest first."""
    if not reference:
        return []
    return [run for run in runs() if run.run_id.startswith(reference) or run.name == reference]


def experiments(runs: Iterable[Run], facts: Mapping[str, Mapping[str, Any]] | None = None) -> list[Experiment]:
    """The experiments of these runs and those of which facts are known, by name, with the runs counted."""
    counts, facts = Counter(run.experiment for run in runs), facts or {}
    return [
        Experiment(experiment_id(name), name, counts[name], facts.get(name, {})) for name in sorted({*counts, *facts})
    ]
