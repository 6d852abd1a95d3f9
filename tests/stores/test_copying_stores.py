"""Whole runs between stores of every kind that needs no server of others: there, on and back, equal and once."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_copying import assert_copied, counts, fill, put

from autotrack.entities import Metric
from autotrack.events import ArtifactLogged, LifecycleSet, MetricsLogged, ParamsLogged, RunEnded
from autotrack.moving import copy_runs
from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.testing.samples import Journal

SCHEMES = {"folder": "{}", "mlruns": "mlruns:{}", "sqlite": "sqlite:///{}/runs.db"}


def opened(kind: str, folder: Path) -> Store:
    if kind == "sqlite" and importlib.util.find_spec("sqlalchemy") is None:
        pytest.skip("sqlalchemy is not installed")
    folder.mkdir(exist_ok=True)
    return open_store(SCHEMES[kind].format(folder))


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "source")
    yield store
    store.close()


@pytest.mark.parametrize("kind", list(SCHEMES))
def test_whole_runs_go_there_on_and_back(kind: str, source: Store, tmp_path: Path) -> None:
    ids = fill(source, 4)
    source.apply(Journal("20260701T000000-a").entries(LifecycleSet(ids[3], "deleted", 1_780_000_100_000)))
    first, second, back = opened(kind, tmp_path / "1"), opened(kind, tmp_path / "2"), open_store(tmp_path / "back")
    for one, other in ((source, first), (first, second), (second, back)):
        assert counts(copy_runs(one, other, deleted=True)) == (4, 0, 0, 0)
        assert_copied(one, other, ids)
        again = copy_runs(one, other, deleted=True)
        assert (counts(again), again.files) == ((0, 0, 4, 0), 0)
    assert_copied(source, back, ids)
    for store in (first, second, back):
        store.close()


@pytest.mark.parametrize("kind", list(SCHEMES))
def test_what_a_run_gained_follows(kind: str, source: Store, tmp_path: Path) -> None:
    journal = Journal("20260528T000000-0123456789ab")
    ids = fill(source, 3, journal)
    target = opened(kind, tmp_path / "target")
    copy_runs(source, target)
    run_id = ids[2]
    source.apply(
        journal.entries(
            ParamsLogged(run_id, {"beta": "1"}),
            MetricsLogged(run_id, (Metric("tie", 9.0), Metric("loss", 0.1, 5000, 1_780_000_000_000))),
            ArtifactLogged(run_id, put(source, run_id, "late.txt", b"late")),
            RunEnded(run_id, "FAILED", 1_780_000_000_099, "boom"),
        )
    )
    assert counts(copy_runs(source, target)) == (0, 1, 2, 0)
    assert_copied(source, target, ids)
    assert counts(copy_runs(source, target)) == (0, 0, 3, 0)
    target.close()
