"""Whatever happens, in whatever batches, memory and every database come to the same runs and find the same runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from agreement import EXPRESSIONS, ODD, ORDERS, batches, come_to_the_same_runs, find_the_same_runs, runs_with_everything
from databases import created, emptied
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotrack.entities import Metric
from autotrack.events import Entry, Event, MetricsLogged, ParamsLogged, TagsSet
from autotrack.stores import open_store
from autotrack.stores.database import searching
from autotrack.stores.expressions import Comparison, Expression, Field, Order
from autotrack.stores.memory import MemoryStore
from autotrack.testing.samples import Journal, started

FEWER = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE")


@pytest.fixture(scope="class", params=["sqlite", "postgres", "mariadb"])
def uris(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The URIs of two databases of one kind."""
    if request.param == "sqlite":
        folder: Path = tmp_path_factory.mktemp("databases")
        yield [f"sqlite:///{folder}/{name}.db" for name in "ab"]
    else:
        yield from created(request.getfixturevalue(request.param), 2)


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
        large_group=st.sampled_from([0, 2, 1000]),
    )
    def test_the_same_filter_finds_the_same_runs_by_every_way_of_searching(
        self,
        uris: list[str],
        events: list[Event],
        expressions: list[Expression],
        orders: list[Order],
        few: int,
        large_group: int,
    ) -> None:
        store = emptied(uris[0])
        with mock.patch.object(searching, "FEW", few), mock.patch.object(searching, "LARGE_GROUP", large_group):
            find_the_same_runs(store, events, expressions, orders)
        store.close()

    def test_values_that_many_runs_share_are_searched_one_by_one_in_their_order(self, uris: list[str]) -> None:
        """With texts that begin alike, numbers told in several ways, and runs that have neither."""
        texts = ["a", "b", "x" * 70 + "a", "x" * 70 + "b", "1", "1.0", "-2", "nan", None]
        events: list[Event] = []
        for number in range(40):
            run_id = f"{number:032x}"
            events.append(started(run_id, start_time=number % 3))
            text = texts[number * 7 % len(texts)]
            if text is not None:
                events += [ParamsLogged(run_id, {"p": text}), TagsSet(run_id, {"t": text})]
            if number % 4:
                metrics = (Metric("m", float(number * 11 % 5)), Metric("n", float(number)))
                events += [ParamsLogged(run_id, {"q": texts[number % 3]}), MetricsLogged(run_id, metrics)]
        MemoryStore.forget("memory:groups")
        memory, store = MemoryStore("groups"), emptied(uris[0])
        entries = Journal().entries(*events)
        memory.apply(entries)
        store.apply(entries)
        orders = [
            [f"{first}{one}", f"{second}{two}"]
            for first in ("params.p", "tags.t")
            for second in ("metrics.m", "params.q")
            for one in ("", " DESC")
            for two in ("", " DESC")
        ]
        with mock.patch.object(searching, "LARGE_GROUP", 0):
            for order_by in [*orders, ["params.p", "tags.t DESC", "metrics.m"], ["tags.t", "params.q", "metrics.n"]]:
                for filter in (None, "metrics.n > 9"):
                    for limit in (5, 100):
                        found, expected = (
                            [run.run_id for run in one.search_runs(filter, order_by, limit)] for one in (store, memory)
                        )
                        assert found == expected, (filter, order_by, limit)
        store.close()
        MemoryStore.forget("memory:groups")

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
        some = expressions[:: 4 if uris[0].startswith("sqlite") else 16]
        find_the_same_runs(store, events, some, [Order(Field("param", "a"))])
        for field in (Field("param", "a"), Field("tag", "a")):
            for descending in (False, True):
                with mock.patch.object(searching, "FEW", 0):
                    find_the_same_runs(emptied(uris[0]), events, [expressions[0]], [Order(field, descending)])
        store.close()


@pytest.mark.parametrize(
    "filter",
    [
        " or ".join(["metrics.m < 1 and params.p LIKE '0%'"] * 500),
        " and ".join(f"metrics.m != {number}" for number in range(1000, 2, -1)),
        "params.p in (" + ", ".join(f"'{number}'" for number in range(1, 20_000)) + ")",
        "not (" * 24 + "metrics.m > 2 or params.p = 'x'" + ")" * 24,
    ],
    ids=["or", "and", "list", "deep"],
)
def test_a_filter_at_the_limits_of_the_language_finds_what_it_names(filter: str, tmp_path: Path) -> None:
    MemoryStore.forget("memory:limits")
    stores = [open_store(f"sqlite:///{tmp_path}/runs.db"), open_store("memory:limits")]
    events: list[Event] = []
    for number in range(6):
        run_id = f"{number:032x}"
        events += [started(run_id), ParamsLogged(run_id, {"p": str(number)})]
        events.append(MetricsLogged(run_id, (Metric("m", float(number)),)))
    found = []
    for store in stores:
        store.apply(Journal("20260101T000000-a").entries(*events))
        found.append([run.run_id for run in store.search_runs(filter, ["params.p"], 2)])
        store.close()
    assert found[0] == found[1] != []
