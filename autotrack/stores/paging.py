"""Pages of runs, counts, children, names and change marks: what tables of runs are made from.

A store that answers one of these by an index has a method of the same name, without the first parameter; any other is
asked by `Store.search_runs`, which finds the same and takes as long as the store has runs.

Pages survive what is written meanwhile: a run that was there all the time, and whose values in ``order_by`` did not
change, is on exactly one page, whatever else was recorded, changed, deleted or restored between two pages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from autotrack.entities import Run
from autotrack.errors import PageTokenError
from autotrack.stores import tokens
from autotrack.stores.base import ACTIVE_RUNS, ALL_RUNS, Store, View
from autotrack.stores.expressions import Field, Order
from autotrack.stores.filters import parse_orders
from autotrack.stores.matching import sort_key
from autotrack.stores.tokens import Plain

__all__ = [
    "MOST_NAMES",
    "Names",
    "Page",
    "PageTokenError",
    "change_mark",
    "children_of",
    "count_runs",
    "names_of",
    "page_runs",
]

MOST_NAMES: Final = 2000
"""So many params, metrics and tags are named at the most, each."""

_KIND: Final = "runs"
_REMEMBERED: Final = 64
_DIGEST: Final = 12
_MARK: Final = 32
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Some runs of a search, in its order; ``next`` is the token of the page behind, ``None`` for the last one."""

    runs: list[Run]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Names:
    """The keys that active runs have, sorted, `MOST_NAMES` of each at the most."""

    params: list[str]
    metrics: list[str]
    tags: list[str]


def page_runs(
    store: Store,
    filter: str | None = None,
    order_by: Sequence[str] = (),
    limit: int = 100,
    *,
    experiments: Sequence[str] | None = None,
    view: View = ACTIVE_RUNS,
    after: str | None = None,
    top_level: bool = False,
) -> Page:
    """The next runs that a filter names, in the order of `Store.search_runs`.

    Parameters
    ----------
    filter, order_by, view : as for `Store.search_runs`.
    limit : how many runs a page has at the most; a search may go on with another.
    experiments : the names of those to look in, ``None`` for all; an empty sequence names no run.
    after : `Page.next` of the page before; ``None`` for the first page.
    top_level : leave out the runs whose parent is of the same view and experiments, whether the filter names it or not.

    Raises
    ------
    FilterError
        When the filter or an order cannot be understood.
    PageTokenError
        When ``after`` is not a token of this search.
    """
    native = _native(store, "page_runs")
    if native is not None:
        page: Page = native(
            filter, order_by, limit, experiments=experiments, view=view, after=after, top_level=top_level
        )
        return page
    orders = parse_orders(order_by)
    search = tokens.search_digest(_KIND, filter, order_by, experiments, view, top_level)
    reached = None if after is None else _Reached(tokens.decode(search, after), orders)
    found = _found(store, filter, order_by, experiments, view, top_level)
    if reached is not None:
        found = reached.behind(found)
    runs = found[: max(0, limit)]
    if not runs or len(found) == len(runs):
        return Page(runs)
    return Page(runs, _token(search, runs, orders, reached))


def count_runs(
    store: Store,
    filter: str | None = None,
    *,
    experiments: Sequence[str] | None = None,
    view: View = ACTIVE_RUNS,
    at_most: int | None = None,
    top_level: bool = False,
) -> int:
    """How many runs all pages of a search have together.

    Parameters
    ----------
    at_most : counting stops there, for a table that says "more than 10,000"; ``None`` counts them all.

    Raises
    ------
    FilterError
        When the filter cannot be understood.
    """
    native = _native(store, "count_runs")
    if native is not None:
        return int(native(filter, experiments=experiments, view=view, at_most=at_most, top_level=top_level))
    count = len(_found(store, filter, (), experiments, view, top_level))
    return count if at_most is None else min(count, max(0, at_most))


def children_of(
    store: Store, run_ids: Sequence[str], *, view: View = ACTIVE_RUNS, limit_each: int | None = None
) -> dict[str, list[Run]]:
    """The runs that were made inside each of these, oldest first; an empty list for a run that has none.

    Parameters
    ----------
    limit_each : how many of each run at the most.
    """
    native = _native(store, "children_of")
    if native is not None:
        children: dict[str, list[Run]] = native(run_ids, view=view, limit_each=limit_each)
        return children
    found: dict[str, list[Run]] = {run_id: [] for run_id in run_ids}
    wanted = list(found)
    for start in range(0, len(wanted), _AT_ONCE):
        quoted = ("'" + run_id.replace("'", "''") + "'" for run_id in wanted[start : start + _AT_ONCE])
        for run in reversed(store.search_runs(f"attributes.parent_run_id IN ({', '.join(quoted)})", view=view)):
            if run.parent_run_id is not None:
                found[run.parent_run_id].append(run)
    if limit_each is not None:
        found = {run_id: runs[: max(0, limit_each)] for run_id, runs in found.items()}
    return found


def names_of(store: Store, experiment: str | None = None) -> Names:
    """The keys of params, metrics and tags that active runs have: what a table can show and a filter ask for.

    Parameters
    ----------
    experiment : only those of its runs. A store that answers by an index may leave out what few runs of a very large
        experiment have.
    """
    native = _native(store, "names_of")
    if native is not None:
        names: Names = native(experiment)
        return names
    runs = store.search_runs(experiment=experiment)
    return Names(
        sorted_names(key for run in runs for key in run.params),
        sorted_names(key for run in runs for key in run.metrics),
        sorted_names(key for run in runs for key in run.tags),
    )


def change_mark(store: Store) -> str:
    """A short text that is another one once anything was recorded or applied, by whichever process.

    It may be another one though nothing a reader sees has changed. A store without an answer of its own is read whole.
    """
    native = _native(store, "change_mark")
    if native is not None:
        return str(native())
    told = hashlib.sha256()
    for run in store.search_runs(view=ALL_RUNS):
        told.update(repr(run).encode("utf-8", "surrogatepass"))
    return told.hexdigest()[:_MARK]


def by_fields(orders: Sequence[Order]) -> list[Order]:
    """The orders without those that change nothing: sorted by a field once, runs are equal in it."""
    found: dict[Field, Order] = {}
    for order in orders:
        found.setdefault(order.field, order)
    return list(found.values())


def digest_of(text: str) -> str:
    """A short text that stands for a long one."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]


def sorted_names(names: Iterable[str]) -> list[str]:
    """The names once each, sorted, and not too many."""
    return sorted(set(names))[:MOST_NAMES]


def _native(store: Store, name: str) -> Callable[..., Any] | None:
    method = getattr(store, name, None)
    return method if callable(method) else None


def _found(
    store: Store,
    filter: str | None,
    order_by: Sequence[str],
    experiments: Sequence[str] | None,
    view: View,
    top_level: bool,
) -> list[Run]:
    """Every run of a search."""
    names = None if experiments is None else set(experiments)
    only = next(iter(names)) if names is not None and len(names) == 1 else None

    def in_order(filter: str | None, order_by: Sequence[str]) -> list[Run]:
        found = store.search_runs(filter, order_by, 0 if names == set() else None, experiment=only, view=view)
        return found if names is None or only is not None else [run for run in found if run.experiment in names]

    runs = in_order(filter, order_by)
    if not top_level or not any(run.parent_run_id is not None for run in runs):
        return runs
    there = runs if filter is None else in_order(None, ())
    shown = {run.run_id for run in there}
    return [run for run in runs if run.parent_run_id not in shown]


class _Reached:
    """Where the page before ended, in a list of runs of which only the order is known.

    Of runs with equal values and start times the list alone tells which comes first. Those of them that were shown are
    remembered, the latest ones: behind the last of these that is still there it goes on.
    """

    def __init__(self, place: tokens.Place, orders: Sequence[Order]) -> None:
        self._place = place
        self._orders = orders
        start_time, *texts = place.ties or ("",)
        if not texts or isinstance(start_time, str):
            raise tokens.refused()  # a stranger made it
        self._start_time = start_time
        self._run_id, *self.shown = map(str, texts)
        self.values: list[Plain] = []

    def behind(self, runs: list[Run]) -> list[Run]:
        """The runs of the pages that follow.

        Raises
        ------
        PageTokenError
            When that cannot be told.
        """
        keys = self._place.whole(self._orders, lambda: self._keys_of(self._run_id, runs))
        self.values = [*keys, self._start_time]
        remembered = set(self.shown)
        begin: int | None = None
        for number, run in enumerate(runs):
            side = self._compare(run, keys)
            if side > 0:
                return runs[number if begin is None else begin :]
            if side == 0 and _digest(run) in remembered:
                begin = number + 1
            elif side == 0 and begin is None:
                begin = number
        return [] if begin is None else runs[begin:]

    def _keys_of(self, run_id: str, runs: Sequence[Run]) -> list[Plain] | None:
        return next(([_key(order, run) for order in self._orders] for run in runs if run.run_id == run_id), None)

    def _compare(self, run: Run, keys: Sequence[Plain]) -> int:
        """Less than 0 for a run before this place, 0 for one beside it, else more."""
        for order, key in zip(self._orders, keys):
            side = _side(_key(order, run), key, order.descending)
            if side:
                return side
        return _side(run.start_time, self._start_time, True)


def _token(search: bytes, runs: Sequence[Run], orders: Sequence[Order], before: _Reached | None) -> str:
    """The token of the place behind these runs."""
    last = runs[-1]

    def place(run: Run) -> list[Plain]:
        return [*(_key(order, run) for order in orders), run.start_time]

    *keys, start_time = place(last)
    shown: list[str] = []
    for run in reversed(runs):
        if place(run) != [*keys, start_time]:
            break
        shown.append(_digest(run))
    if before is not None and before.values == [*keys, start_time]:
        shown += before.shown
    return tokens.encode(search, keys, [start_time, last.run_id, *shown[:_REMEMBERED]])


def _key(order: Order, run: Run) -> Plain:
    """What a run is sorted by; a number goes before a text, nothing comes last."""
    found = sort_key(order.field, run)
    return None if found is None else cast(Plain, found[-1])


def _side(key: Plain, other: Plain, descending: bool) -> int:
    if key == other:
        return 0
    if key is None or other is None:
        return 1 if key is None else -1
    rank, other_rank = (isinstance(key, str), key), (isinstance(other, str), other)
    return 1 if (rank < other_rank if descending else rank > other_rank) else -1


def _digest(run: Run) -> str:
    return digest_of(run.run_id)[:_DIGEST]
