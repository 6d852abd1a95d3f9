"""Whatever happens, in whatever batches, memory and every database come to the same runs and find the same runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import sqlalchemy as sa
from agreement import EXPRESSIONS, ODD, ORDERS, batches, come_to_the_same_runs, find_the_same_runs, runs_with_everything
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotrack.events import Entry, Event, ParamsLogged, TagsSet
from autotrack.stores import open_store
from autotrack.stores.database import searching
from autotrack.stores.database.store import DatabaseStore
from autotrack.stores.database.tables import metadata
from autotrack.stores.expressions import Comparison, Expression, Field, Order

FEWER = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE")


@pytest.fixture(scope="class", params=["sqlite", "postgres", "mariadb"])
def uris(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The URIs of two databases of one kind."""
    if request.param == "sqlite":
        folder: Path = tmp_path_factory.mktemp("databases")
        yield [f"sqlite:///{folder}/{name}.db" for name in "ab"]
        return
    server = request.getfixturevalue(request.param)
    names = [f"agreement_{name}" for name in "ab"]
    yield [server.create(name) for name in names]
    for name in names:
        server.drop(name)


def emptied(uri: str) -> DatabaseStore:
    """The store of a URI, with nothing in it."""
    store = open_store(uri)
    assert isinstance(store, DatabaseStore)
    with store._database.engine.begin() as connection:
        for table in metadata.tables.values():
            connection.execute(sa.delete(table))
    return store


class TestAgreement:
    @FEWER
    @given(sent=batches())
    def test_memory_and_database_come_to_the_same_runs_in_any_order(
        self, uris: list[str], sent: list[list[Entry]]
    ) -> None:
        stores = [emptied(uri) for uri in uris]
        come_to_the_same_runs(*stores, sent)
        for store in stores:
            store.close()

    @FEWER
    @given(
        events=runs_with_everything(),
        expressions=st.lists(EXPRESSIONS, min_size=1, max_size=4),
        orders=ORDERS,
        few=st.sampled_from([0, 10_000]),
    )
    def test_the_same_filter_finds_the_same_runs_by_either_way_of_searching(
        self, uris: list[str], events: list[Event], expressions: list[Expression], orders: list[Order], few: int
    ) -> None:
        store = emptied(uris[0])
        with mock.patch.object(searching, "FEW", few):
            find_the_same_runs(store, events, expressions, orders)
        store.close()

    def test_odd_texts_compare_alike(self, uris: list[str]) -> None:
        texts = sorted(
            {
                *ODD,
                "\ue000",
                "\ud7ff",
                "\udfffz",
                "a\ud800",
                "a\ue000",
                "z",
                "z ",
                "\x01",
                "\x00\x02",
                "\x02",
                "K",
                "\u212a",
            }
            | {"x" * 63, "x" * 64, "x" * 65, "x" * 64 + "y", "\0" * 40, "a_b", "a!b", "a\\b", "\ue000\ufffd", "\ufffd"}
        )
        events: list[Event] = [TagsSet(f"{number:032x}", {"a": text}) for number, text in enumerate(texts)]
        events += [ParamsLogged(f"{number:032x}", {"a": text}) for number, text in enumerate(texts)]
        store = emptied(uris[0])
        expressions = [
            Comparison(Field(entity, "a"), operator, wanted)  # type: ignore[arg-type]
            for entity in ("tag", "param")
            for operator in OPERATORS
            for text in texts
            for wanted in ([f"%{text[:3]}%", text + "%"] if "LIKE" in operator and entity == "tag" else [text])
        ]
        find_the_same_runs(store, events, expressions[::3], [Order(Field("param", "a"))])
        for field in (Field("param", "a"), Field("tag", "a")):
            for descending in (False, True):
                with mock.patch.object(searching, "FEW", 0):
                    find_the_same_runs(emptied(uris[0]), events, [expressions[0]], [Order(field, descending)])
        store.close()
