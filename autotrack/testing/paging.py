"""The contract of `autotrack.stores.paging`: what its functions answer of any store."""

from __future__ import annotations

from autotrack.entities import DELETED, Metric
from autotrack.errors import PageTokenError
from autotrack.events import LifecycleSet, MetricsLogged, ParamsLogged, TagsSet
from autotrack.stores.base import Store
from autotrack.stores.paging import Names, change_mark, children_of, count_runs, names_of, page_runs
from autotrack.testing.samples import Journal, raises, started


class PagesContract:
    """What every store guarantees of pages, whether by methods of its own or without."""

    def test_pages_survive_what_is_written_between_them(self, store: Store) -> None:
        journal = Journal()
        runs = [f"{number:032x}" for number in range(7)]
        values = (0.5, 0.5, 0.5, 1.0, float("nan"), 2.0)
        store.apply(journal.entries(*(started(run, start_time=1000 + n // 3) for n, run in enumerate(runs))))
        store.apply(journal.entries(*(MetricsLogged(run, (Metric("m", v),)) for run, v in zip(runs, values))))
        for order_by in ((), ("metrics.m",), ("metrics.m DESC", "run_id")):
            expected = [run.run_id for run in store.search_runs(None, order_by)]
            first = page_runs(store, None, order_by, 3)
            assert [run.run_id for run in first.runs] == expected[:3]
            # The run that the page ends with goes, and others come before and behind it.
            store.apply(journal.entries(LifecycleSet(expected[2], DELETED, 1), started("f" * 31 + str(len(order_by)))))
            shown, after = expected[:3], first.next
            while after is not None:
                page = page_runs(store, None, order_by, 2, after=after)
                shown += [run.run_id for run in page.runs]
                after = page.next
            assert [run for run in shown if run in expected] == expected
            store.apply(journal.entries(LifecycleSet(expected[2], "active", 2)))
        with raises(PageTokenError, "begin again without a page token"):
            page_runs(store, None, ("metrics.m",), after=first.next)

    def test_runs_are_counted_named_and_asked_for_their_children(self, store: Store) -> None:
        journal = Journal()
        parent, *children, lone = (letter * 32 for letter in "abcde")
        for place, (run, above) in enumerate([(parent, None), *((child, parent) for child in children), (lone, None)]):
            store.apply(journal.entries(started(run, start_time=1000 + place, parent_run_id=above, experiment="e")))
        store.apply(journal.entries(ParamsLogged(parent, {"p": "1"}), TagsSet(lone, {"t": "1"})))
        before = change_mark(store)
        store.apply(journal.entries(MetricsLogged(lone, (Metric("m", 1.0),))))
        assert change_mark(store) != before
        assert (count_runs(store), count_runs(store, "run_id = 'no'"), count_runs(store, at_most=3)) == (5, 0, 3)
        assert count_runs(store, experiments=["e", "f"], top_level=True) == 2
        assert count_runs(store, experiments=[]) == 0
        assert [run.run_id for run in page_runs(store, top_level=True).runs] == [lone, parent]
        found = children_of(store, [parent, lone, "gone"])
        assert {run: [child.run_id for child in runs] for run, runs in found.items()} == {
            parent: children,
            lone: [],
            "gone": [],
        }
        assert [run.run_id for run in children_of(store, [parent], limit_each=1)[parent]] == children[:1]
        names = names_of(store, "e")
        assert ("p" in names.params, "m" in names.metrics, "t" in names.tags) == (True, True, True)
        assert names_of(store, "f") == Names([], [], [])
