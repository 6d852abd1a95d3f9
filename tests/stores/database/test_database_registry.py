"""Registered models in a database: many processes, what runs have logged, upgraded databases, what gc keeps."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from databases import emptied, shared_mariadb_uri, shared_postgres_uri

from autotrack.entities import ACTIVE, DELETED, FINISHED, LoggedModel
from autotrack.errors import ModelError, ModelNotFound
from autotrack.events import LifecycleSet, ModelLogged, RunEnded
from autotrack.stores import open_store
from autotrack.stores.database import schema
from autotrack.stores.database.store import DatabaseStore
from autotrack.testing.samples import Journal, started

__all__ = ["shared_mariadb_uri", "shared_postgres_uri"]

DIGEST = "sha256:" + "0" * 64


@pytest.fixture(params=["sqlite", "shared_postgres_uri", "shared_mariadb_uri"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseStore:
    """A database of each kind with nothing in it."""
    uri = f"sqlite:///{tmp_path}/runs.db" if request.param == "sqlite" else str(request.getfixturevalue(request.param))
    opened = emptied(uri)
    assert isinstance(opened, DatabaseStore)
    return opened


def logged(name: str | None, path: str = "model") -> LoggedModel:
    return LoggedModel(path, "k.Estimator", "skops", 1, name, DIGEST)


def sources(store: DatabaseStore, name: str) -> list[tuple[int, str, str]]:
    return [(version.version, version.run_id, version.path) for version in store.model_versions(name)]


@pytest.mark.parametrize("database_uri", ["sqlite", "postgres_uri"], indirect=True)
def test_eight_processes_number_the_versions_of_one_name(database_uri: str) -> None:
    """They register by hand and by what their runs log, at once, from the first version on, and delete in between."""
    code = """
        import os, sys
        from autotrack.entities import LoggedModel
        from autotrack.events import ModelLogged
        from autotrack.stores import open_store
        from autotrack.testing.samples import Journal, started
        uri, number = sys.argv[1], int(sys.argv[2])
        store, journal = open_store(uri), Journal()
        store.search_runs()
        print("ready", flush=True); input()
        for turn in range(10):
            run = f"{number:016x}{turn:016x}"
            if turn % 2:
                store.apply(journal.entries(started(run), ModelLogged(run, LoggedModel("m", "", "", 1, "churn"))))
            else:
                made = store.create_model_version("churn", run, "m", tags={"by": str(number)})
                assert made.run_id == run and made.tags == {"by": str(number)}
                if turn == 4:
                    store.set_alias("churn", "newest", made.version)
                if turn == 8:
                    store.delete_model_version("churn", made.version)
        store.close()
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), database_uri, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    store = open_store(database_uri)
    assert isinstance(store, DatabaseStore)
    versions = store.model_versions("churn")
    assert len(versions) == 72
    numbers = [version.version for version in versions]
    assert len(set(numbers)) == 72
    assert max(numbers) <= 80
    assert store.create_model_version("churn", "x", "m").version == 81
    assert Counter(version.run_id for version in versions).most_common(1)[0][1] == 1
    (alias,) = store.registered_model("churn").aliases.values()
    assert store.model_version("churn", alias).aliases == ("newest",)
    store.close()


def test_an_older_database_gets_the_versions_that_its_runs_have_named(database_uri: str) -> None:
    """And on MariaDB, which commits each table, also where somebody was killed while he made them."""
    store = open_store(database_uri)
    assert isinstance(store, DatabaseStore)
    journal = Journal()
    for number, run in enumerate("abcd"):
        name = "m" if run != "b" else "it's \0 \U0001f600"
        ended = [RunEnded(run, FINISHED, 9000)] if run == "a" else []
        events = started(run, start_time=5000 - number), ModelLogged(run, logged(name)), *ended
        store.apply(journal.entries(*events, ModelLogged(run, logged("no/name", "other"))))
    store.apply(journal.entries(LifecycleSet("c", DELETED, 1)))
    with store._database.engine.begin() as connection:
        tables = ["registered_models", "model_versions", "model_tags", "model_aliases"]
        for table in tables[1:] if connection.dialect.name == "mysql" else tables:
            connection.exec_driver_sql(f"DROP TABLE {table}")
        if connection.dialect.name != "mysql":
            for change in (
                *("DROP TABLE removed_tags", "DROP TABLE experiment_facts"),
                *("ALTER TABLE models DROP COLUMN model_id", "ALTER TABLE models DROP COLUMN details"),
            ):
                connection.exec_driver_sql(change)
        connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = '0001'")
    store.close()
    store = DatabaseStore(store._database.address)
    assert sources(store, "m") == [(1, "d", "model"), (2, "c", "model"), (3, "a", "model")]
    assert [version.created_time for version in store.model_versions("m")] == [4997, 4998, 9000]
    assert sources(store, "it's \0 \U0001f600") == [(1, "b", "model")]
    assert len(store.registered_models()) == 2
    store.apply(journal.entries(ModelLogged("a", logged("m"))))
    assert store.create_model_version("m", "a", "model").version == 4
    store.close()


class TestRegisteredModels:
    """On each kind of database, which the tests share."""

    def test_entries_that_come_again_make_no_second_version(self, store: DatabaseStore) -> None:
        journal, run = Journal(), "a" * 32
        entries = journal.entries(
            started(run), ModelLogged(run, logged("m")), RunEnded(run, FINISHED, 1_700_000_001_000)
        )
        store.apply(entries)
        store.apply(entries)
        store.apply(journal.entries(ModelLogged(run, logged("m"))))
        assert sources(store, "m") == [(1, run, "model")]
        assert store.model_version("m", 1).digest == DIGEST
        assert store.model_version("m", 1).created_time == 1_700_000_001_000
        store.delete_model_version("m", 1)
        store.apply(entries)
        store.apply(journal.entries(ModelLogged(run, logged("m"))))
        assert sources(store, "m") == []
        store.delete_registered_model("m")
        store.apply(journal.entries(ModelLogged(run, logged("m"))))
        with pytest.raises(ModelNotFound):
            store.registered_model("m")
        assert store.create_model_version("m", run, "model").version == 2

    def test_a_model_is_a_version_once_the_start_of_its_run_is_known(self, store: DatabaseStore) -> None:
        first, second, run = Journal("20260101T000000-a"), Journal("20260101T000000-b"), "a" * 32
        store.apply(second.entries(ModelLogged(run, logged("m"))))
        assert store.registered_models() == []
        store.apply(first.entries(started(run)))
        assert sources(store, "m") == [(1, run, "model")]

    def test_models_that_come_together_count_by_the_start_of_their_runs(self, store: DatabaseStore) -> None:
        journal = Journal()
        events = []
        for number, run in enumerate("abc"):
            events += [started(run, start_time=5000 - number), ModelLogged(run, logged("m", "x"))]
            events.append(ModelLogged(run, logged("m", "a")))
        store.apply(journal.entries(*events, *(ModelLogged("d", logged(name)) for name in ("a/b", " ")), started("d")))
        found = [(run, path) for _, run, path in sources(store, "m")]
        assert found == [(run, path) for run in "cba" for path in "xa"]
        assert [model.name for model in store.registered_models()] == ["m"]

    def test_a_name_that_comes_later_makes_a_version_of_that_too(self, store: DatabaseStore) -> None:
        journal, run = Journal(), "a" * 32
        store.apply(journal.entries(started(run), ModelLogged(run, logged(None))))
        assert store.registered_models() == []
        store.apply(journal.entries(ModelLogged(run, logged("m"))))
        store.apply(journal.entries(ModelLogged(run, logged("n"))))
        assert sources(store, "m") == sources(store, "n") == [(1, run, "model")]

    def test_garbage_keeps_a_deleted_run_that_a_version_names(self, store: DatabaseStore) -> None:
        journal, run, other = Journal(), "a" * 32, "b" * 32
        store.apply(journal.entries(started(run), ModelLogged(run, logged("m")), started(other)))
        store.apply(journal.entries(*(LifecycleSet(one, DELETED, 1) for one in (run, other))))
        found = {item.run_id: item.kept for item in store.garbage()}
        assert found == {run: "version 1 of the model 'm' names it; delete that first", other: ""}
        store.collect(store.garbage())  # whoever asks for it all the same does not get it
        assert [kept.run_id for kept in store.search_runs(view="all")] == [run]
        store.delete_model_version("m", 1)
        assert [item.kept for item in store.garbage()] == [""]
        store.collect(store.garbage())
        assert store.search_runs(view="all") == []
        store.apply(journal.entries(started(run), ModelLogged(run, logged("m"))))
        assert sources(store, "m") == []

    def test_a_version_made_since_garbage_was_listed_keeps_its_run(self, store: DatabaseStore) -> None:
        journal, run = Journal(), "a" * 32
        store.apply(journal.entries(started(run), LifecycleSet(run, DELETED, 1)))
        listed = store.garbage()
        store.create_model_version("m", run, "model")
        store.collect(listed)
        store.apply(journal.entries(LifecycleSet(run, ACTIVE, 2)))
        assert store.get_run(run).run_id == run

    def test_eight_threads_with_stores_of_their_own_number_the_versions(self, store: DatabaseStore) -> None:
        def register(number: int) -> list[int]:
            own = DatabaseStore(store._database.address)
            journal, runs = Journal(), [f"{number}/{turn}" for turn in range(4)]
            for run in runs:
                own.apply(journal.entries(started(run), ModelLogged(run, logged("m"))))
            made = [own.create_model_version("m", run, "by hand").version for run in runs]
            own.close()
            return made

        with ThreadPoolExecutor(8) as pool:
            made = [number for numbers in pool.map(register, range(8)) for number in numbers]
        versions = store.model_versions("m")
        assert [version.version for version in versions] == list(range(1, 65))
        assert sorted(made) == [version.version for version in versions if version.path == "by hand"]

    def test_strings_of_any_content_come_back(self, store: DatabaseStore) -> None:
        odd = 'it\'s \ud800 \0 \U0001f600 "x" ` % _ \\ '
        made = store.create_model_version(odd, odd, odd, digest=odd, description=odd, tags={odd: odd, "empty": ""})
        assert (made.name, made.run_id, made.path, made.digest, made.description) == (odd,) * 5
        assert dict(made.tags) == {odd: odd, "empty": ""}
        assert store.model_versions(odd) == [made]
        changed = store.update_registered_model(odd, description=odd, tags={odd: odd})
        assert (changed.description, dict(changed.tags)) == (odd, {odd: odd})
        assert store.registered_models() == [changed]
        with pytest.raises(ModelError, match="key that is not empty"):
            store.update_registered_model(odd, tags={"": "x"})

    def test_a_check_finds_models_that_an_older_program_wrote_since(self, store: DatabaseStore) -> None:
        run = "a" * 32
        store.apply(Journal().entries(started(run), ModelLogged(run, logged("m"))))
        with store._database.engine.begin() as connection:
            for table in ("registered_models", "model_versions"):
                connection.exec_driver_sql(f"DELETE FROM {table}")

        def told(repair: bool = False) -> list[str | None]:
            return [
                finding.repaired for finding in store.check(repair=repair) if finding.subject == "registered models"
            ]

        assert told() == [None]
        assert told(repair=True) == ["made versions of them"]
        assert told() == []
        assert sources(store, "m") == [(1, run, "model")]

    def test_a_version_that_is_too_large_a_number_is_not_found(self, store: DatabaseStore) -> None:
        store.create_model_version("m", "r", "p")
        for number in (0, -1, 2, 2**63, 10**30):
            with pytest.raises(ModelNotFound, match="has no version"):
                store.model_version("m", number)
        assert abs((store.model_version("m", 1).created_time or 0) - time.time() * 1000) < 600_000
