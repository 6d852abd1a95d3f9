"""Several stores on one server at once: what one of them writes, the others read, whatever they remember."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from mlflow import MlflowClient
from services import Mlflow

from autotrack.digests import of_bytes, of_folder
from autotrack.entities import FINISHED, Artifact, Dataset, LoggedModel
from autotrack.events import (
    DatasetLogged,
    Entry,
    Event,
    LifecycleSet,
    ModelLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    TagsSet,
)
from autotrack.stores.memory import MemoryStore
from autotrack.stores.mlflow.rest.store import MlflowServerStore
from autotrack.testing.samples import Journal, started

ONE, TWO = "a" * 32, "b" * 32
RUNS = [f"{number:032x}" for number in range(8)]
"""So many that of each two runs that MLflow has for one, sometimes the earlier and sometimes the later one stays."""

Open = Callable[[], MlflowServerStore]


@pytest.fixture
def new_store(mlflow_uri: str) -> Iterator[Open]:
    opened: list[MlflowServerStore] = []

    def new() -> MlflowServerStore:
        opened.append(MlflowServerStore(mlflow_uri))
        return opened[-1]

    yield new
    for store in opened:
        store.close()


def make_doubles(new: Open, events: Sequence[Event] = ()) -> tuple[MlflowServerStore, MlflowServerStore, Journal]:
    """Two stores, both of which have made the runs, the second of them last; and the journal of the runs."""
    first, second, journal = new(), new(), Journal()
    begin = journal.entries(ParamsLogged("c" * 32, {"p": "1"}))
    first.apply(begin)
    second.apply(begin)
    starts = journal.entries(*(started(run_id, name=run_id) for run_id in RUNS))
    first.apply(starts)
    first.apply(journal.entries(*events))
    assert [first.artifacts(run_id) for run_id in RUNS] == [[]] * len(RUNS)
    second.apply(starts)  # it has seen the journal when these runs were not there yet
    return first, second, journal


def test_a_store_that_has_read_a_run_reads_what_another_one_adds_to_it(new_store: Open) -> None:
    first, second = new_store(), new_store()
    first.apply(Journal("20260101T000000-a").entries(started(ONE)))
    assert (first.artifacts(ONE), first.get_run(ONE).models) == ([], ())
    model = LoggedModel("model", "k.E")
    second.apply(Journal("20260102T000000-b").entries(ModelLogged(ONE, model), RunEnded(ONE, FINISHED, 9)))
    assert first.artifacts(ONE) == [Artifact("model", is_dir=True)]
    assert first.get_run(ONE) == first.search_runs()[0] == second.get_run(ONE)
    assert (first.get_run(ONE).models, first.get_run(ONE).status) == ((model,), FINISHED)


def test_a_store_reads_the_run_that_stays_when_its_own_is_joined_to_another(new_store: Open) -> None:
    first, second, journal = make_doubles(new_store)
    second.apply(journal.entries(*(ModelLogged(run_id, LoggedModel("model", "k.E")) for run_id in RUNS)))
    for store in (first, second, new_store()):
        runs = {run.run_id: run for run in store.search_runs()}
        for run_id in RUNS:
            assert store.artifacts(run_id) == [Artifact("model", is_dir=True)]
            assert store.get_run(run_id) == runs[run_id]
            assert [model.path for model in runs[run_id].models] == ["model"]
        assert store.search_runs(view="deleted") == []
        assert len(store.search_runs(view="all")) == len(RUNS) + 1


def test_a_run_in_the_trash_that_is_joined_to_another_is_written_to_no_more(
    new_store: Open, mlflow_server: Mlflow
) -> None:
    deleted = [LifecycleSet(run_id, "deleted", 5) for run_id in RUNS]
    first, second, journal = make_doubles(new_store, deleted)
    later = Journal("20260109T000000-z")
    first.apply(later.entries(*(TagsSet(run_id, {"from": "first"}) for run_id in RUNS)))
    second.apply(journal.entries(*(ParamsLogged(run_id, {"p": "2"}) for run_id in RUNS)))
    for store in (first, second, new_store()):
        for run_id in RUNS:
            run = store.get_run(run_id)
            assert (run.tags, run.params, run.deleted_time) == ({"from": "first"}, {"p": "2"}, 5)
        assert sorted(run.run_id for run in store.search_runs(view="deleted")) == RUNS
    first.apply(later.entries(*(LifecycleSet(run_id, "active", 6) for run_id in RUNS)))
    assert len(MlflowClient(mlflow_server.url).search_runs(["0"])) == len(RUNS) + 1
    assert len(second.search_runs()) == len(RUNS) + 1


def test_facts_of_a_process_without_an_id_reach_runs_without_a_start(new_store: Open) -> None:
    first, second = new_store(), new_store()
    first.apply(Journal("20260101T000000-a").entries(ParamsLogged(ONE, {"p": "1"})))
    assert first.get_run(ONE).process == {}
    second.apply(Journal("20260102T000000-b").entries(ProcessDescribed("", {"user": "me"})))
    journal = Journal("20260103T000000-c")
    new_store().apply(journal.entries(ProcessDescribed("", {"os": "x"}), started(TWO, experiment="e", process_id="")))
    for store in (first, second, new_store()):
        assert store.get_run(ONE).process == store.get_run(TWO).process == {"os": "x", "user": "me"}
        assert [run.run_id for run in store.search_runs("user = 'me'")] == [TWO, ONE]


def test_facts_of_a_process_stay_with_its_runs_when_the_first_of_them_turns_out_to_be_anothers(
    new_store: Open,
) -> None:
    journal = Journal()
    facts = ProcessDescribed("p", {"user": "me"})
    new_store().apply(journal.entries(facts, started(ONE, experiment="e", process_id="p")))
    new_store().apply(journal.entries(started(ONE, experiment="e", process_id="q")))
    new_store().apply(journal.entries(started(TWO, experiment="f", process_id="p")))
    new_store().apply(journal.entries(ProcessDescribed("p", {"os": "x"}), ProcessDescribed("q", {"user": "other"})))
    store = new_store()
    assert store.get_run(ONE).process == {"user": "other"}
    assert store.get_run(TWO).process == {"os": "x", "user": "me"}


def test_writers_of_one_run_keep_each_others_models(new_store: Open, tmp_path: Path) -> None:
    def logged(number: int, path: str, *stores: MlflowServerStore) -> ModelLogged:
        folder = tmp_path / f"{path}-{number}"
        folder.mkdir()
        (folder / "MLmodel").write_text("flavors: {sklearn: {pickled_model: model.pkl}}\n")
        (folder / "model.pkl").write_bytes(b"%d" % number)
        for store in stores:
            store.put_artifact(ONE, path, folder)
        return ModelLogged(ONE, LoggedModel(path, "k.E", digest=of_folder(folder)))

    first, second = new_store(), new_store()
    ours, theirs = Journal("20260101T000000-a"), Journal("20260102T000000-b")
    first.apply(ours.entries(started(ONE)))
    first.apply(ours.entries(logged(1, "model", first)))
    second.apply(theirs.entries(logged(2, "model", second), logged(3, "other", second)))
    first.apply(ours.entries(TagsSet(ONE, {"t": "1"})))
    for store in (first, second, new_store()):
        assert [artifact.path for artifact in store.artifacts(ONE)] == ["model", "other"]
        assert (store.artifact_path(ONE, "model") / "model.pkl").read_bytes() == b"2"
        assert (store.artifact_path(ONE, "other") / "model.pkl").read_bytes() == b"3"


def test_writers_of_one_run_with_a_long_document_never_mix_theirs(new_store: Open) -> None:
    chance = random.Random(1)

    def datasets(count: int) -> list[Event]:
        digests = [of_bytes(chance.randbytes(9)) for _ in range(count)]
        return [DatasetLogged(ONE, Dataset(digest, "train", "k", digest)) for digest in digests]

    first, second, memory = new_store(), new_store(), MemoryStore("writers")
    ours, theirs = Journal("20260101T000000-a"), Journal("20260102T000000-b")
    batches: list[tuple[MlflowServerStore, list[Entry]]] = [
        (first, ours.entries(started(ONE), *datasets(5))),
        (second, theirs.entries(*datasets(200))),
        (first, ours.entries(TagsSet(ONE, {"t": "1"}))),
        (second, theirs.entries(ProcessDescribed("p", {"user": "me"}), TagsSet(ONE, {"u": "2"}))),
        (first, ours.entries(*datasets(100))),
        (second, theirs.entries(ProcessDescribed("", {"user": "me"}))),
    ]
    for store, entries in batches:
        store.apply(entries)
        memory.apply(entries)
        assert new_store().get_run(ONE) == memory.get_run(ONE)
    MemoryStore.forget("memory:writers")
