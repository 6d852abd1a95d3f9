"""Deleting and restoring runs, and setting tags afterwards, on every store and from the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import autotrack
from autotrack import journal
from autotrack.cli import output
from autotrack.cli.app import app
from autotrack.errors import AmbiguousRun, FilterError, RunNotFound, SettingsError, StoreError
from autotrack.events import LifecycleSet, ParamsLogged, TagsSet
from autotrack.query import editing, list_runs
from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.stores.memory import MemoryStore
from autotrack.testing.samples import Journal, started

SEARCH, ONE, TWO, ALONE = "5ea" + "0" * 29, "0e1" + "0" * 29, "0e2" + "0" * 29, "a10" + "0" * 29
DEEPER = "dee" + "0" * 29


@pytest.fixture(params=["folder", "memory"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    uri = str(tmp_path / "kept") if request.param == "folder" else f"memory:{tmp_path}"
    with_runs = open_store(uri)
    with_runs.apply(
        Journal().entries(
            started(SEARCH, name="search", start_time=1),
            started(ONE, name="candidate", start_time=2, parent_run_id=SEARCH),
            started(TWO, name="candidate", start_time=3, parent_run_id=SEARCH),
            started(DEEPER, name="it's deeper", start_time=4, parent_run_id=TWO),
            started(ALONE, name="alone", start_time=5),
            ParamsLogged(ALONE, {"alpha": "1"}),
        )
    )
    yield with_runs
    with_runs.close()
    MemoryStore.forget(uri)


def active(store: Store) -> set[str]:
    return {run.run_id for run in list_runs(store=store)}


def test_children_go_and_come_with_their_parent(kept: Store) -> None:
    assert set(autotrack.delete_runs("search", store=kept)) == {SEARCH, ONE, TWO, DEEPER}
    assert active(kept) == {ALONE}
    assert {run.run_id for run in list_runs(view="deleted", store=kept)} == {SEARCH, ONE, TWO, DEEPER}
    assert len(list_runs(view="all", store=kept)) == 5
    assert autotrack.delete_runs(SEARCH, store=kept) == []
    assert set(autotrack.restore_runs("search", store=kept)) == {SEARCH, ONE, TWO, DEEPER}
    assert len(active(kept)) == 5


def test_a_child_is_restored_with_what_it_is_inside_of_and_without_its_siblings(kept: Store) -> None:
    autotrack.delete_runs(SEARCH, store=kept)
    assert set(autotrack.restore_runs("it's deeper", store=kept)) == {SEARCH, TWO, DEEPER}
    assert active(kept) == {SEARCH, TWO, DEEPER, ALONE}


def test_a_filter_names_runs_too(kept: Store) -> None:
    assert autotrack.delete_runs(filter="params.alpha = '1'", store=kept) == [ALONE]
    assert autotrack.restore_runs(filter="params.alpha = '2'", store=kept) == []
    assert autotrack.restore_runs(filter="params.alpha = '1'", store=kept) == [ALONE]


def test_edits_that_follow_each_other_at_once_keep_their_order(kept: Store) -> None:
    for _ in range(30):
        autotrack.delete_runs(ALONE, store=kept)
        assert ALONE not in active(kept)
        autotrack.restore_runs(ALONE[:8], store=kept)
        assert ALONE in active(kept)


def test_nothing_is_deleted_when_one_reference_is_wrong(kept: Store) -> None:
    for wrong, error in ((["alone", "none such"], RunNotFound), (["alone", "candidate"], AmbiguousRun)):
        with pytest.raises(error):
            autotrack.delete_runs(wrong, store=kept)
    with pytest.raises(FilterError):
        autotrack.delete_runs(filter="params.alpha <", store=kept)
    with pytest.raises(SettingsError, match="give the runs"):
        autotrack.delete_runs(store=kept)
    with pytest.raises(SettingsError, match="view='gone'"):
        list_runs(view="gone", store=kept)  # type: ignore[arg-type]
    assert len(active(kept)) == 5


def test_a_deleted_run_is_found_by_its_whole_id_and_hinted_at_otherwise(kept: Store) -> None:
    run = autotrack.get_run("alone", store=kept)
    before = time.time()
    assert run.delete() == [ALONE]
    assert run.deleted_time is not None
    assert before - 1 <= run.deleted_time.timestamp() <= time.time()
    assert "deleted   on" in repr(run)
    assert autotrack.get_run(ALONE, store=kept).deleted_time == run.deleted_time
    for reference in ("alone", ALONE[:6]):
        with pytest.raises(RunNotFound, match=f"autotrack restore {ALONE[:12]}"):
            autotrack.get_run(reference, store=kept)
    assert autotrack.get_run("latest", store=kept).run_id == DEEPER
    assert run.restore() == [ALONE]
    assert run.restore() == []
    assert autotrack.get_run("alone", store=kept).deleted_time is None
    with pytest.raises(RunNotFound, match="is not deleted"):
        autotrack.restore_runs("alone", store=kept)
    with pytest.raises(RunNotFound, match="--deleted"):
        autotrack.restore_runs("none such", store=kept)


def test_the_table_tells_when_a_run_was_deleted(kept: Store) -> None:
    autotrack.delete_runs("alone", store=kept)
    frame = autotrack.search_runs(view="all", store=kept).set_index("run_id")
    assert frame["deleted_time"].notna().sum() == 1
    assert frame["deleted_time"].notna()[ALONE]
    assert len(autotrack.search_runs(store=kept)) == 4
    assert autotrack.get_run(ALONE, store=kept).to_dict()["deleted_time"] is not None


def test_tags_are_set_afterwards(kept: Store) -> None:
    run = autotrack.get_run("alone", store=kept)
    run.set_tag("reviewed", "yes")
    run.set_tag("reviewed", "no")
    assert run.tags["reviewed"] == "no"
    assert kept.get_run(ALONE).tags == run.tags
    with pytest.raises(SettingsError, match="'reviewed'"):
        run.set_tag("reviewed", 1)  # type: ignore[arg-type]
    editing.delete_tags(kept, ALONE, ["reviewed", "never set"])
    assert kept.get_run(ALONE).tags == {}
    for wrong in ("", 1):
        with pytest.raises(SettingsError, match=repr(wrong)):
            editing.delete_tags(kept, ALONE, [wrong])  # type: ignore[list-item]
    kept.apply(Journal("20990101T000000-x").entries(TagsSet(ALONE, {"reviewed": "later"})))
    with pytest.raises(StoreError, match="a later word"):
        editing.delete_tags(kept, ALONE, ["reviewed"])


def test_a_clock_that_was_set_back_does_not_undo_the_word(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    autotrack.delete_runs(ALONE, store=kept)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86_400)
    assert autotrack.restore_runs(ALONE, store=kept) == [ALONE]
    assert ALONE in active(kept)


def test_a_word_from_the_future_is_not_silently_left_in_force(kept: Store) -> None:
    future = journal.new_journal_id(time.time() + 10**6)
    kept.apply(Journal(future).entries(LifecycleSet(ALONE, "active", 1)))
    with pytest.raises(StoreError, match="clock"):
        autotrack.delete_runs(ALONE, store=kept)


def test_a_cycle_of_parents_ends(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "cycle"))
    store.apply(Journal().entries(started(ONE, parent_run_id=TWO), started(TWO, parent_run_id=ONE)))
    assert set(autotrack.delete_runs(ONE, store=store)) == {ONE, TWO}
    assert set(autotrack.restore_runs(TWO, store=store)) == {ONE, TWO}


@pytest.fixture
def call(kept: Store) -> Callable[..., Result]:
    def run(*arguments: str, **keywords: Any) -> Result:
        return CliRunner().invoke(app, [*arguments, "--store", kept.uri], prog_name="autotrack", **keywords)

    return run


def test_the_commands(kept: Store, call: Callable[..., Result]) -> None:
    assert "nobody is there to ask" in call("delete", "search").output
    assert len(active(kept)) == 5
    result = call("delete", "search", "--yes")
    assert result.output == f"Deleted 1 run and the 3 inside. To undo: autotrack restore {SEARCH[:12]}\n"
    listed = json.loads(call("runs", "--deleted", "--format", "json").stdout)
    assert {run["run_id"] for run in listed} == {SEARCH, ONE, TWO, DEEPER}
    assert all(run["deleted_time"] for run in listed)
    assert " deleted " in call("runs", "--deleted").output
    assert " deleted " not in call("runs").output
    assert "deleted on" in call("show", SEARCH).output
    assert "already" in call("delete", SEARCH, "--yes").output
    assert call("restore", SEARCH[:12]).output == "Restored 1 run and the 3 inside.\n"
    assert "No deleted run in" in call("runs", "--deleted").output
    assert call("tag", "alone", "reviewed=yes", "note=a=b").output == f"Set 2 tags of {ALONE[:12]}.\n"
    assert kept.get_run(ALONE).tags["note"] == "a=b"
    assert call("tag", "alone", "reviewed").exit_code == 2
    said = call("tag", "alone", "owner=me", "--delete", "note", "-d", "reviewed", "-d", "none").output.splitlines()
    name = ALONE[:12]
    assert said == [f"Set 1 tag of {name}.", f"Deleted 2 tags of {name}.", f"{name} has no tag 'none'."]
    assert kept.get_run(ALONE).tags == {"owner": "me"}
    for wrong in (("tag", "alone"), ("tag", "alone", "-d", ""), ("tag", "alone", "a=1", "-d", "a")):
        assert call(*wrong).exit_code == 2
    assert call("delete").exit_code == 2
    assert call("delete", "none such", "--yes").exit_code == 1


def test_delete_asks_and_takes_no_for_an_answer(
    kept: Store, call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "can_ask", lambda: True)
    result = call("delete", "--filter", "run_name = 'alone'", input="n\n")
    assert "alone" in result.output
    assert "it is still running" in result.output
    assert result.exit_code == 1
    assert len(active(kept)) == 5
    call("delete", "--filter", "run_name = 'alone'", input="y\n")
    assert len(active(kept)) == 4


def test_only_what_is_meant_is_restored_among_thousands(tmp_path: Path) -> None:
    store = open_store(f"memory:{tmp_path}/many")
    parents = [f"{number:032x}" for number in range(450)]
    children = [f"c{number:031x}" for number in range(450)]
    events = [started(run_id) for run_id in parents]
    events += [started(child, parent_run_id=parent) for child, parent in zip(children, parents)]
    store.apply(Journal().entries(*events))
    assert len(editing.to_delete(store, parents[:401], None)) == 802
    MemoryStore.forget(f"memory:{tmp_path}/many")
