"""The judge of the trials sees what is wrong with a store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autotrack.entities import Metric
from autotrack.events import Event, MetricsLogged, ParamsLogged, RunEnded
from autotrack.stores.memory import MemoryStore
from autotrack.testing.samples import Journal, started
from benchmarks.soak import work
from benchmarks.soak.verdict import Verdict, judge


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    yield MemoryStore("judged")
    MemoryStore.forget("memory:judged")


def run(label: int, run_id: str, status: str | None = "FINISHED", points: int = work.STEPS) -> list[Event]:
    """A run as `work.one_run` makes it, or one that is not whole."""
    params = {work.LABEL: str(label), "twice": str(2 * label)}
    metrics = tuple(Metric("m", float(label + step), step) for step in range(points))
    ends = [] if status is None else [RunEnded(run_id * 32, status, 1_700_000_000_001)]
    return [started(run_id * 32), ParamsLogged(run_id * 32, params), MetricsLogged(run_id * 32, metrics), *ends]


def judged(store: MemoryStore, events: list[Event], returned: list[int], kills: int = 0) -> Verdict:
    store.apply(Journal().entries(*events))
    return judge(store, returned, kills, None)


def test_runs_that_are_whole_and_one_that_was_killed_are_right(store: MemoryStore) -> None:
    events = run(1, "a") + run(2, "b") + run(3, "c", "KILLED", 1) + run(4, "d")
    found = judged(store, events, [1, 2], kills=2)
    assert (found.faults, found.runs, found.killed, found.whole_though_killed) == ([], 4, 1, 1)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([], "1 had returned and is not there"),
        (run(1, "a") + run(1, "b"), "1 is there 2 times"),
        (run(1, "a", "KILLED"), "is KILLED, and had returned"),
        (run(1, "a", None), "is RUNNING, and had returned"),
        (run(1, "a") + run(2, "b", None), "is RUNNING, and had not returned"),
        (run(1, "a", points=2), "has the metric"),
        (run(1, "a") + [ParamsLogged("a" * 32, {"more": "1"})], "has the params"),
        (run(1, "a") + run(2, "b", "KILLED"), "1 runs had not returned, of 0 processes that were killed"),
    ],
)
def test_what_is_wrong_is_told(store: MemoryStore, events: list[Event], told: str) -> None:
    assert any(told in fault for fault in judged(store, events, [1]).faults)
