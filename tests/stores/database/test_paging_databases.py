"""Pages of runs in databases: as memory has them, whatever is written between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import emptied, shared_mariadb_uri, shared_postgres_uri
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from paged import SEARCHES, Search, changes, many_runs, pages_are_the_search, pages_survive

from autotrack.events import Event
from autotrack.stores.database import searching
from autotrack.stores.memory import MemoryStore
from autotrack.testing.samples import Journal

__all__ = ["shared_mariadb_uri", "shared_postgres_uri"]

SOME_SEARCHES = st.lists(SEARCHES, min_size=1, max_size=3)


def few(examples: int) -> settings:
    """So many examples; made smaller by nobody, because each takes a database."""
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), phases=phases)


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
        @given(many_runs(), SOME_SEARCHES, st.integers(1, 4))
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

    settings = few(5)


class TestSQLite(DatabasePages):
    settings = few(15)

    @pytest.fixture
    def uri(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/runs.db"


class TestPostgreSQL(DatabasePages):
    @pytest.fixture
    def uri(self, shared_postgres_uri: str) -> str:
        return shared_postgres_uri


class TestMariaDB(DatabasePages):
    @pytest.fixture
    def uri(self, shared_mariadb_uri: str) -> str:
        return shared_mariadb_uri
