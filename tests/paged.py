"""Searches gone through page by page, held against the whole search; for every kind of store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agreement import ORDERS, VALUES, as_order
from hypothesis import strategies as st

from autotrack.entities import Metric, Run
from autotrack.events import Event, LifecycleSet, MetricsLogged, ParamsLogged, RunEnded, TagsSet
from autotrack.stores.base import Store, View
from autotrack.stores.filters import parse_orders
from autotrack.stores.matching import sort_key
from autotrack.stores.paging import PageTokenError, count_runs, page_runs
from autotrack.testing.samples import Journal, started

FILTERS = (None, None, "metrics.a >= 0 or params.a is null", "tags.a != 'x'", "name like '%a%' or start_time > 0")
LONG = "long " * 200
TEXTS = st.one_of(VALUES, st.sampled_from([LONG, LONG + "x", "z" * 64, "z" * 64 + "y"]))


@dataclass
class Search:
    """What is asked for on every page."""

    filter: str | None
    order_by: list[str]
    experiments: list[str] | None
    view: View
    top_level: bool

    @property
    def asked(self) -> dict[str, Any]:
        """The keywords that count and pages share."""
        return {"experiments": self.experiments, "view": self.view, "top_level": self.top_level}


SEARCHES = st.builds(
    Search,
    st.sampled_from(FILTERS),
    ORDERS.map(lambda orders: [as_order(order) for order in orders]),
    st.sampled_from([None, None, ["e"], ["e", "f"], ["f", "none"], []]),
    st.sampled_from(["active", "active", "all", "deleted"]),
    st.booleans(),
)


def run_events(draw: st.DrawFn, run_id: str) -> list[Event]:
    """What makes one run; many are equal in what they are sorted by."""
    keys = st.sampled_from(["a", "b"])
    events: list[Event] = []
    if draw(st.integers(0, 5)):
        parent = draw(st.sampled_from([None, None, f"{0:032x}", f"{1:032x}", "gone"]))
        place = {"experiment": draw(st.sampled_from(["e", "f"])), "parent_run_id": parent}
        events.append(started(run_id, name=draw(VALUES), start_time=draw(st.integers(0, 2)), **place))
    events.append(ParamsLogged(run_id, draw(st.dictionaries(keys, TEXTS, max_size=2))))
    events.append(TagsSet(run_id, draw(st.dictionaries(keys, TEXTS, max_size=2))))
    values = draw(st.dictionaries(keys, st.one_of(st.sampled_from([0.0, 1.0]), st.floats()), max_size=2))
    events.append(MetricsLogged(run_id, tuple(Metric(key, value) for key, value in values.items())))
    if draw(st.booleans()):
        events.append(RunEnded(run_id, "FINISHED", draw(st.integers(0, 3)), draw(st.one_of(st.none(), TEXTS))))
    if draw(st.integers(0, 3)) == 0:
        events.append(LifecycleSet(run_id, "deleted", 1))
    return events


@st.composite
def many_runs(draw: st.DrawFn, most: int = 9) -> list[Event]:
    """Events of some runs."""
    return [event for number in range(draw(st.integers(1, most))) for event in run_events(draw, f"{number:032x}")]


@st.composite
def changes(draw: st.DrawFn, most: int = 3) -> list[list[Event]]:
    """What happens behind each page: runs are added, deleted, restored and changed."""
    batches = []
    for page in range(draw(st.integers(1, 5))):
        batch: list[Event] = []
        for number in range(draw(st.integers(0, most))):
            old = f"{draw(st.integers(0, 8)):032x}"
            match draw(st.sampled_from(["add", "delete", "delete", "restore", "metric", "tag", "end"])):
                case "add":
                    batch += run_events(draw, f"{100 + 10 * page + number:032x}")
                case "metric":
                    batch.append(MetricsLogged(old, (Metric("a", draw(st.floats()), 1 + page),)))
                case "tag":
                    batch.append(TagsSet(old, {"a": draw(TEXTS)}))
                case "end":
                    batch.append(RunEnded(old, "FAILED", draw(st.integers(0, 3))))
                case "delete":
                    batch.append(LifecycleSet(old, "deleted", 2 + page))
                case "restore":
                    batch.append(LifecycleSet(old, "active", 2 + page))
        batches.append(batch)
    return batches


def whole(store: Store, search: Search) -> list[Run]:
    """The search in one, by what every store has."""
    runs = [
        run
        for run in store.search_runs(search.filter, search.order_by, view=search.view)
        if search.experiments is None or run.experiment in search.experiments
    ]
    if not search.top_level:
        return runs
    there = {
        run.run_id
        for run in store.search_runs(view=search.view)
        if search.experiments is None or run.experiment in search.experiments
    }
    return [run for run in runs if run.parent_run_id not in there]


def pages(store: Store, search: Search, limit: int, between: Callable[[int], None] = lambda number: None) -> list[Run]:
    """Every run of every page; ``between`` is called behind each page with its number."""
    shown: list[Run] = []
    after = None
    for number in range(10_000):
        page = page_runs(store, search.filter, search.order_by, limit, after=after, **search.asked)
        assert len(page.runs) <= limit
        shown += page.runs
        after = page.next
        if after is None:
            return shown
        assert page.runs
        between(number)
    raise AssertionError("the pages have no end")


def pages_are_the_search(memory: Store, store: Store, search: Search, limit: int) -> None:
    """All pages together are the search, as memory has it; and so many are counted."""
    expected = [run.run_id for run in whole(memory, search)]
    assert [run.run_id for run in pages(store, search, limit)] == expected
    assert count_runs(store, search.filter, **search.asked) == len(expected)
    assert count_runs(store, search.filter, at_most=2, **search.asked) == min(2, len(expected))


def pages_survive(
    store: Store, search: Search, limit: int, batches: Sequence[Sequence[Event]], journal: Journal
) -> int:
    """Whatever happens between pages, a run that stays as it is is on exactly one; how many did stay."""
    orders = parse_orders(search.order_by)
    states: list[dict[str, object]] = []

    def look() -> None:
        found = whole(store, search)
        states.append(
            {run.run_id: (run.start_time, *(sort_key(order.field, run) for order in orders)) for run in found}
        )

    def between(number: int) -> None:
        if number < len(batches):
            store.apply(journal.entries(*batches[number]))
            look()

    look()
    try:
        shown = [run.run_id for run in pages(store, search, limit, between)]
    except PageTokenError as error:
        if "the long text" not in str(error):
            raise
        return  # what the token has no room for is gone, which is said
    first, *others = states
    stayed = [run_id for run_id in first if all(state.get(run_id) == first[run_id] for state in others)]
    for run_id in stayed:
        assert shown.count(run_id) == 1, (run_id, search, shown)
    # And in one order: what stayed is shown as the search has it.
    assert [run_id for run_id in shown if run_id in stayed] == [run_id for run_id in first if run_id in stayed]
