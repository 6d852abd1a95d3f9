"""Many processes and threads with one database: opening it, applying to it, being forked."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sqlalchemy as sa

from autotrack.events import ParamsLogged
from autotrack.stores import open_store
from autotrack.stores.database.store import DatabaseStore
from autotrack.testing.samples import Journal, started

PRELUDE = """
import os, sys
from autotrack.entities import Metric
from autotrack.events import *
from autotrack.stores import open_store
from autotrack.testing.samples import Journal, started
uri, number = sys.argv[1], int(sys.argv[2])
"""


def at_once(code: str, uri: str, count: int) -> None:
    """Run a program in as many processes as once; each of them must succeed and say nothing."""
    program = PRELUDE + textwrap.dedent(code)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, uri, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for process in processes:  # when they have all imported what they need, they begin
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")


def test_ten_processes_open_a_fresh_database_at_once(database_uri: str) -> None:
    at_once(
        """
        import autotrack.stores.database.store, alembic.command
        print("ready", flush=True); input()
        open_store(uri).apply(Journal().entries(started(f"{number:032x}")))
        """,
        database_uri,
        10,
    )
    store = open_store(database_uri)
    assert sorted(int(run.run_id, 16) for run in store.search_runs()) == list(range(10))
    store.close()


def test_processes_that_write_the_same_runs_end_up_with_what_is_right(database_uri: str) -> None:
    """Journals that meet in the same runs, sent in small batches by two processes each: no deadlock, nothing twice."""
    code = """
        import random
        print("ready", flush=True); input()
        journal = Journal(f"20260101T000000-{number // 2}")
        store, order = open_store(uri), random.Random(number // 2)
        batches = []
        for turn in range(15):
            runs = order.sample(range(12), 6)
            who, ids = number // 2, [f"{run:032x}" for run in runs]
            events = [ParamsLogged(run, {"p": f"{who}/{turn}", f"q{who}": str(turn)}) for run in ids]
            events += [MetricsLogged(run, (Metric("m", who, turn),)) for run in ids]
            events += [ProcessDescribed("p", {"k": who})]
            batches.append(journal.entries(*events))
        for batch in batches:
            store.apply(batch)
        store.close()
        """
    at_once(code, database_uri, 6)
    store = open_store(database_uri)
    points = 0
    for run in store.search_runs():
        history = store.metric_history(run.run_id, "m")
        points += len(history)
        assert history == sorted(history, key=lambda metric: (metric.step, metric.value))
        greatest = max(key for key in run.params if key != "p")[1:]
        assert run.params["p"] == f"{greatest}/{run.params['q' + greatest]}"
        assert run.metrics["m"] == history[-1].value
    assert points == 3 * 15 * 6
    store.close()


def test_processes_write_many_runs_without_a_word(database_uri: str) -> None:
    """Two of the four fork in between; parent and child go on with the same store."""
    at_once(
        """
        print("ready", flush=True); input()
        store = open_store(uri)
        def write(first):
            journal = Journal()
            for turn in range(40):
                run_id = f"{number:016x}{first + turn:016x}"
                store.apply(journal.entries(started(run_id), ParamsLogged(run_id, {"a": "1"})))
                store.apply(journal.entries(RunEnded(run_id, "FINISHED", 1_700_000_000_001)))
        write(0)
        child = os.fork() if number % 2 else 0
        if number % 2 and child == 0:
            write(40)
            os._exit(0)
        write(80)
        if child:
            assert os.waitpid(child, 0)[1] == 0
        store.close()
        """,
        database_uri,
        4,
    )
    store = open_store(database_uri)
    assert len(store.search_runs("status = 'FINISHED' and params.a = '1'")) == 4 * 80 + 2 * 40
    store.close()


def test_a_child_neither_uses_nor_closes_its_parents_connections(database_uri: str) -> None:
    store = open_store(database_uri)
    journal = Journal()
    store.apply(journal.entries(started("a" * 32)))
    child = os.fork()
    if child == 0:
        try:
            store.apply(Journal().entries(started("b" * 32)))
            store.close()
        finally:
            os._exit(0 if len(open_store(database_uri).search_runs()) == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    store.apply(journal.entries(ParamsLogged("a" * 32, {"p": "1"})))
    assert [run.run_id[0] for run in store.search_runs(order_by="run_id")] == ["a", "b"]
    store.close()


def test_a_writer_killed_at_any_moment_leaves_a_whole_batch_or_none(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/runs.db"
    open_store(uri).apply(Journal().entries(started("f" * 32)))
    code = """
        print("ready", flush=True)
        store, journal = open_store(uri), Journal("20260101T000000-k")
        for turn in range(10**6):
            runs = [f"{turn:016x}{run:016x}" for run in range(5)]
            params = [ParamsLogged(run, {"p": "1"}) for run in runs]
            store.apply(journal.entries(*(started(run) for run in runs), *params))
        """
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code), uri, "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    store = open_store(uri)
    while len(store.search_runs()) < 30:
        pass
    process.kill()
    process.wait()
    runs = store.search_runs("params.p = '1'")
    assert len(runs) % 5 == 0
    assert len(runs) == len(store.search_runs()) - 1
    store.close()


def test_connections_that_were_needed_at_once_stay_open(database_uri: str) -> None:
    store = open_store(database_uri)
    assert isinstance(store, DatabaseStore)
    store.search_runs()
    opened: list[object] = []
    sa.event.listen(store._database.engine, "connect", lambda *made: opened.append(made))
    together = threading.Barrier(5)
    with ThreadPoolExecutor(5) as threads:
        for _ in range(2):
            list(threads.map(lambda _: store._database.read(lambda _: together.wait(30)), range(5)))
    assert len(opened) <= 4  # one was open
    store.close()
