"""The contract of `autotrack.stores.base.Store`."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from autotrack.entities import (
    BROKEN,
    DEFAULT_EXPERIMENT,
    FAILED,
    FINISHED,
    RUNNING,
    Artifact,
    Dataset,
    LoggedModel,
    Metric,
    Note,
    Run,
    experiment_id,
)
from autotrack.errors import FilterError, RunNotFound
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
from autotrack.journal import new_id
from autotrack.stores.base import Store
from autotrack.testing.artifacts import ArtifactsContract
from autotrack.testing.models import ModelsContract
from autotrack.testing.paging import PagesContract
from autotrack.testing.samples import FILTERS, ODD_STRINGS, Journal, raises, started


class StoreContract(ModelsContract, ArtifactsContract, PagesContract):
    """What every store guarantees. Subclass it and supply the fixture ``store``: an empty one for each test."""

    keeps_experiment_facts: bool = True
    """Set it to false for a store that passes over `autotrack.events.ExperimentDescribed`."""

    # What comes back

    def test_it_is_a_store_with_a_uri(self, store: Store) -> None:
        assert isinstance(store, Store)
        assert store.uri

    def test_an_empty_store_has_nothing_and_says_so(self, store: Store) -> None:
        assert store.search_runs() == []
        assert store.experiments() == []
        assert store.find_runs("a") == []
        assert store.problems() == []
        with raises(RunNotFound, "deadbeef"):
            store.get_run("deadbeef")
        for ask in (store.artifacts, lambda run_id: store.artifact_path(run_id, "x")):
            with raises(RunNotFound, "deadbeef"):
                ask("deadbeef")

    def test_a_whole_run_comes_back_as_it_went_in(self, store: Store) -> None:
        run_id, parent = new_id(), new_id()
        dataset = Dataset(
            *("x", "train", "DataFrame", "sha256:1", (3, None), ({"name": "a", "missing": 1},), {"mean": 0.5}),
            {"source_type": "local", "schema": '{"columns": []}', "tags": {"k": None}},
        )
        details = {"name": "model", "status": "READY", "params": {"alpha": "0.05"}, "metrics": [{"value": 0.5}]}
        about = ("sklearn.linear_model.ElasticNet", "cloudpickle", 12, "Name", "sha256:1")
        model = LoggedModel("model", *about, "m-1", details)
        note = Note("warning", "ConvergenceWarning", "did not converge", 2)
        store.apply(
            Journal().entries(
                ProcessDescribed("p", {"user": "me", "packages": {"numpy": "2"}, "arguments": ["a", 1, None]}),
                started(run_id, name="fit", start_time=1000, experiment="e", parent_run_id=parent, process_id="p"),
                ParamsLogged(run_id, {"alpha": "0.05", "l1_ratio": "1"}),
                TagsSet(run_id, {"owner": "me"}),
                MetricsLogged(run_id, (Metric("rmse", 0.5, 0, 1500), Metric("r2", -1.0, 0, 1500))),
                DatasetLogged(run_id, dataset),
                ModelLogged(run_id, model),
                NoteLogged(run_id, note),
                RunEnded(run_id, FINISHED, 3000),
            )
        )
        run = self.reopen(store).get_run(run_id)
        assert run == Run(
            run_id=run_id,
            name="fit",
            experiment="e",
            status=FINISHED,
            start_time=1000,
            end_time=3000,
            parent_run_id=parent,
            process_id="p",
            params={"alpha": "0.05", "l1_ratio": "1"},
            metrics={"rmse": 0.5, "r2": -1.0},
            tags={"owner": "me"},
            datasets=(dataset,),
            models=(model,),
            notes=(note,),
            process={"user": "me", "packages": {"numpy": "2"}, "arguments": ["a", 1, None]},
        )
        assert run.duration == 2.0

    def test_a_run_without_an_end_is_running(self, store: Store) -> None:
        run = _applied(store, started("a" * 32))
        assert (run.status, run.end_time, run.error, run.broken) == (RUNNING, None, None, None)

    def test_a_failed_run_keeps_its_error(self, store: Store) -> None:
        run = _applied(
            store, started("a" * 32), RunEnded("a" * 32, FAILED, 1_700_000_000_001, "Traceback …\nValueError")
        )
        assert (run.status, run.error) == (FAILED, "Traceback …\nValueError")

    def test_a_later_value_of_a_key_replaces_the_earlier(self, store: Store) -> None:
        run_id = "a" * 32
        first, second = Dataset("x", "train", "k", "1"), Dataset("x", "train", "k", "2")
        other = replace(first, context="eval")
        run = _applied(
            store,
            started(run_id),
            ParamsLogged(run_id, {"a": "1", "b": "1"}),
            ParamsLogged(run_id, {"a": "2"}),
            TagsSet(run_id, {"t": "1"}),
            TagsSet(run_id, {"t": "2"}),
            *(DatasetLogged(run_id, dataset) for dataset in (first, other, second)),
            *(ModelLogged(run_id, LoggedModel("model", text)) for text in ("old", "new")),
            *(ArtifactLogged(run_id, Artifact("f.txt", size)) for size in (1, 2)),
            *(NoteLogged(run_id, Note("warning", "w", text, count)) for text in "ab" for count in (1, 2)),
        )
        assert (run.params, run.tags) == ({"a": "2", "b": "1"}, {"t": "2"})
        assert {(dataset.context, dataset.digest) for dataset in run.datasets} == {("train", "2"), ("eval", "1")}
        assert run.models == (LoggedModel("model", "new"),)
        assert run.notes == (Note("warning", "w", "a", 2), Note("warning", "w", "b", 2))
        assert Artifact("f.txt", 2) in store.artifacts(run_id)

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

    def test_facts_of_a_process_join_and_reach_its_runs(self, store: Store) -> None:
        run_id = "a" * 32
        run = _applied(
            store,
            ProcessDescribed("p", {"user": "me", "script": "s"}),
            started(run_id, process_id="p"),
            ProcessDescribed("p", {"git": None, "user": "you"}),
            ProcessDescribed("other", {"x": 1}),
        )
        assert run.process == {"user": "you", "script": "s", "git": None}

    def test_odd_strings_survive_everywhere(self, store: Store) -> None:
        for odd in ODD_STRINGS:
            run_id, key = new_id(), odd or "k"
            run = _applied(
                store,
                ProcessDescribed(odd, {key: odd}),
                started(run_id, name=odd, experiment=key, process_id=odd),
                ParamsLogged(run_id, {key: odd}),
                TagsSet(run_id, {key: odd}),
                MetricsLogged(run_id, (Metric(key, 1.0),)),
                DatasetLogged(run_id, Dataset(odd, odd, odd, odd, (1,), ({"name": odd},), {key: odd})),
                ModelLogged(run_id, LoggedModel(key, odd, odd)),
                NoteLogged(run_id, Note(odd, odd, odd)),
                RunEnded(run_id, FAILED, 1_700_000_000_001, odd),
            )
            assert (run.name, run.experiment, run.process_id, run.error) == (odd, key, odd, odd)
            assert (run.params, run.tags, run.metrics, run.process) == ({key: odd}, {key: odd}, {key: 1.0}, {key: odd})
            assert run.datasets == (Dataset(odd, odd, odd, odd, (1,), ({"name": odd},), {key: odd}),)
            assert run.models == (LoggedModel(key, odd, odd),)
            assert run.notes == (Note(odd, odd, odd),)
            assert store.metric_history(run_id, key) == [Metric(key, 1.0)]
            assert run in store.search_runs(experiment=key)
            assert key in [experiment.name for experiment in store.experiments()]
            if odd:
                assert run in store.find_runs(odd)
                literal, quoted = odd.replace("'", "''"), key.replace('"', '""')
                assert run in store.search_runs(f"name = '{literal}' and params.\"{quoted}\" = '{literal}'")

    def test_a_param_of_a_megabyte_is_kept_whole(self, store: Store) -> None:
        text = "é" * 1_000_000
        assert _applied(store, started("a" * 32), ParamsLogged("a" * 32, {"p": text})).params == {"p": text}

    def test_integers_beyond_64_bits_do_no_harm(self, store: Store) -> None:
        run_id, huge = "a" * 32, 2**70
        run = _applied(
            store,
            started(run_id, start_time=huge),
            MetricsLogged(run_id, (Metric("m", 1.0, huge, -huge), Metric("m", 2.0, 5))),
            ArtifactLogged(run_id, Artifact("f", huge)),
            RunEnded(run_id, FINISHED, huge),
        )
        assert run.metrics == {"m": 1.0}
        assert [metric.value for metric in store.metric_history(run_id, "m")] == [2.0, 1.0]

    # Metrics

    def test_nan_and_infinite_metrics_are_kept(self, store: Store) -> None:
        run_id = "a" * 32
        points = (
            Metric("n", math.nan),
            Metric("p", math.inf),
            Metric("m", -math.inf),
            Metric("t", 5e-324),
        )
        run = _applied(store, started(run_id), MetricsLogged(run_id, points))
        assert math.isnan(run.metrics["n"])
        assert (run.metrics["p"], run.metrics["m"], run.metrics["t"]) == (math.inf, -math.inf, 5e-324)
        assert math.isnan(store.metric_history(run_id, "n")[0].value)

    def test_the_history_is_in_order_of_step_then_time_and_its_end_is_the_metric(self, store: Store) -> None:
        run_id = "a" * 32
        points = [
            Metric("m", float(i), step, time)
            for i, (step, time) in enumerate([(2, 9), (1, 5), (1, 4), (2, 8), (0, 99)])
        ]
        run = _applied(
            store, started(run_id), MetricsLogged(run_id, tuple(points[:3])), MetricsLogged(run_id, tuple(points[3:]))
        )
        assert [point.value for point in store.metric_history(run_id, "m")] == [4.0, 2.0, 1.0, 3.0, 0.0]
        assert store.metric_history(run_id, "m")[0] == Metric("m", 4.0, 0, 99)
        assert run.metrics == {"m": 0.0}
        assert store.metric_history(run_id, "other") == []

    def test_of_points_at_one_step_and_time_the_last_logged_counts(self, store: Store) -> None:
        run_id = "a" * 32
        run = _applied(
            store,
            started(run_id),
            MetricsLogged(run_id, (Metric("m", 1.0), Metric("m", 3.0))),
            MetricsLogged(run_id, (Metric("m", 2.0), Metric("n", 1.0))),
            MetricsLogged(run_id, (Metric("n", math.nan),)),
        )
        assert run.metrics["m"] == 2.0
        assert math.isnan(run.metrics["n"])
        assert [point.value for point in store.metric_history(run_id, "m")] == [1.0, 3.0, 2.0]

    # Idempotence and order

    def test_applying_again_changes_nothing(self, store: Store) -> None:
        run_id = "a" * 32
        entries = Journal().entries(
            started(run_id),
            ParamsLogged(run_id, {"a": "1"}),
            MetricsLogged(run_id, (Metric("m", 1.0),)),
            ParamsLogged(run_id, {"a": "2"}),
        )
        store.apply([*entries[:3], *entries[:2]])
        store.apply(entries)
        before = store.get_run(run_id)
        for again in (entries, entries[:2], entries[2:], [entries[1]], []):
            store.apply(again)
            assert self.reopen(store).get_run(run_id) == before
        assert before.params == {"a": "2"}
        assert len(store.metric_history(run_id, "m")) == 1
        assert len(store.search_runs()) == 1

    def test_a_number_not_greater_than_the_last_is_passed_over(self, store: Store) -> None:
        run_id = "a" * 32
        store.apply([Entry("20260101T000000-j", 5, started(run_id))])
        store.apply([Entry("20260101T000000-j", number, ParamsLogged(run_id, {"a": "1"})) for number in (4, 5)])
        assert store.get_run(run_id).params == {}

    def test_journals_may_come_in_any_order(self, store: Store) -> None:
        one, two = Journal("20260101T000000-a"), Journal("20260102T000000-b")
        for run_id, turned in (("a" * 32, False), ("b" * 32, True)):
            batches = [
                one.entries(started(run_id), ParamsLogged(run_id, {"p": "old", "q": "1"})),
                two.entries(ParamsLogged(run_id, {"p": "new"}), RunEnded(run_id, FINISHED, 1_700_000_000_001)),
            ]
            for batch in reversed(batches) if turned else batches:
                store.apply(batch)
        first, second = store.get_run("a" * 32), store.get_run("b" * 32)
        assert replace(first, run_id="") == replace(second, run_id="")
        assert (first.params, first.status) == ({"p": "new", "q": "1"}, FINISHED)

    def test_a_run_whose_start_is_not_known_yet_is_listed_and_heals(self, store: Store) -> None:
        run_id = "a" * 32
        store.apply(Journal("20260101T000000-b").entries(ParamsLogged(run_id, {"a": "1"})))
        (run,) = store.search_runs()
        assert (run.run_id, run.name, run.status, run.start_time) == (run_id, "", BROKEN, None)
        assert run.experiment == DEFAULT_EXPERIMENT
        assert run.broken
        assert store.search_runs("broken is not null and start_time is null") == [run]
        store.apply(Journal("20260101T000000-a").entries(started(run_id, name="n")))
        run = self.reopen(store).get_run(run_id)
        assert (run.name, run.status, run.broken, run.params) == ("n", RUNNING, None, {"a": "1"})

    # Searching

    def test_the_newest_run_comes_first(self, store: Store) -> None:
        times = {"b": 5, "a": 9, "d": 5, "c": 7}
        store.apply(
            Journal().entries(*(started(name * 32, name=name, start_time=time) for name, time in times.items()))
        )
        store.apply(Journal("20250101T000000-x").entries(ParamsLogged("e" * 32, {"a": "1"})))
        assert [run.run_id[0] for run in store.search_runs()] == ["a", "c", "d", "b", "e"]

    def test_order_by_and_limit(self, store: Store) -> None:
        self._three_runs_and_more(store)

        def names(*order_by: str, limit: int | None = None) -> str:
            return "".join(run.name for run in store.search_runs(order_by=order_by, limit=limit))

        assert names() == "xncba"
        assert names("metrics.m") == "abcxn"
        assert names("metrics.m DESC") == "cbaxn"
        assert names("params.p") == "bcanx"
        assert names("params.p desc") == "nacbx"
        assert names("tags.t DESC", "name") == "bcanx"
        assert names("start_time", limit=2) == "ab"
        assert names("duration") == "bnaxc"
        assert names("duration DESC") == "anbxc"
        assert names("user DESC", "run_id") == "abcnx"
        assert names(limit=0) == ""
        assert store.search_runs(order_by="name") == store.search_runs(order_by=["name"])
        assert names(limit=10**30) == "xncba"

    def test_filters_find_the_runs_they_name(self, store: Store) -> None:
        self._three_runs_and_more(store)
        for filter, names in FILTERS.items():
            found = "".join(sorted(run.name for run in store.search_runs(filter)))
            assert found == names, f"{filter!r} found {found!r}, not {names!r}"
            negated = "".join(sorted(run.name for run in store.search_runs(f"not ({filter})")))
            assert negated == "".join(sorted(set("abcnx") - set(names))), f"not ({filter}) found {negated!r}"

    def test_a_blank_filter_names_every_run(self, store: Store) -> None:
        self._three_runs_and_more(store)
        for blank in (None, "", "  "):
            assert len(store.search_runs(blank)) == 5

    def test_a_search_keeps_to_one_experiment(self, store: Store) -> None:
        self._three_runs_and_more(store)
        assert [run.name for run in store.search_runs("metrics.m > 0", ["name"], experiment="e")] == ["a", "b"]
        assert [run.name for run in store.search_runs(limit=1, experiment=DEFAULT_EXPERIMENT)] == ["x"]
        assert store.search_runs(experiment="none such") == []

    def test_a_filter_or_order_that_means_nothing_is_refused_with_the_place(self, store: Store) -> None:
        for filter in ("metrics.m <", "metrcs.m < 1", "name = FINISHED", "(" * 5000, "not " * 5000 + "name = 'a'"):
            with raises(FilterError, "^"):
                store.search_runs(filter)
        for order in ("", "metrics.m DWN", "nothing", "metrics.m; DROP TABLE runs"):
            with raises(FilterError, "^"):
                store.search_runs(order_by=[order])

    def test_runs_are_found_by_the_beginning_of_their_id_or_by_name(self, store: Store) -> None:
        ids = ["abc" + "0" * 29, "abd" + "0" * 29, "e" * 32]
        names = ["first", "e", "first"]
        store.apply(Journal().entries(*(started(i, name=n, start_time=t) for t, (i, n) in enumerate(zip(ids, names)))))

        def found(reference: str) -> list[str]:
            return [run.run_id[:3] for run in store.find_runs(reference)]

        assert found("ab") == ["abd", "abc"]
        assert found(ids[0]) == ["abc"]
        assert found("first") == ["eee", "abc"]
        assert found("e") == ["eee", "abd"]
        for nothing in ("zzz", "ab%", "ab_", "bc0", "*", ids[0] + "0"):
            assert found(nothing) == []

    def test_experiments_are_listed_by_name_with_their_runs_counted(self, store: Store) -> None:
        self._three_runs_and_more(store)
        found = [(e.experiment_id, e.name, e.run_count) for e in store.experiments()]
        assert found == [("0", DEFAULT_EXPERIMENT, 3), (experiment_id("e"), "e", 2)]

    # Deleting

    def test_a_deleted_run_is_out_of_sight_until_it_is_restored(self, store: Store) -> None:
        one, two, journal = "a" * 32, "b" * 32, Journal("20260101T000000-a")
        store.apply(journal.entries(started(one, name="one"), started(two, name="two")))
        whole = store.get_run(one)
        store.apply(Journal("20260102T000000-b").entries(LifecycleSet(one, "deleted", 5000)))
        store = self.reopen(store)
        deleted = replace(whole, deleted_time=5000)
        assert (store.get_run(one), deleted.lifecycle_stage) == (deleted, "deleted")
        assert [run.name for run in store.search_runs()] == ["two"]
        assert [run.name for run in store.search_runs("name != ''", view="deleted")] == ["one"]
        assert sorted(run.name for run in store.search_runs(view="all")) == ["one", "two"]
        assert store.find_runs("one") == store.find_runs("aaaa") == []
        assert [experiment.run_count for experiment in store.experiments()] == [1]
        store.apply(Journal("20260103T000000-c").entries(LifecycleSet(one, "active", 6000)))
        # An earlier journal that comes late does not delete it again.
        store.apply(Journal("20260102T000000-d").entries(LifecycleSet(one, "deleted", 5500)))
        assert self.reopen(store).get_run(one) == whole
        assert len(store.search_runs()) == 2

    # Threads

    def test_threads_may_apply_and_read_at_once(self, store: Store) -> None:
        def write(worker: int) -> None:
            journal = Journal()
            for number in range(5):
                run_id = f"{worker:016x}{number:016x}"
                store.apply(journal.entries(started(run_id), ParamsLogged(run_id, {"worker": str(worker)})))
                assert store.get_run(run_id).params == {"worker": str(worker)}
                store.search_runs("params.worker = '0'", limit=3)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(8)))
        assert len(store.search_runs()) == 40

    def test_threads_applying_the_same_entries_apply_them_once(self, store: Store) -> None:
        run_id = "a" * 32
        entries = Journal().entries(
            started(run_id), *(MetricsLogged(run_id, (Metric("m", 1.0, i),)) for i in range(20))
        )
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(store.apply, [entries[:n] for n in (5, 21, 10, 21)]))
        assert [metric.step for metric in store.metric_history(run_id, "m")] == list(range(20))

    def _three_runs_and_more(self, store: Store) -> None:
        """Runs ``a b c n x``, each newer than the one before; ``n`` has NaN, ``x`` has nothing."""
        ids = {name: name * 32 for name in "abcnx"}
        events: list[Event] = [ProcessDescribed("p", {"user": "me", "script": "/home/train.py"})]
        for number, (name, run_id) in enumerate(ids.items(), 1):
            experiment = "e" if name in "ab" else DEFAULT_EXPERIMENT
            process = "" if name == "x" else "p"
            events.append(
                started(run_id, name=name, start_time=number * 1000, experiment=experiment, process_id=process)
            )
        values = {"a": 1.0, "b": 2.0, "c": math.inf, "n": math.nan}
        params = {"a": "10", "b": "9", "c": "9.5", "n": "Zebra crossing"}
        events += [
            MetricsLogged(ids[name], (Metric("m", value), Metric("f1 score", value))) for name, value in values.items()
        ]
        events += [ParamsLogged(ids[name], {"p": text}) for name, text in params.items()]
        events += [TagsSet(ids[name], {"t": text}) for name, text in {"a": "1", "b": "3", "c": "2"}.items()]
        events += [DatasetLogged(ids["a"], Dataset(name, name, "k", "sha256:" + name)) for name in ("train", "eval")]
        events += [
            RunEnded(ids["a"], FINISHED, 4000),
            RunEnded(ids["b"], FINISHED, 3000),
            RunEnded(ids["n"], FAILED, 6000, "boom"),
        ]
        store.apply(Journal().entries(*events))


def _applied(store: Store, first: Event, *events: Event) -> Run:
    """The one run that these events are about."""
    store.apply(Journal().entries(first, *events))
    run_id = next(event.run_id for event in (first, *events) if isinstance(event, RunStarted))
    return store.get_run(run_id)
