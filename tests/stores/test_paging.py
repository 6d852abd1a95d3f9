"""Pages of runs: all of them together are the search, and they survive what is written between them."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paged import SEARCHES, Search, changes, many_runs, pages_are_the_search, pages_survive

from autotrack.events import Event
from autotrack.stores.memory import MemoryStore
from autotrack.testing.samples import Journal

_SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _memory() -> MemoryStore:
    MemoryStore.forget("memory:paging")
    return MemoryStore("paging")


@_SETTINGS
@given(many_runs(), st.lists(SEARCHES, min_size=1, max_size=3), st.integers(1, 4))
def test_all_pages_together_are_the_search(events: list[Event], searches: list[Search], limit: int) -> None:
    store = _memory()
    store.apply(Journal().entries(*events))
    for search in searches:
        pages_are_the_search(store, store, search, limit)


@_SETTINGS
@given(many_runs(), SEARCHES, st.integers(1, 3), changes())
def test_pages_survive_what_is_written_between_them(
    events: list[Event], search: Search, limit: int, batches: list[list[Event]]
) -> None:
    store, journal = _memory(), Journal()
    store.apply(journal.entries(*events))
    pages_survive(store, search, limit, batches, journal)
