"""Pages of runs: all of them together are the search, and they survive what is written between them."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import bury
from paged import SEARCHES, Search, changes, many_runs, pages_are_the_search, pages_survive

from autotrack.events import Event, LifecycleSet, ParamsLogged, TagsSet
from autotrack.journal import JournalWriter
from autotrack.stores import open_store, tokens
from autotrack.stores.local import LocalStore
from autotrack.stores.local import paging as local_paging
from autotrack.stores.local.planning import Effort
from autotrack.stores.memory import MemoryStore
from autotrack.stores.paging import PageTokenError, change_mark, page_runs
from autotrack.testing.samples import Journal, started


@contextmanager
def _effort(few: int) -> Iterator[None]:
    """Ways to a search that are otherwise taken where there are many runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_paging, "EFFORT", Effort(few, 1, 2, 2**20) if few < 2000 else Effort())
        yield


_SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _memory() -> MemoryStore:
    MemoryStore.forget("memory:paging")
    return MemoryStore("paging")


@_SETTINGS
@given(many_runs(), st.lists(SEARCHES, min_size=1, max_size=3), st.integers(1, 4))
def test_all_pages_together_are_the_search(events: list[Event], searches: list[Search], limit: int) -> None:
    store = _memory()
    store.apply(Journal().entries(*events))
    for search in searches:
        pages_are_the_search(store, store, search, limit)


@_SETTINGS
@given(many_runs(), SEARCHES, st.integers(1, 3), changes())
def test_pages_survive_what_is_written_between_them(
    events: list[Event], search: Search, limit: int, batches: list[list[Event]]
) -> None:
    store, journal = _memory(), Journal()
    store.apply(journal.entries(*events))
    pages_survive(store, search, limit, batches, journal)


@_SETTINGS
@given(many_runs(), st.lists(SEARCHES, min_size=1, max_size=3), st.integers(1, 4), st.sampled_from([0, 1, 3, 2000]))
def test_a_folder_pages_as_memory_does(events: list[Event], searches: list[Search], limit: int, few: int) -> None:
    memory = _memory()
    entries = Journal().entries(*events)
    memory.apply(entries)
    with tempfile.TemporaryDirectory() as folder, _effort(few):
        store = LocalStore(folder)
        store.apply(entries)
        for search in searches:
            pages_are_the_search(memory, store, search, limit)
        store.close()


@_SETTINGS
@given(many_runs(), SEARCHES, st.integers(1, 3), changes(), st.sampled_from([0, 2000]))
def test_pages_of_a_folder_survive_what_is_written_between_them(
    events: list[Event], search: Search, limit: int, batches: list[list[Event]], few: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, _effort(few):
        store, journal = LocalStore(folder), Journal()
        store.apply(journal.entries(*events))
        pages_survive(store, search, limit, batches, journal)
        store.close()


def test_a_token_that_is_cut_altered_or_of_another_search_is_refused(tmp_path: Path) -> None:
    for store in (_memory(), LocalStore(tmp_path / "store")):
        store.apply(Journal().entries(*(started(f"{n:032x}", start_time=n) for n in range(4))))
        token = page_runs(store, None, ["start_time"], 2).next
        assert token is not None
        assert page_runs(store, " ", ["start_time"], 9, after=token).runs == store.search_runs(None, ["start_time"])[2:]
        other = "A" if token[-5] != "A" else "B"
        for wrong in ("", token[:-1], token[1:], token + "=", token + "A", token[:-5] + other + token[-4:], "é", "\0"):
            with pytest.raises(PageTokenError, match="begin again without a page token"):
                page_runs(store, None, ["start_time"], 2, after=wrong)
        for asked in (
            {"order_by": ["start_time DESC"]},
            {"filter": "name = 'a run'"},
            {"experiments": ["Default"]},
            {"view": "all"},
            {"top_level": True},
        ):
            with pytest.raises(PageTokenError):
                page_runs(store, **{"order_by": ["start_time"], "after": token, **asked})


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just(2**64)),
    lambda parts: st.lists(parts, max_size=5) | st.dictionaries(st.text(), parts, max_size=2),
    max_leaves=8,
)
_PLAIN = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(), st.just("\ud800")
)


_FORGED = st.one_of(
    st.text(),
    st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()),
    st.tuples(st.lists(_PLAIN, min_size=2, max_size=2), st.lists(_PLAIN, min_size=4, max_size=4)),
    st.tuples(st.lists(_PLAIN, max_size=3), st.lists(_JSON, max_size=5)),
    _JSON,
)


def test_a_token_that_a_stranger_made_gives_a_page_or_is_refused(tmp_path: Path) -> None:
    order_by = ["params.a", "metrics.b DESC"]
    stores = {"runs": _memory(), "folder": LocalStore(tmp_path / "s")}
    stores["database"] = open_store(f"sqlite:///{tmp_path}/runs.db")
    for store in stores.values():
        store.apply(Journal().entries(started("a" * 32), ParamsLogged("a" * 32, {"a": "1"})))

    @settings(_SETTINGS, max_examples=60)
    @given(_FORGED)
    def check(forged: object) -> None:
        for kind, store in stores.items():
            token = forged
            if not isinstance(forged, str):
                search = tokens.search_digest(kind, None, order_by, None, "active", False)
                data = json.dumps(forged).encode()
                checked = hashlib.sha256(search + data).digest()[:9]
                token = base64.urlsafe_b64encode(checked + data).rstrip(b"=").decode()
            try:
                assert len(page_runs(store, None, order_by, after=str(token)).runs) < 2
            except PageTokenError:
                pass

    check()
    for store in stores.values():
        store.close()


def test_a_page_goes_on_behind_a_long_text_while_its_run_is_as_it_was(tmp_path: Path) -> None:
    for store in (_memory(), LocalStore(tmp_path / "store"), open_store(f"sqlite:///{tmp_path}/runs.db")):
        journal = Journal()
        for n in range(3):
            run_id = f"{n:032x}"
            store.apply(journal.entries(started(run_id), TagsSet(run_id, {"t": "x" * 5000 + str(n)})))
        page = page_runs(store, None, ["tags.t"], 1)
        assert page.next is not None
        assert len(page.next) < 400
        assert [run.run_id[-1] for run in page_runs(store, None, ["tags.t"], after=page.next).runs] == ["1", "2"]
        store.apply(journal.entries(TagsSet(page.runs[0].run_id, {"t": "y"})))
        with pytest.raises(PageTokenError, match="the long text"):
            page_runs(store, None, ["tags.t"], after=page.next)
        store.close()


def test_a_child_is_at_the_top_where_its_parent_is_not_shown(tmp_path: Path) -> None:
    for store in (_memory(), LocalStore(tmp_path / "store"), open_store(f"sqlite:///{tmp_path}/runs.db")):
        parent, child = "a" * 32, "b" * 32
        store.apply(
            Journal().entries(
                started(parent, experiment="e"),
                started(child, experiment="f", parent_run_id=parent),
                LifecycleSet(child, "deleted", 1),
            )
        )
        top = [page_runs(store, view=view, top_level=True).runs for view in ("active", "deleted", "all")]
        assert [[run.run_id for run in runs] for runs in top] == [[parent], [child], [parent]]
        assert [run.run_id for run in page_runs(store, experiments=["f"], view="all", top_level=True).runs] == [child]
        store.close()


def test_a_mark_tells_of_other_processes_and_of_live_journals(tmp_path: Path) -> None:
    reader, writer = LocalStore(tmp_path / "store"), LocalStore(tmp_path / "store")
    marks = [change_mark(reader)]
    writer.apply(Journal().entries(started("a" * 32)))
    marks.append(change_mark(reader))
    assert change_mark(reader) == marks[-1]
    live = JournalWriter(tmp_path / "store")
    live.append([started("b" * 32)])
    marks.append(change_mark(reader))
    live.append([TagsSet("b" * 32, {"t": "1"})])
    marks.append(change_mark(reader))
    live.close()
    bury(live.path)
    marks.append(change_mark(reader))
    assert reader.get_run("b" * 32).status == "KILLED"
    assert len(set(marks)) == 5
