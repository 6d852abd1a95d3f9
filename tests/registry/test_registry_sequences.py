"""Any sequence of calls leaves a folder, whoever has it open, and a database with what memory has."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from databases import emptied
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotrack.entities import LoggedModel
from autotrack.errors import ModelError
from autotrack.events import LifecycleSet, ModelLogged
from autotrack.journal import new_journal_id
from autotrack.stores.local import LocalStore
from autotrack.stores.memory import MemoryStore
from autotrack.stores.registry import RegistryStore
from autotrack.testing.samples import Journal, started

NAMES = st.sampled_from(["m", "n \n\U0001f600", "\ud800"])
NUMBERS = st.integers(0, 4)
ALIASES = st.sampled_from(["champion", "old", "v1"])
TAGS = st.dictionaries(st.sampled_from(["a", "b\0", ""]), st.none() | st.text(max_size=3), max_size=2)
RUNS = st.integers(0, 5).map(lambda number: f"{number:032x}")

CALLS = st.one_of(
    st.tuples(st.just("create_model_version"), st.tuples(NAMES, RUNS, st.just("model"))),
    st.tuples(st.just("set_alias"), st.tuples(NAMES, ALIASES, NUMBERS)),
    st.tuples(st.just("delete_alias"), st.tuples(NAMES, ALIASES)),
    st.tuples(st.just("delete_model_version"), st.tuples(NAMES, NUMBERS)),
    st.tuples(st.just("delete_registered_model"), st.tuples(NAMES)),
    st.tuples(st.just("create_registered_model"), st.tuples(NAMES)),
    st.tuples(st.just("rename_registered_model"), st.tuples(NAMES, NAMES)),
    st.tuples(st.just("rename_registered_model"), st.tuples(NAMES, NAMES)),
    st.tuples(st.just("update_registered_model"), st.tuples(NAMES), TAGS),
    st.tuples(st.just("update_model_version"), st.tuples(NAMES, NUMBERS), TAGS),
    st.tuples(st.just("log"), st.tuples(NAMES, RUNS)),
    st.tuples(st.just("delete_run"), st.tuples(RUNS)),
    st.tuples(st.just("ask"), st.just(())),
    st.tuples(st.just("lose the index"), st.just(())),
)


def outcome(do: Callable[[], Any]) -> object:
    """What a call gave, without the time at which it did, or the kind of its error."""
    try:
        given = do()
    except ModelError as error:
        return type(error)
    return replace(given, created_time=None) if hasattr(given, "created_time") else given


def everything(store: RegistryStore) -> list[object]:
    models = store.registered_models()
    versions = [version for model in models for version in store.model_versions(model.name)]
    return [replace(one, created_time=None) for one in [*models, *versions]]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CALLS, max_size=25))
def test_a_database_comes_to_what_memory_comes_to(tmp_path: Path, calls: list[Any]) -> None:
    MemoryStore.forget("memory:sequences")
    memory, database = MemoryStore("sequences"), emptied(f"sqlite:///{tmp_path}/runs.db")
    for what, arguments, *tags in calls:
        if what == "log":
            # Asked at once: a database makes versions when events are applied, and memory when somebody asks.
            model = LoggedModel("model", registered_model_name=arguments[0])
            entries = Journal(new_journal_id()).entries(started(arguments[1]), ModelLogged(arguments[1], model))
            database.apply(entries)
            memory.apply(entries)
            assert everything(database) == everything(memory)
        elif hasattr(memory, what):
            keywords = {"tags": tags[0]} if tags else {}
            done = [outcome(partial(getattr(one, what), *arguments, **keywords)) for one in (database, memory)]
            # Of two reasons to refuse a call, either may be told.
            refused = [isinstance(one, type) for one in done]
            assert all(refused) or done[0] == done[1], (what, arguments, keywords)
    assert everything(database) == everything(memory)
    assert [finding for finding in database.check() if finding.subject == "registered models"] == []
    database.close()
    MemoryStore.forget("memory:sequences")


@settings(max_examples=25, deadline=None)
@given(st.lists(CALLS, max_size=25))
def test_a_folder_comes_to_what_memory_comes_to(calls: list[Any]) -> None:
    MemoryStore.forget("memory:sequences")
    memory = MemoryStore("sequences")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / ".autotrack"
        stores = [LocalStore(folder), LocalStore(folder)]
        for number, (what, arguments, *tags) in enumerate(calls):
            at = stores[number % 2]
            if what in ("log", "delete_run"):
                run_id = arguments[-1]
                events = (
                    [started(run_id), ModelLogged(run_id, LoggedModel("model", registered_model_name=arguments[0]))]
                    if what == "log"
                    else [LifecycleSet(run_id, "deleted", 5)]
                )
                entries = Journal(new_journal_id()).entries(*events)
                at.apply(entries)
                memory.apply(entries)
            elif what == "ask":
                assert everything(at) == everything(memory)
            elif what == "lose the index":
                at.close()
                (folder / "runs.db").unlink(missing_ok=True)
            else:
                keywords = {"tags": tags[0]} if tags else {}
                done = [outcome(partial(getattr(one, what), *arguments, **keywords)) for one in (at, memory)]
                assert done[0] == done[1], (what, arguments, keywords)
        for store in [*stores, LocalStore(folder)]:
            assert everything(store) == everything(memory)
            assert store.problems() == []
            store.close()
    MemoryStore.forget("memory:sequences")
