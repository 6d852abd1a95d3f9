"""Pages of runs in databases: as memory has them, whatever is written between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from databases import emptied
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paged import SEARCHES, Search, changes, many_runs, pages_are_the_search, pages_survive

from autotrack.events import Event
from autotrack.stores.database import searching
from autotrack.stores.memory import MemoryStore
from autotrack.testing.samples import Journal

EVENTS = st.lists(SEARCHES, min_size=1, max_size=3)


class DatabasePages:
    """What holds in every database; ``uri`` names one that a class of tests shares."""

    @pytest.fixture(params=["usual", "walks"])
    def ways(self, request: pytest.FixtureRequest) -> Iterator[None]:
        """Ways to a search that are otherwise taken where there are many runs."""
        with pytest.MonkeyPatch.context() as patch:
            if request.param == "walks":
                patch.setattr(searching, "FEW", -1)
                patch.setattr(searching, "LARGE_GROUP", 1)
                patch.setattr(searching.Search, "_few_runs", lambda self, limit: None)
            yield

    def test_pages_are_the_search(self, uri: str, ways: None) -> None:
        @self.settings
        @given(many_runs(), EVENTS, st.integers(1, 4))
        def check(events: list[Event], searches: list[Search], limit: int) -> None:
            MemoryStore.forget("memory:paging")
            memory, store = MemoryStore("paging"), emptied(uri)
            entries = Journal().entries(*events)
            memory.apply(entries)
            store.apply(entries)
            for search in searches:
                pages_are_the_search(memory, store, search, limit)
            store.close()

        check()

    def test_pages_survive_what_is_written_between_them(self, uri: str, ways: None) -> None:
        @self.settings
        @given(many_runs(), SEARCHES, st.integers(1, 3), changes())
        def check(events: list[Event], search: Search, limit: int, batches: list[list[Event]]) -> None:
            store, journal = emptied(uri), Journal()
            store.apply(journal.entries(*events))
            pages_survive(store, search, limit, batches, journal)
            store.close()

        check()

    settings = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


class TestSQLite(DatabasePages):
    settings = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))

    @pytest.fixture(scope="class")
    def uri(self, tmp_path_factory: pytest.TempPathFactory) -> str:
        return f"sqlite:///{tmp_path_factory.mktemp('paging')}/runs.db"
