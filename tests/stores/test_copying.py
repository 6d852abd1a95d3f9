"""Runs from one store into another: whole, once, whatever happens in between."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agreement import EVENTS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from autotrack.digests import of_bytes, of_file, of_folder
from autotrack.entities import FINISHED, RUNNING, Artifact, Dataset, LoggedModel, Metric, Note, Run
from autotrack.errors import ArtifactNotFound, FilterError, RunNotFound, StoreError
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    Entry,
    Event,
    ExperimentDescribed,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsDeleted,
    TagsSet,
)
from autotrack.journal import JournalWriter
from autotrack.moving import CopyResult, copy_runs
from autotrack.moving.reading import Selection, walk
from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.stores.local import LocalStore
from autotrack.stores.memory import MemoryStore
from autotrack.testing.samples import ODD_STRINGS, Journal, started

START = 1_780_000_000_000


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Store]:
    uri = f"memory:copying {tmp_path}"
    yield open_store(uri)
    MemoryStore.forget(uri)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "target")
    yield store
    store.close()


def put(store: Store, run_id: str, path: str, content: bytes) -> Artifact:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "f").write_bytes(content)
        store.put_artifact(run_id, path, Path(folder) / "f")
    return Artifact(path, len(content), of_bytes(content))


def fill(store: Store, count: int = 5, journal: Journal | None = None) -> list[str]:
    """Whole runs with everything a run can have; the second is a child of the first, whose id is greater."""
    journal = journal or Journal("20260528T000000-0123456789ab")
    ids = [f"{15 - index % 16:x}{index:031x}" for index in range(count)]
    for index, run_id in enumerate(ids):
        artifact = put(store, run_id, "plots/roc.json", b"%d" % index)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "MLmodel").write_text(f"model {index}")
            (Path(folder) / "code").mkdir()
            (Path(folder) / "code" / "m.py").write_text("x = 1")
            store.put_artifact(run_id, "model", Path(folder))
            digest = of_folder(folder)
        store.apply(
            journal.entries(
                ProcessDescribed("p", {"user": "me", "packages": {"numpy": "2"}}),
                RunStarted(run_id, f"run {index}", START + index, "e", ids[0] if index == 1 else None, "p"),
                ParamsLogged(run_id, {"alpha": str(index), "odd": "\ud800\0\n"}),
                TagsSet(run_id, {"t": "1"}),
                MetricsLogged(run_id, tuple(Metric("loss", step / 7, step, START + step) for step in range(1100))),
                MetricsLogged(run_id, (Metric("nan", math.nan), *(Metric("tie", value) for value in (1.0, 3.0, 2.0)))),
                DatasetLogged(run_id, Dataset("x", "train", "k", "sha256:1", (3, None), ({"name": "a"},), {"m": 1})),
                ArtifactLogged(run_id, artifact),
                ModelLogged(run_id, LoggedModel("model", "k.Estimator", "skops", 12, "Name", digest)),
                NoteLogged(run_id, Note("warning", "w", "m", 2)),
                *([RunEnded(run_id, ("FINISHED", "FAILED")[index % 2], START + 9000, None)] if index != 2 else []),
            )
        )
    return ids


def told(store: Store, run_id: str) -> list[Any]:
    """Everything a store tells of a run, comparable."""
    run = store.get_run(run_id)
    files = sorted(walk(store, run_id), key=lambda file: file.path)
    contents = [of_file(store.artifact_path(run_id, file.path)) for file in files]
    # Some stores tell the digests of files in model folders too.
    logged = [file for file in files if not file.path.startswith("model/")]
    names = [(file.path, file.size) for file in files]
    return [repr(run), repr([store.metric_history(run_id, key) for key in run.metrics]), logged, names, contents]


def assert_copied(source: Store, target: Store, ids: Sequence[str]) -> None:
    for run_id in ids:
        assert told(target, run_id) == told(source, run_id)
    assert len(target.search_runs(view="all")) == len(ids)


def counts(result: CopyResult) -> tuple[int, int, int, int]:
    return result.new, result.updated, result.unchanged, len(result.failed)


# Whole and once


def test_whole_runs_arrive_as_they_are_and_are_not_copied_again(memory: Store, target: Store) -> None:
    ids = fill(memory)
    first = copy_runs(memory, target)
    assert counts(first) == (5, 0, 0, 0)
    assert (first.files, first.remarks) == (15, [])
    assert_copied(memory, target, ids)
    journals = sorted(os.listdir(Path(target.uri) / "journals"))
    again = copy_runs(memory, target)
    assert (counts(again), again.files, again.size) == ((0, 0, 5, 0), 0, 0)
    assert sorted(os.listdir(Path(target.uri) / "journals")) == journals
    assert [run.name for run in target.search_runs()] == [run.name for run in memory.search_runs()]


def test_there_and_back_again_through_every_kind_of_store(memory: Store, target: Store, tmp_path: Path) -> None:
    ids = fill(memory)
    copy_runs(memory, target)
    uri = f"memory:back {tmp_path}"
    copy_runs(target, uri)
    assert_copied(memory, open_store(uri), ids)
    MemoryStore.forget(uri)


def test_what_the_source_gained_meanwhile_follows_and_nothing_else_is_written(memory: Store, target: Store) -> None:
    journal = Journal("20260528T000000-0123456789ab")
    ids = fill(memory, 4, journal)
    copy_runs(memory, target)
    run_id = ids[2]
    memory.apply(
        journal.entries(
            ParamsLogged(run_id, {"beta": "1", "alpha": "new"}),
            MetricsLogged(run_id, (Metric("tie", 9.0), Metric("loss", 0.1, 5000, START), Metric("nan", math.nan))),
            DatasetLogged(run_id, Dataset("x", "train", "DataFrame", "sha256:2")),
            ArtifactLogged(run_id, put(memory, run_id, "late.txt", b"late")),
            RunEnded(run_id, "FAILED", START + 99, "boom"),
        )
    )
    result = copy_runs(memory, target)
    assert (counts(result), result.files) == ((0, 1, 3, 0), 1)
    assert_copied(memory, target, ids)
    assert target.get_run(run_id).metrics["tie"] == 9.0
    for number in range(20):  # so often that numbers in the names of journals grow by a digit
        memory.apply(journal.entries(MetricsLogged(run_id, (Metric("tie", float(number)),))))
        assert counts(copy_runs(memory, target)) == (0, 1, 3, 0)
        assert target.get_run(run_id).metrics["tie"] == number
    assert_copied(memory, target, ids)
    put(memory, run_id, "late.txt", b"newer")
    memory.apply(journal.entries(ArtifactLogged(run_id, Artifact("late.txt", 5, of_bytes(b"newer")))))
    assert copy_runs(memory, target).files == 1
    assert_copied(memory, target, ids)


def test_the_sources_value_stands_and_what_only_the_target_has_stays(memory: Store, target: Store) -> None:
    (run_id,) = fill(memory, 1)
    copy_runs(memory, target)
    later = Journal("20260601T000000-ffffffffffff")
    target.apply(
        later.entries(
            TagsSet(run_id, {"t": "theirs", "mine": "kept"}),
            MetricsLogged(run_id, (Metric("mine", 1.0),)),
            ArtifactLogged(run_id, put(target, run_id, "mine.txt", b"mine")),
            LifecycleSet(run_id, "deleted", START),
        )
    )
    assert counts(copy_runs(memory, target)) == (0, 1, 0, 0)
    run = target.get_run(run_id)
    assert (run.tags, run.metrics["mine"], run.deleted_time) == ({"t": "1", "mine": "kept"}, 1.0, None)
    assert target.artifact_path(run_id, "mine.txt").read_bytes() == b"mine"
    assert counts(copy_runs(memory, target)) == (0, 0, 1, 0)


def test_odd_strings_arrive_everywhere(memory: Store, target: Store) -> None:
    journal, ids = Journal(), []
    for number, odd in enumerate(ODD_STRINGS):
        run_id = f"{number:032x}" if number % 2 else f"id {odd}"
        ids.append(run_id)
        memory.apply(
            journal.entries(
                ProcessDescribed(odd, {odd: odd}),
                RunStarted(run_id, odd, START, odd, odd or None, odd),
                ParamsLogged(run_id, {odd: odd}),
                TagsSet(run_id, {odd: odd}),
                MetricsLogged(run_id, (Metric(odd, 1.0),)),
                DatasetLogged(run_id, Dataset(odd, odd, odd, odd, (1,), ({"name": odd},), {odd: odd})),
                NoteLogged(run_id, Note(odd, odd, odd)),
                RunEnded(run_id, "FAILED", START, odd),
            )
        )
    result = copy_runs(memory, target)
    assert counts(result) == (len(ids), 0, 0, 0)
    assert_copied(memory, target, ids)
    assert counts(copy_runs(memory, target)) == (0, 0, len(ids), 0)


# Which runs


def test_a_filter_an_experiment_and_deleted_runs_choose(memory: Store, target: Store, tmp_path: Path) -> None:
    ids = fill(memory, 6)
    memory.apply(Journal("20260701T000000-a").entries(LifecycleSet(ids[5], "deleted", START)))
    memory.apply(Journal().entries(started("f" * 32, name="other")))
    assert counts(copy_runs(memory, target, "params.alpha = 3 or name = 'run 4'")) == (2, 0, 0, 0)
    assert sorted(run.name for run in target.search_runs()) == ["run 3", "run 4"]
    assert counts(copy_runs(memory, target, experiment="e")) == (3, 0, 2, 0)
    assert counts(copy_runs(memory, target, deleted=True)) == (2, 0, 5, 0)
    assert target.get_run(ids[5]) == memory.get_run(ids[5])
    assert target.get_run(ids[5]).deleted_time == START
    for wrong in ("metrics.m <", "(name = 'a'", "name = 'a') or (name = 'b'"):
        with pytest.raises(FilterError):
            copy_runs(memory, target, wrong)


def test_one_store_is_not_copied_into_itself(memory: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="both the store to copy from"):
        copy_runs(memory, memory.uri)
    with pytest.raises(StoreError, match="both the store to copy from"):
        copy_runs(tmp_path / "x", str(tmp_path / "y" / ".." / "x"))


def test_pages_hold_every_run_once_in_the_order_of_ids(memory: Store) -> None:
    ids = [*(f"{number:032x}" for number in range(20)), "it's", "it''s", "\ud800", "\0", "\U0001f600", "z\uffff", "Z"]
    random.Random(0).shuffle(ids)
    memory.apply(Journal().entries(*(started(run_id) for run_id in ids)))
    for size in (1, 2, 7, 27, 28, 500):
        found = [run.run_id for page in Selection().pages(memory, size) for run in page]
        assert found == sorted(ids)
        assert max(len(page) for page in Selection().pages(memory, size)) <= size


def test_parents_come_before_their_children(memory: Store) -> None:
    ids = {name: f"{position}{'0' * 31}" for name, position in zip("abcd", "9517")}
    parents = {"a": "b", "b": "c", "c": None, "d": "a"}
    for name, parent in parents.items():
        parent_id = None if parent is None else ids[parent]
        memory.apply(Journal().entries(started(ids[name], name=name, parent_run_id=parent_id)))
    memory.apply(Journal().entries(started("0" * 32, name="x", parent_run_id="1" * 32)))
    memory.apply(Journal().entries(started("1" * 32, name="y", parent_run_id="0" * 32)))
    memory.apply(Journal().entries(started("2" * 32, name="own", parent_run_id="2" * 32)))

    class Noting(MemoryStore):
        def apply(self, entries: Sequence[Entry]) -> None:
            seen.extend(entry.event.name for entry in entries if isinstance(entry.event, RunStarted))
            super().apply(entries)

    seen: list[str] = []
    assert counts(copy_runs(memory, Noting(f"{memory.uri} parents"))) == (7, 0, 0, 0)
    assert sorted(seen) == ["a", "b", "c", "d", "own", "x", "y"]
    assert seen.index("c") < seen.index("b") < seen.index("a") < seen.index("d")
    MemoryStore.forget(f"memory:{memory.uri} parents")


# Trouble


class Faulty(MemoryStore):
    """A store that fails when it is told to."""

    def __init__(self, name: str, fails: Callable[[str, Any], bool]) -> None:
        super().__init__(name)
        self.fails = fails

    def apply(self, entries: Sequence[Entry]) -> None:
        if any(self.fails("apply", entry.event) for entry in entries):
            raise StoreError("the disk is full")
        super().apply(entries)

    def put_artifact(self, run_id: str, path: str, source: Path) -> None:
        if self.fails("put", run_id):
            raise StoreError("the disk is full")
        super().put_artifact(run_id, path, source)

    def artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        if self.fails("list", run_id):
            raise OSError("no such device")
        return super().artifacts(run_id, path)


def test_a_run_that_cannot_be_read_or_written_is_named_and_the_others_arrive(memory: Store, tmp_path: Path) -> None:
    ids = fill(memory, 6)
    bad = {"apply": ids[1], "put": ids[2]}
    target = Faulty(f"faulty {tmp_path}", lambda what, about: getattr(about, "run_id", about) == bad.get(what))
    source = Faulty(memory.uri.removeprefix("memory:"), lambda what, about: (what, about) == ("list", ids[3]))
    result = copy_runs(source, target)
    assert counts(result) == (3, 0, 0, 3)
    assert {trouble.run_id for trouble in result.failed} == set(ids[1:4])
    assert {trouble.message for trouble in result.failed} == {"the disk is full", "OSError: no such device"}
    bad.clear()
    assert counts(copy_runs(memory, target)) == (3, 0, 3, 0)
    assert_copied(memory, target, ids)
    MemoryStore.forget(target.uri)


def test_a_store_that_takes_nothing_is_not_asked_for_ever(memory: Store, tmp_path: Path) -> None:
    fill(memory, 30)
    target = Faulty(f"down {tmp_path}", lambda what, about: what == "put")
    result = copy_runs(memory, target)
    assert result.gave_up
    assert len(result.failed) == 20
    MemoryStore.forget(target.uri)


def test_artifacts_that_are_lost_or_damaged_are_named_and_the_rest_of_the_run_arrives(
    target: Store, memory: Store, tmp_path: Path
) -> None:
    source = open_store(tmp_path / "source")
    first, second, third = fill(source, 3)
    artifacts = tmp_path / "source" / "artifacts"
    (artifacts / first / "plots" / "roc.json").unlink()
    (artifacts / second / "plots" / "roc.json").write_bytes(b"?")
    (artifacts / third / "model" / "MLmodel").write_bytes(b"model ?")
    result = copy_runs(source, target)
    assert result.new == 3
    assert [(t.run_id, t.message) for t in result.remarks] == [
        (first, f"the artifact 'plots/roc.json' is recorded and no longer in {source.uri}")
    ]
    assert {trouble.run_id for trouble in result.failed} == {second, third}
    assert all("it is damaged: sha256:" in trouble.message for trouble in result.failed)
    assert target.artifacts(second, "plots") == target.artifacts(third, "model") == []
    assert repr(target.get_run(third)) == repr(source.get_run(third))
    # Mended in the source, they follow.
    for run_id, content in ((first, b"0"), (second, b"1")):
        (artifacts / run_id / "plots" / "roc.json").write_bytes(content)
    (artifacts / third / "model" / "MLmodel").write_bytes(b"model 2")
    assert counts(copy_runs(source, target)) == (0, 3, 0, 0)
    assert_copied(source, target, [first, second, third])
    source.close()


def test_files_without_a_digest_are_compared_by_their_content(memory: Store, target: Store) -> None:
    run_id, journal = "a" * 32, Journal()
    memory.apply(journal.entries(started(run_id), ModelLogged(run_id, LoggedModel("model"))))
    for path in ("f.txt", "model/MLmodel"):
        put(memory, run_id, path, b"123")
    assert copy_runs(memory, target).files == 2
    assert target.artifacts(run_id)[0] == Artifact("f.txt", 3, of_bytes(b"123"))
    assert (counts(again := copy_runs(memory, target)), again.files) == ((0, 0, 1, 0), 0)
    for path in ("f.txt", "model/MLmodel"):
        put(memory, run_id, path, b"321")
        assert (counts(again := copy_runs(memory, target)), again.files) == ((0, 1, 0, 0), 1)
        assert target.artifact_path(run_id, path).read_bytes() == b"321"


def test_broken_runs_are_carried_as_far_as_they_can_be_read_and_said(target: Store, tmp_path: Path) -> None:
    source = LocalStore(tmp_path / "source")
    fill(source, 1)
    source.apply(
        Journal("20260101T000000-b").entries(ParamsLogged("b" * 32, {"a": "1"}), RunEnded("c" * 32, "FAILED", 5))
    )
    (source.folder / "journals" / "20260101T000000-aaaaaaaaaaaa.jsonl").write_text("garbage\n")
    writer = JournalWriter(source.folder)
    writer.append([started("d" * 32), ParamsLogged("d" * 32, {"a": "1"})])
    writer.path.write_bytes(writer.path.read_bytes() + b'{"n":3,"run_id":"' + b"d" * 32 + b'"\n')
    result = copy_runs(source, target)
    writer.close()
    assert result.new == 4
    assert [(t.run_id, t.message[:33]) for t in result.failed] == [
        ("20260101T000000-aaaaaaaaaaaa", "nothing of it can be carried over")
    ]
    assert [(t.run_id, t.message[:22]) for t in result.remarks] == [("d" * 32, "copied as far as it ca")]
    for run_id in ("b" * 32, "c" * 32):
        assert target.get_run(run_id) == source.get_run(run_id)
    assert replace(source.get_run("d" * 32), broken=None) == replace(target.get_run("d" * 32))
    source.close()


def test_a_start_that_only_the_target_knows_stays(memory: Store, target: Store) -> None:
    memory.apply(Journal("20260102T000000-b").entries(ParamsLogged("a" * 32, {"a": "1"})))
    target.apply(Journal("20260101T000000-a").entries(started("a" * 32, name="known")))
    assert counts(copy_runs(memory, target)) == (0, 1, 0, 0)
    run = target.get_run("a" * 32)
    assert (run.name, run.params, run.broken) == ("known", {"a": "1"}, None)
    assert counts(copy_runs(memory, target)) == (0, 0, 1, 0)


def test_later_values_that_the_target_does_not_give_up_are_said(memory: Store, target: Store) -> None:
    (run_id,) = fill(memory, 1)
    target.apply(Journal("99990101T000000-f").entries(TagsSet(run_id, {"t": "from the future"})))
    for _ in range(2):
        result = copy_runs(memory, target)
        assert [trouble.run_id for trouble in result.failed] == [run_id]
        assert "keeps later values (tags)" in result.failed[0].message
    assert target.get_run(run_id).params == memory.get_run(run_id).params


def test_a_target_that_keeps_artifacts_with_the_run_is_told_of_the_run_first(memory: Store, tmp_path: Path) -> None:
    class Strict(MemoryStore):
        def put_artifact(self, run_id: str, path: str, source: Path) -> None:
            if not self._has(run_id):
                raise RunNotFound(run_id)
            super().put_artifact(run_id, path, source)

        def _has(self, run_id: str) -> bool:
            return any(run.run_id == run_id for run in self.search_runs())

    ids = [*fill(memory), "a" * 32]
    # One that has no start, which would be its first entry.
    logged = put(memory, ids[-1], "f.txt", b"1"), put(memory, ids[-1], "g.txt", b"2")
    memory.apply(Journal().entries(*(ArtifactLogged(ids[-1], file) for file in logged), TagsSet(ids[-1], {"t": "1"})))
    target = Strict(f"strict {tmp_path}")
    assert counts(copy_runs(memory, target)) == (6, 0, 0, 0)
    assert_copied(memory, target, ids)
    assert counts(copy_runs(memory, target)) == (0, 0, 6, 0)
    MemoryStore.forget(target.uri)


def test_a_run_that_was_removed_for_good_can_be_copied_again(memory: Store, tmp_path: Path) -> None:
    """The target remembers the journal that the first copy applied, and would pass over the same one."""
    ids = fill(memory, 2)
    target = MemoryStore(f"collected {tmp_path}")
    copy_runs(memory, target)
    del target._state.runs[ids[0]]
    assert counts(copy_runs(memory, target)) == (1, 0, 1, 0)
    assert told(target, ids[0])[:2] == told(memory, ids[0])[:2]
    MemoryStore.forget(target.uri)


# Interrupted, and at once


class Killed(BaseException):
    """Like a Ctrl-C: no ``except Exception`` sees it."""


def test_interrupted_anywhere_and_called_again_it_goes_on(memory: Store, tmp_path: Path) -> None:
    ids = fill(memory, 3)
    left = 0

    def step(what: str, about: Any) -> bool:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return False

    interrupted = 0
    while True:
        uri = f"memory:interrupted {tmp_path} {interrupted}"
        left = interrupted
        try:
            copy_runs(memory, Faulty(uri.removeprefix("memory:"), step))
        except Killed:
            interrupted += 1
        else:
            break
        copy_runs(memory, uri)
        assert_copied(memory, open_store(uri), ids)
        assert counts(copy_runs(memory, uri)) == (0, 0, 3, 0)
        MemoryStore.forget(uri)
    assert interrupted > 20


def test_killed_at_random_moments_and_called_again_it_goes_on(tmp_path: Path) -> None:
    source = open_store(tmp_path / "source")
    ids = fill(source, 8)
    program = (
        "import sys; from autotrack.moving import copy_runs; from autotrack.moving import copying\n"
        "copying.BATCH_RUNS = 3; print('begin', flush=True); copy_runs(sys.argv[1], sys.argv[2])"
    )
    draw, killed = random.Random(0), 0
    for turn in range(4):
        target = tmp_path / f"target {turn}"
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, "-c", program, source.uri, str(target)], stdout=subprocess.PIPE, cwd=tmp_path
            )
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.15))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
            process.stdout.close()
        result = copy_runs(source, target)
        assert result.failed == []
        store = open_store(target)
        assert_copied(source, store, ids)
        assert counts(copy_runs(source, store)) == (0, 0, 8, 0)
        store.close()
    assert killed > 2
    source.close()


def test_two_copies_at_once_are_one(memory: Store, target: Store) -> None:
    ids = fill(memory, 12)
    with ThreadPoolExecutor(3) as pool:
        stores = [target, open_store(target.uri), open_store(target.uri)]
        results = list(pool.map(lambda store: copy_runs(memory, store), stores))
    assert all(result.failed == [] for result in results)
    assert_copied(memory, target, ids)
    for store in stores[1:]:
        store.close()


def test_copies_at_once_of_what_goes_on_double_no_point(memory: Store, target: Store) -> None:
    journal = Journal("20260528T000000-0123456789ab")
    run_id = "a" * 32
    memory.apply(journal.entries(started(run_id, start_time=START)))
    with ThreadPoolExecutor(3) as pool:
        for step in range(15):
            memory.apply(journal.entries(*(MetricsLogged(run_id, (Metric("m", step, step, i),)) for i in range(4))))
            jobs = [pool.submit(copy_runs, memory, open_store(target.uri)) for _ in range(2)]
            memory.apply(journal.entries(MetricsLogged(run_id, (Metric("m", step, step, 4),))))
            for job in jobs:
                job.result()
    assert copy_runs(memory, target).failed == []
    assert told(target, run_id) == told(memory, run_id)
    assert len(target.metric_history(run_id, "m")) == 75


# Whatever happened


FILES = st.dictionaries(st.sampled_from(["f", "d/f", "k/MLmodel", "k/x"]), st.binary(max_size=3), max_size=3)
STORES = {
    "memory": "memory:target {}",
    "folder": "{}/target",
    "sqlite": "sqlite:///{}/runs.db",
    "mlruns": "mlruns:{}/mlruns",
}


def everything(store: Store, run: Run) -> list[str]:
    """What a copy has to carry of a run."""
    return [repr(run), *(repr(store.metric_history(run.run_id, key)) for key in run.metrics)]


def contents(store: Store, run: Run) -> dict[str, tuple[str, bytes]]:
    """The files that are really there, with their digests."""
    there = {}
    for file in walk(store, run.run_id):
        try:
            there[file.path] = file.digest, store.artifact_path(run.run_id, file.path).read_bytes()
        except ArtifactNotFound:
            continue
    return there


@pytest.mark.parametrize("kind", list(STORES))
@settings(
    max_examples=15,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.lists(EVENTS, max_size=12), FILES), min_size=1, max_size=3))
def test_whatever_happened_is_copied_there_and_back(
    kind: str, stages: list[tuple[list[Event], dict[str, bytes]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = [f"memory:{name} {folder}" for name in ("source", "target", "back")]
        source, back = open_store(names[0]), open_store(names[2])
        target = open_store(STORES[kind].format(folder))
        journal, was_copied = Journal("20260101T000000-a"), False
        for events, files in stages:
            logged: list[Event] = []
            for path, content in files.items():
                artifact = put(source, "a" * 32, path, content)
                logged += [ArtifactLogged("a" * 32, artifact)] if not path.startswith("k/") else []
            # That a run goes on is not told where its end is known, nor that a tag is gone which was copied.
            events = [e for e in events if not (isinstance(e, RunEnded) and e.status == RUNNING)]
            events = [e for e in events if not (isinstance(e, TagsDeleted) and was_copied)]
            was_copied = True
            # What is logged of files is true, unless it is of none.
            events = [e for e in events if not (isinstance(e, ArtifactLogged) and e.artifact.path in files)]
            events = [e for e in events if not isinstance(e, ArtifactLogged) or e.run_id != "a" * 32]
            source.apply(journal.entries(*events, *logged))
            for one, other in ((source, target), (target, back)):
                copy_runs(one, other, deleted=True)
                again = copy_runs(one, other, deleted=True)
                assert (again.updated, again.files) == (0, 0)
                for run in one.search_runs(view="all"):
                    if run.broken and run.run_id in [trouble.run_id for trouble in again.failed]:
                        continue  # nothing is known of it but that it is there
                    there = other.get_run(run.run_id)
                    assert everything(other, there) == everything(one, run)
                    copied = contents(other, there)
                    for path, (digest, content) in contents(one, run).items():
                        # A file that was put there and never logged gets its digest on the way.
                        there_digest, there_content = copied.pop(path)
                        assert there_content == content
                        told_of = [digest] if digest and not path.startswith("k/") else ["", of_bytes(content)]
                        assert there_digest in told_of  # some stores tell those of files in model folders
                    assert copied == {}
        target.close()
        for name in names:
            MemoryStore.forget(name)


def test_facts_of_experiments_are_copied_where_both_stores_keep_them(memory: Store, tmp_path: Path) -> None:
    facts = {"shown_name": "Churn", "tag.a": "1", "tag.gone": None}
    memory.apply(
        Journal().entries(
            ExperimentDescribed("e", facts),
            ExperimentDescribed("empty", {"stage": "deleted"}),
            *(started(name * 32, experiment=name) for name in "ef"),
            TagsSet("f" * 32, {"t": "1"}),
        )
    )
    only = open_store(f"{tmp_path}/only")
    copy_runs(memory, only, "tags.t = '1'")
    assert {each.name: each.facts for each in only.experiments()} == {"f": {}}
    copy_runs(memory, only, experiment="e")
    assert {each.name: each.facts for each in only.experiments()} == {"e": facts, "f": {}}
    only.close()
    for number, uri in enumerate(STORES.values()):
        (tmp_path / str(number)).mkdir()
        target = open_store(uri.format(tmp_path / str(number)))
        copy_runs(memory, target)
        keeps = not uri.startswith("mlruns")
        expected = memory.experiments() if keeps else [replace(each, facts={}) for each in memory.experiments()[:1]]
        assert target.experiments()[: len(expected)] == expected
        target.apply(Journal("20990101T000000-x").entries(ExperimentDescribed("e", {"own": "1"})))
        assert copy_runs(memory, target).remarks == []
        told = {each.name: each.facts for each in target.experiments()}
        assert told.get("e") == ({**facts, "own": "1"} if keeps else {})
        assert told.get("empty") == ({"stage": "deleted"} if keeps else None)
        target.close()
        MemoryStore.forget(target.uri)


def test_what_was_taken_back_in_the_source_stays_in_the_target(memory: Store, target: Store) -> None:
    """A tag that is gone, and the end of a run that goes on: the source may be an older copy."""
    run_id, journal = "a" * 32, Journal()
    memory.apply(journal.entries(started(run_id), TagsSet(run_id, {"t": "1"}), RunEnded(run_id, FINISHED, START)))
    copy_runs(memory, target)
    memory.apply(journal.entries(TagsDeleted(run_id, ("t",)), RunEnded(run_id, RUNNING, START + 1)))
    assert copy_runs(memory, target).unchanged == 1
    run = target.get_run(run_id)
    assert (run.tags, run.status, run.end_time) == ({"t": "1"}, FINISHED, START)
    memory.apply(journal.entries(RunEnded(run_id, FINISHED, START + 2)))
    assert copy_runs(memory, target).updated == 1
    assert target.get_run(run_id).end_time == START + 2


def test_at_rest_reads_look_at_no_journal_but_the_stores_own(tmp_path: Path) -> None:
    store, other = LocalStore(tmp_path / "s"), LocalStore(tmp_path / "s")
    store.apply(Journal().entries(started("a" * 32)))
    with store.at_rest():
        assert len(store.search_runs()) == 1
        other.apply(Journal().entries(started("b" * 32)))
        assert {run.run_id[0] for run in store.search_runs()} >= {"a"}
        store.apply(Journal().entries(started("c" * 32)))
        assert len(store.search_runs()) == 3
        (tmp_path / "s" / "runs.db").unlink()
        assert len(store.search_runs()) == 3
    other.apply(Journal().entries(started("d" * 32)))
    assert len(store.search_runs()) == 4
    store.close()
    other.close()
