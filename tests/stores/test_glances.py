"""What stores answer by a short way is what their whole runs tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from autotrack.entities import Metric, Run
from autotrack.events import (
    Entry,
    ExperimentDescribed,
    LifecycleSet,
    MetricsLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsDeleted,
    TagsSet,
)
from autotrack.stores import open_store
from autotrack.stores.base import ALL_RUNS, Store
from autotrack.stores.glances import experiment_facts, last_points, outline
from autotrack.stores.memory import MemoryStore

EVENTS = [
    ProcessDescribed("process", {"user": "ada"}),
    RunStarted("a", "first", 5, "one", "parent", "process"),
    ParamsLogged("a", {f"p{number}": str(number) for number in range(9)} | {"\udce4": "\x00"}),
    TagsSet("a", {"kept": "1", "gone": "2"}),
    TagsDeleted("a", ("gone",)),
    MetricsLogged("a", (Metric("m", 1.0, 3, 10), Metric("m", 2.0, 1, 99), Metric("m", 3.0, 3, 11), Metric("\udce4", 0.0))),
    RunEnded("a", "FAILED", 8, "it broke"),
    RunStarted("b", "second", 6, "two"),
    LifecycleSet("b", "deleted", 7),
    TagsSet("c", {"never": "started"}),
    ExperimentDescribed("one", {"shown_name": "uno", "tag.a": "b", "tag.c": None}),
    ExperimentDescribed("three", {"stage": "active"}),
    ExperimentDescribed("four", {}),
]


class Long:
    """A store that has no short way."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name in ("outline", "last_points", "experiment_facts"):
            raise AttributeError(name)
        return getattr(self._store, name)


@pytest.fixture(params=["memory", "folder", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    uris = {"memory": "memory:glances", "folder": str(tmp_path), "sqlite": f"sqlite:///{tmp_path}/runs.db"}
    opened = open_store(uris[request.param])
    opened.apply([Entry("journal", number, event) for number, event in enumerate(EVENTS, 1)])
    yield opened
    opened.close()
    MemoryStore.forget("memory:glances")


def _ways(store: Store) -> Sequence[Any]:
    return store, Long(store)


@pytest.mark.parametrize("run_id", ["a", "b", "c", "none"])
def test_the_outline_of_a_run(store: Store, run_id: str) -> None:
    keys = [f"p{number}" for number in range(9)] + ["lacking", "\udce4"]
    for params, tags in (((), ()), (("p1", "lacking"), ("kept", "gone")), (keys, keys)):
        short, long = (outline(way, run_id, params, tags) for way in _ways(store))
        assert short == long
        if run_id == "a":
            assert isinstance(short, Run)
            assert (short.name, short.status, short.error, short.end_time) == ("first", "FAILED", "it broke", 8)
            assert set(short.params) == set(params) - {"lacking"}
            assert set(short.tags) == {"kept"} & set(tags)


def test_where_metrics_stand(store: Store) -> None:
    runs = store.search_runs(view=ALL_RUNS)
    short, long = (last_points(way, runs) for way in _ways(store))
    assert short == long
    assert short["a"] == {"m": (3, 11), "\udce4": (0, 0)}
    assert last_points(store, []) == {}


def test_what_was_told_of_experiments(store: Store) -> None:
    for names in (None, [], ["one", "two", "Default", "none"], ["four"]):
        short, long = (experiment_facts(way, names) for way in _ways(store))
        assert short == long, names
    told = experiment_facts(store)
    assert {"one", "two", "three", "four"} <= set(told)
    assert told["one"]["shown_name"] == "uno"
    assert told["two"] == {}
