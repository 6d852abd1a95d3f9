"""Whatever is killed whenever, a store ends up with what its journals say, once."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import journals
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shipping_tools import Awkward

from autotrack import digests, journal, spool
from autotrack.entities import Artifact, LoggedModel, Metric
from autotrack.events import (
    ArtifactLogged,
    Event,
    MetricsLogged,
    ModelLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsSet,
)
from autotrack.shipping import shipper as module
from autotrack.shipping.shipper import Shipper
from autotrack.spool import Spool
from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.stores.memory import MemoryStore


def write_journal(folder: Path, chance: random.Random, runs: int = 6) -> list[str]:
    """A journal of a process that is dead, with files of its runs; gives their ids."""
    writer = journal.JournalWriter(folder)
    made = []
    for number in range(runs):
        run_id = chance.randbytes(16).hex()
        made.append(run_id)
        place = folder / spool.ARTIFACTS / run_id
        events: list[Event] = [ProcessDescribed("p", {f"fact{number}": number})]
        events.append(RunStarted(run_id, f"run {number}", number, process_id="p"))
        events += [ParamsLogged(run_id, {"p": str(chance.random())}), TagsSet(run_id, {"t": "x"})]
        events += [MetricsLogged(run_id, tuple(Metric("m", chance.random(), step, step) for step in range(3)))]
        for name in ("a.txt", "deep/b.bin", "a.txt"):
            data = chance.randbytes(chance.randrange(2000))
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
            events.append(ArtifactLogged(run_id, Artifact(name, len(data), digests.of_bytes(data))))
        (place / "model").mkdir()
        (place / "model" / "MLmodel").write_text(run_id)
        events.append(ModelLogged(run_id, LoggedModel("model", digest=digests.of_folder(place / "model"))))
        if number % 3:
            events.append(RunEnded(run_id, "FINISHED", number + 10))
        while events:
            batch = chance.randrange(1, 4)
            writer.append(events[:batch])
            events = events[batch:]
    writer.close()
    # Nobody of this machine: a process that cannot be alive.
    journals.bury(writer.path)
    return made


def contents(store: Store, runs: list[str]) -> list[object]:
    """All that a store knows of runs."""
    found: list[object] = []
    for run_id in sorted(runs):
        names = ("a.txt", "deep/b.bin", "model/MLmodel")
        files = {name: store.artifact_path(run_id, name).read_bytes() for name in names}
        found.append((store.get_run(run_id), store.metric_history(run_id, "m"), files))
    assert sorted(run.run_id for run in store.search_runs()) == sorted(runs)
    return found


def expected(folder: Path, runs: list[str], name: str) -> list[object]:
    """What the same spool makes of an empty store, sent without any trouble."""
    copy = folder.with_name(folder.name + "-copy")
    shutil.copytree(folder, copy)
    MemoryStore.forget(f"memory:{name}")
    outcome = Shipper(Spool(copy), f"memory:{name}").run()
    assert (outcome.left, outcome.live, outcome.error) == (0, 0, "")
    return contents(open_store(f"memory:{name}"), runs)


def ship_in_a_process(awkward: Awkward, is_to_end: bool = True) -> int:
    """One pass in a process of its own; gives its exit code."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            outcome = Shipper(awkward.spool, awkward.uri).run()
            code = 0 if not outcome.error else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if is_to_end else pid


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 7)


@pytest.mark.parametrize("seed", range(12))
def test_killed_between_files_entries_and_acknowledgement(awkward, small_batches, seed):
    chance = random.Random(seed)
    awkward.spool.make(spool.of_store(awkward.uri)[1])
    runs = [run for _ in range(2) for run in write_journal(awkward.spool.folder, chance)]
    wanted = expected(awkward.spool.folder, runs, f"expected-{seed}")
    deaths = 0
    for _ in range(200):
        awkward.tell("die", f"{chance.choice(('put', 'before', 'after'))} {chance.randrange(1, 9)}")
        code = ship_in_a_process(awkward)
        deaths += code == 9
        if code == 0:
            break
    assert code == 0
    assert deaths >= 3
    assert contents(awkward.store, runs) == wanted
    assert awkward.spool.paths() == []
    assert list(awkward.spool.artifacts.iterdir()) == []
    assert {"FINISHED", "KILLED"} == {run.status for run in awkward.store.search_runs()}


def test_killed_at_any_moment(awkward, small_batches):
    chance = random.Random(1)
    awkward.spool.make(spool.of_store(awkward.uri)[1])
    runs = [run for _ in range(6) for run in write_journal(awkward.spool.folder, chance)]
    wanted = expected(awkward.spool.folder, runs, "expected-any")
    for _ in range(60):
        pid = ship_in_a_process(awkward, is_to_end=False)
        time.sleep(chance.random() * 0.05)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert ship_in_a_process(awkward) == 0
    assert contents(awkward.store, runs) == wanted
    assert awkward.spool.paths() == []


def test_two_at_once_and_the_same_journals_again(awkward, small_batches):
    chance = random.Random(2)
    awkward.spool.make(spool.of_store(awkward.uri)[1])
    runs = [run for _ in range(4) for run in write_journal(awkward.spool.folder, chance)]
    wanted = expected(awkward.spool.folder, runs, "expected-two")
    copy = awkward.spool.folder.with_name("again")
    shutil.copytree(awkward.spool.folder, copy)
    # Without the lock that keeps them apart, as on a file system that has none.
    pids = [ship_in_a_process(awkward, is_to_end=False) for _ in range(3)]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0, 0, 0]
    assert contents(awkward.store, runs) == wanted
    assert Shipper(Spool(copy), awkward.uri).run().error == ""
    assert contents(awkward.store, runs) == wanted
    assert Spool(copy).paths() == awkward.spool.paths() == []


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 40)), max_size=6), st.integers(0, 10**6))
def test_an_acknowledgement_may_be_lost_or_old(tmp_path_factory, acks, seed):
    """A spool restored from a backup, or whose acknowledgements went with a power cut, is sent again in part."""
    folder = tmp_path_factory.mktemp("spool")
    runs = write_journal(folder, random.Random(seed), 3)
    wanted = expected(folder, runs, "expected-acks")
    name, again = f"memory:{folder}", folder.with_name(folder.name + "-again")
    before = module.MAX_ENTRIES
    try:
        for part, batch in [(0, 5), *acks]:
            module.MAX_ENTRIES = batch
            shutil.copytree(folder, again)
            (path,) = Spool(again).paths()
            if part:
                done = journal.read(path, 0, max_entries=part)
                last = done.entries[-1].number
                Spool(again).acknowledge(path, spool.Ack(done.offset, last, module._open_after((), done.entries)))
            outcome = Shipper(Spool(again), name).run()
            assert (outcome.error, Spool(again).paths()) == ("", [])
            assert contents(open_store(name), runs) == wanted
            shutil.rmtree(again)
    finally:
        module.MAX_ENTRIES = before
        for one in ("", "-again", "-copy"):
            shutil.rmtree(folder.with_name(folder.name + one), ignore_errors=True)
        MemoryStore.forget(name)
