"""Pages of runs: all of them together are the search, and they survive what is written between them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paged import SEARCHES, Search, changes, many_runs, pages_are_the_search, pages_survive

from autotrack.events import Event
from autotrack.stores.local import LocalStore
from autotrack.stores.local import paging as local_paging
from autotrack.stores.local.planning import Effort
from autotrack.stores.memory import MemoryStore
from autotrack.testing.samples import Journal


@contextmanager
def _effort(few: int) -> Iterator[None]:
    """Ways to a search that are otherwise taken where there are many runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_paging, "EFFORT", Effort(few, 1, 2, 2**20) if few < 2000 else Effort())
        yield


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


@_SETTINGS
@given(many_runs(), st.lists(SEARCHES, min_size=1, max_size=3), st.integers(1, 4), st.sampled_from([0, 1, 3, 2000]))
def test_a_folder_pages_as_memory_does(events: list[Event], searches: list[Search], limit: int, few: int) -> None:
    memory = _memory()
    entries = Journal().entries(*events)
    memory.apply(entries)
    with tempfile.TemporaryDirectory() as folder, _effort(few):
        store = LocalStore(folder)
        store.apply(entries)
        for search in searches:
            pages_are_the_search(memory, store, search, limit)
        store.close()


@_SETTINGS
@given(many_runs(), SEARCHES, st.integers(1, 3), changes(), st.sampled_from([0, 2000]))
def test_pages_of_a_folder_survive_what_is_written_between_them(
    events: list[Event], search: Search, limit: int, batches: list[list[Event]], few: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, _effort(few):
        store, journal = LocalStore(folder), Journal()
        store.apply(journal.entries(*events))
        pages_survive(store, search, limit, batches, journal)
        store.close()
