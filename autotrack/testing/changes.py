"""The part of the contract of stores that is about what is said again: of tags, of ends, of experiments."""

from __future__ import annotations

from autotrack.entities import DEFAULT_EXPERIMENT, FAILED, FINISHED, RUNNING, experiment_id
from autotrack.events import ExperimentDescribed, LifecycleSet, RunEnded, TagsDeleted, TagsSet
from autotrack.stores.base import Store
from autotrack.testing.samples import Contract, Journal, started


class ChangesContract(Contract):
    """What a store guarantees of what is taken back or told again; `StoreContract` includes it."""

    keeps_experiment_facts: bool = True
    """Set it to false for a store that passes over `autotrack.events.ExperimentDescribed`."""

    def test_a_tag_that_is_taken_away_is_gone_until_it_is_set_again(self, store: Store) -> None:
        run_id, journal = "a" * 32, Journal("20260101T000000-a")
        tags = TagsSet(run_id, {"t": "1", "u": "1", "v": "1"})
        store.apply(journal.entries(started(run_id), tags, TagsDeleted(run_id, ("t", "never set"))))
        store = self.reopen(store)
        assert store.get_run(run_id).tags == {"u": "1", "v": "1"}
        for filter, count in (("tags.t IS NULL", 1), ("tags.t = '1'", 0), ("tags.t != 'x'", 0), ("tags.u = '1'", 1)):
            assert len(store.search_runs(filter)) == count, filter
        store.apply(journal.entries(started("b" * 32, start_time=1), TagsSet("b" * 32, {"t": "0"})))
        assert [run.run_id[0] for run in store.search_runs(order_by=["tags.t DESC"])] == ["b", "a"]
        store.apply(journal.entries(TagsDeleted(run_id, ("u",)), TagsSet(run_id, {"t": "2"})))
        assert self.reopen(store).get_run(run_id).tags == {"t": "2", "v": "1"}
        store.apply(journal.entries(TagsDeleted(run_id, ())))
        store.apply(journal.entries(TagsDeleted(run_id, ("t", "v"))))
        assert self.reopen(store).get_run(run_id).tags == {}

    def test_a_tag_that_was_set_before_it_was_taken_away_does_not_come_back(self, store: Store) -> None:
        run_id = "a" * 32
        set_early, taken, set_late = (Journal(f"2026010{day}T000000-{day}") for day in (1, 2, 3))
        store.apply(taken.entries(started(run_id), TagsDeleted(run_id, ("t", "u")), TagsSet(run_id, {"u": "own"})))
        store.apply(set_early.entries(TagsSet(run_id, {"t": "early", "u": "early", "v": "early"})))
        store = self.reopen(store)
        assert store.get_run(run_id).tags == {"u": "own", "v": "early"}
        store.apply(set_late.entries(TagsSet(run_id, {"t": "late"})))
        store.apply(taken.entries(TagsDeleted(run_id, ("t", "v"))))
        store.apply(set_early.entries(TagsDeleted(run_id, ("u",)), TagsSet(run_id, {"v": "early"})))
        assert self.reopen(store).get_run(run_id).tags == {"t": "late", "u": "own"}

    def test_a_run_that_ended_may_go_on(self, store: Store) -> None:
        run_id, journal = "a" * 32, Journal("20260101T000000-a")
        store.apply(journal.entries(started(run_id, start_time=1000), RunEnded(run_id, FAILED, 2000, "boom")))
        store.apply(journal.entries(RunEnded(run_id, RUNNING, 3000)))
        store = self.reopen(store)
        run = store.get_run(run_id)
        assert (run.status, run.start_time, run.end_time, run.error, run.duration) == (RUNNING, 1000, None, None, None)
        assert store.search_runs("status = 'RUNNING' and end_time is null and duration is null") == [run]
        assert store.search_runs("end_time > 0 or duration > 0") == []
        store.apply(journal.entries(RunEnded(run_id, FINISHED, 5000)))
        run = self.reopen(store).get_run(run_id)
        assert (run.status, run.end_time, run.duration) == (FINISHED, 5000, 4.0)
        assert store.search_runs("duration = 4") == [run]

    def test_facts_of_an_experiment_join_whether_it_has_runs_or_not(self, store: Store) -> None:
        early, late = Journal("20260101T000000-a"), Journal("20260102T000000-b")
        facts = {"shown_name": "Churn", "tag.owner": "me", "created_time": 5}
        store.apply(late.entries(ExperimentDescribed("e", facts), ExperimentDescribed("empty", {})))
        store.apply(early.entries(started("a" * 32, experiment="e"), started("b" * 32)))
        store.apply(early.entries(ExperimentDescribed("e", {"shown_name": "old", "stage": "active"})))
        store.apply(late.entries(ExperimentDescribed("e", {"tag.owner": None})))
        store = self.reopen(store)
        told = {each.name: (each.experiment_id, each.run_count, each.facts) for each in store.experiments()}
        if not self.keeps_experiment_facts:
            facts = {}
            assert told == {"e": (experiment_id("e"), 1, {}), DEFAULT_EXPERIMENT: ("0", 1, {})}
        else:
            facts |= {"stage": "active", "tag.owner": None}
            expected = {"e": (experiment_id("e"), 1, facts), "empty": (experiment_id("empty"), 0, {})}
            assert told == {DEFAULT_EXPERIMENT: ("0", 1, {}), **expected}
            assert [each.name for each in store.experiments()] == [DEFAULT_EXPERIMENT, "e", "empty"]
            assert list(store.experiments()[1].facts) == sorted(facts)
        store.apply(Journal("20260103T000000-c").entries(LifecycleSet("a" * 32, "deleted", 5000)))
        counts = {each.name: (each.run_count, each.facts) for each in self.reopen(store).experiments()}
        assert counts.get("e") == ((0, facts) if self.keeps_experiment_facts else None)
        assert store.search_runs(experiment="empty") == []
