"""The contract of `autotrack.stores.registry.ModelRegistry`."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from autotrack.entities import FINISHED, LoggedModel, ModelVersion
from autotrack.errors import ModelError, ModelNotFound
from autotrack.events import LifecycleSet, ModelLogged, RunEnded
from autotrack.journal import new_id
from autotrack.stores.registry import ModelRegistry, RegistryStore
from autotrack.testing.samples import Journal, raises, started

DIGEST: Final = "sha256:" + "1" * 64
ODD_NAMES: Final = (
    'it\'s \U0001f600 "x"',
    "naïve 漢字",
    "a`b%_\\",
    "'; DROP TABLE runs; --",
    "a b.c-d",
    " edge ",
    "3",
    "latest",
)
"""Names that every registry takes."""


class RegistryContract:
    """What every registry guarantees. Subclass it and supply the fixture ``store``: an empty one for each test.

    Runs are applied to the store before versions of their models are made, and have the artifacts that a version names,
    where ``put_model`` supplies them.
    """

    odd_names: tuple[str, ...] = (*ODD_NAMES, "two\nlines")
    """Override it for a store that does not take one of them."""

    def reopen(self, store: RegistryStore) -> RegistryStore:
        """The same store in another object; the first stays open. Override it where a store outlives its object."""
        return store

    # Numbers

    def test_it_is_a_registry(self, store: RegistryStore) -> None:
        assert isinstance(store, ModelRegistry)

    def test_an_empty_registry_has_nothing_and_says_so(self, store: RegistryStore) -> None:
        assert store.registered_models() == []
        for ask in _questions(store, "none", 1):
            with raises(ModelNotFound, "none"):
                ask()
        assert self.reopen(store).registered_models() == []

    def test_a_version_comes_back_as_it_went_in(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        before = int(time.time() * 1000) - 5000
        made = store.create_model_version(
            "churn", run_id, "model", digest=DIGEST, description="the first", tags={"b": "2", "a": "1"}
        )
        assert made.created_time is not None
        assert before <= made.created_time <= int(time.time() * 1000) + 5000
        assert made == ModelVersion(
            "churn", 1, run_id, "model", DIGEST, made.created_time, "the first", {"a": "1", "b": "2"}
        )
        store = self.reopen(store)
        assert store.model_version("churn", 1) == made
        assert store.model_versions("churn") == [made]
        model = store.registered_model("churn")
        assert (model.name, model.latest_version, model.description, model.tags, model.aliases) == (
            *("churn", 1, ""),
            *({}, {}),
        )
        assert model.created_time is not None
        assert store.registered_models() == [model]

    def test_numbers_count_from_one_for_each_name(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        made = [store.create_model_version(name, run_id, "model").version for name in "abaab"]
        assert made == [1, 1, 2, 3, 2]
        store = self.reopen(store)
        assert [version.version for version in store.model_versions("a")] == [1, 2, 3]
        assert [(model.name, model.latest_version) for model in store.registered_models()] == [("a", 3), ("b", 2)]

    def test_many_versions_are_in_the_order_of_their_numbers(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        for _ in range(11):
            store.create_model_version("m", run_id, "model")
        assert [version.version for version in store.model_versions("m")] == list(range(1, 12))
        assert store.registered_model("m").latest_version == 11

    def test_the_number_of_a_deleted_version_is_not_given_again(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        for _ in range(3):
            store.create_model_version("m", run_id, "model")
        store.delete_model_version("m", 3)
        store.delete_model_version("m", 1)
        store = self.reopen(store)
        assert [version.version for version in store.model_versions("m")] == [2]
        assert store.registered_model("m").latest_version == 2
        for gone in (1, 3):
            with raises(ModelNotFound, "m", str(gone)):
                store.model_version("m", gone)
        assert store.create_model_version("m", run_id, "model").version == 4
        for number in (2, 4):
            store.delete_model_version("m", number)
        assert store.registered_model("m").latest_version is None
        assert store.model_versions("m") == []
        assert store.create_model_version("m", run_id, "model").version == 5
        assert store.get_run(run_id).run_id == run_id, "the run of a deleted version stays"

    def test_a_deleted_model_is_gone_with_its_versions(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        for name in ("m", "m", "other"):
            store.create_model_version(name, run_id, "model", description="old")
        store.update_registered_model("m", description="old", tags={"t": "old"})
        store.delete_registered_model("m")
        store = self.reopen(store)
        assert [model.name for model in store.registered_models()] == ["other"]
        for ask in _questions(store, "m", 1):
            with raises(ModelNotFound, "m"):
                ask()
        again = store.create_model_version("m", run_id, "model")
        assert store.model_versions("m") == [again]
        model = store.registered_model("m")
        assert (model.description, model.tags) == ("", {})

    def test_the_numbers_of_a_deleted_model_are_not_given_again(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        for _ in range(2):
            store.create_model_version("m", run_id, "model")
        store.delete_registered_model("m")
        assert self.reopen(store).create_model_version("m", run_id, "model").version == 3

    def test_numbers_are_distinct_and_consecutive_whoever_makes_them(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        stores = (store, self.reopen(store))

        def make(worker: int) -> list[int]:
            at = stores[worker % 2]
            return [at.create_model_version("m", run_id, "model", tags={"w": str(worker)}).version for _ in range(5)]

        with ThreadPoolExecutor(6) as pool:
            made = list(pool.map(make, range(6)))
        assert sorted(number for numbers in made for number in numbers) == list(range(1, 31))
        by_number = {number: str(worker) for worker, numbers in enumerate(made) for number in numbers}
        for opened in (*stores, self.reopen(store)):
            found = opened.model_versions("m")
            assert {version.version: version.tags["w"] for version in found} == by_number

    # Models that runs logged under a name

    def test_a_logged_model_is_a_version_once(self, store: RegistryStore) -> None:
        """Applied twice, told by another journal, seen through two objects, asked for again and again."""
        run_id = self.new_run_id()
        model = LoggedModel("model", "k.Estimator", "skops", 1, "m", DIGEST)
        events = started(run_id), ModelLogged(run_id, model), RunEnded(run_id, FINISHED, 1_700_000_009_000)
        entries = Journal().entries(*events)
        self.put_model(store, entries)
        store.apply(entries)
        store.apply(entries)
        other = self.reopen(store)
        (found,) = other.model_versions("m")
        assert (found.name, found.version, found.run_id, found.path) == ("m", 1, run_id, "model")
        assert found.digest in (DIGEST, ""), "the digest that was logged, where the store keeps one"
        assert (found.description, found.tags, found.aliases) == ("", {}, ())
        other.apply(Journal().entries(*events))
        for opened in (store, other, self.reopen(store)):
            assert opened.model_versions("m") == [found]
            assert [model.name for model in opened.registered_models()] == ["m"]
        assert store.create_model_version("m", run_id, "model").version == 2, "a person may register it again"
        assert [version.version for version in self.reopen(store).model_versions("m")] == [1, 2]

    def test_a_model_logged_again_is_no_further_version(self, store: RegistryStore) -> None:
        run_id = self.logged(store, "m")
        (before,) = store.model_versions("m")
        store.apply(Journal().entries(ModelLogged(run_id, LoggedModel("model", "k.E", "", 2, "m", DIGEST))))
        assert self.reopen(store).model_versions("m") == [before], "what a version points to stays"

    def test_models_found_together_count_by_their_runs_start(self, store: RegistryStore) -> None:
        runs = {self.new_run_id(): time for time in (3000, 1000, 2000)}
        entries = []
        for run_id, at in runs.items():
            events = (
                started(run_id, start_time=1_700_000_000_000 + at),
                ModelLogged(run_id, LoggedModel("model", "k.E", "", 1, "m")),
                ModelLogged(run_id, LoggedModel("unnamed", "k.E")),
                RunEnded(run_id, FINISHED, 1_700_000_009_000),
            )
            entries += Journal().entries(*events)
        self.put_model(store, entries)
        store.apply(entries)
        expected = sorted(runs, key=lambda run_id: runs[run_id])
        assert [version.run_id for version in self.reopen(store).model_versions("m")] == expected
        # A run that is found later counts on, whenever it started.
        late = self.logged(store, "m", start_time=1_700_000_000_001)
        assert [version.run_id for version in store.model_versions("m")] == [*expected, late]

    def test_several_models_of_a_run_are_versions(self, store: RegistryStore) -> None:
        run_id = self.new_run_id()
        models = [LoggedModel(path, "k.E", "", 1, name) for path, name in (("z", "m"), ("a", "m"), ("b", "n"))]
        entries = Journal().entries(started(run_id), *(ModelLogged(run_id, model) for model in models))
        self.put_model(store, entries)
        store.apply(entries)
        store = self.reopen(store)
        assert [(v.version, v.path) for v in store.model_versions("m")] == [(1, "z"), (2, "a")]
        assert [(v.version, v.path) for v in store.model_versions("n")] == [(1, "b")]

    def test_a_deleted_version_of_a_logged_model_does_not_come_back(self, store: RegistryStore) -> None:
        run_id = self.logged(store, "m")
        store.delete_model_version("m", 1)
        model = LoggedModel("model", "k.E", "", 1, "m")
        store.apply(Journal().entries(started(run_id), ModelLogged(run_id, model)))
        store = self.reopen(store)
        assert store.model_versions("m") == []
        store.delete_registered_model("m")
        store = self.reopen(store)
        assert store.registered_models() == []
        self.logged(store, "m")
        assert [version.run_id == run_id for version in self.reopen(store).model_versions("m")] == [False]

    def test_the_version_of_a_deleted_run_stays(self, store: RegistryStore) -> None:
        run_id = self.logged(store, "m")
        (before,) = store.model_versions("m")
        store.apply(Journal("20990101T000000-d").entries(LifecycleSet(run_id, "deleted", 5000)))
        assert self.reopen(store).model_versions("m") == [before]
        assert store.get_run(run_id).deleted_time is not None

    def test_the_model_of_a_run_that_was_deleted_before_anyone_asked_is_a_version(self, store: RegistryStore) -> None:
        run_id = self.logged(store, "m")
        store.apply(Journal("20990101T000000-d").entries(LifecycleSet(run_id, "deleted", 5000)))
        assert [version.run_id for version in self.reopen(store).model_versions("m")] == [run_id]

    def test_a_name_that_cannot_be_makes_no_version_of_a_logged_model(self, store: RegistryStore) -> None:
        self.logged(store, "a/b")
        run_id = self.logged(store, "m")
        store = self.reopen(store)
        assert "m" in [model.name for model in store.registered_models()]
        assert [version.run_id for version in store.model_versions("m")] == [run_id]

    def test_threads_that_ask_at_once_make_each_version_once(self, store: RegistryStore) -> None:
        run_ids = [self.logged(store, "m", start_time=1_700_000_000_000 + number) for number in range(5)]
        stores = (store, self.reopen(store))
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda worker: stores[worker % 2].model_versions("m"), range(8)))
        for answer in answers:
            assert [(v.version, v.run_id) for v in answer] == list(enumerate(run_ids, 1))

    # Made empty, renamed

    def test_a_model_is_made_without_versions(self, store: RegistryStore) -> None:
        before = int(time.time() * 1000) - 5000
        made = store.create_registered_model("m", description="churn", tags={"b": "2", "a": "1"})
        assert (made.name, made.latest_version, made.description, made.aliases) == ("m", None, "churn", {})
        assert made.tags == {"a": "1", "b": "2"}
        assert made.created_time is not None
        assert before <= made.created_time <= int(time.time() * 1000) + 5000
        assert self.reopen(store).registered_models() == [made]
        assert store.model_versions("m") == []
        with raises(ModelError, "m"):
            store.create_registered_model("m")
        for name in ("", "  ", "a/b", "a:b"):
            with raises(ModelError, repr(name)):
                store.create_registered_model(name)
        assert store.create_model_version("m", self.run(store), "model").version == 1
        with raises(ModelError, "m"):
            self.reopen(store).create_registered_model("m")
        changed = self.reopen(store).registered_model("m")
        assert (changed.latest_version, changed.description, changed.tags) == (1, "churn", made.tags)

    def test_a_deleted_model_is_made_anew_and_its_numbers_are_not_given_again(self, store: RegistryStore) -> None:
        store.create_model_version("m", self.run(store), "model")
        store.update_registered_model("m", description="old", tags={"t": "old"})
        store.delete_registered_model("m")
        made = store.create_registered_model("m", tags={"n": "1"})
        assert (made.latest_version, made.description, made.tags) == (None, "", {"n": "1"})
        assert self.reopen(store).registered_models() == [made]
        assert store.create_model_version("m", self.run(store), "model").version == 2
        store.create_registered_model("empty")
        store.delete_registered_model("empty")
        assert [model.name for model in self.reopen(store).registered_models()] == ["m"]

    def test_a_renamed_model_keeps_all_that_it_has(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        for number in range(4):
            store.create_model_version("old", run_id, "model", description=f"v{number}", tags={"t": str(number)})
        store.delete_model_version("old", 4)
        store.update_registered_model("old", description="what it is", tags={"owner": "me"})
        store.set_alias("old", "champion", 2)
        store.create_model_version("other", run_id, "model")
        model, versions = store.registered_model("old"), store.model_versions("old")
        for name, free in (("old", "new"), ("new", "new"), ("new", "back"), ("back", "old")):
            model = replace(model, name=free)
            assert store.rename_registered_model(name, free) == model
            store = self.reopen(store)
            assert store.registered_model(free) == model
            assert store.model_versions(free) == [replace(version, name=free) for version in versions]
            assert {each.name for each in store.registered_models()} == {free, "other"}
        assert store.create_model_version("old", run_id, "model").version == 5
        for refused in ("other", "a/b"):
            with raises(ModelError, refused):
                store.rename_registered_model("old", refused)
        for gone in ("new", "none"):
            with raises(ModelNotFound, gone):
                store.rename_registered_model(gone, "free")
            with raises(ModelNotFound, gone):
                store.rename_registered_model(gone, gone)
        assert {each.name for each in self.reopen(store).registered_models()} == {"old", "other"}

    def test_a_model_may_get_the_name_of_a_deleted_one(self, store: RegistryStore) -> None:
        deleted = self.logged(store, "b")
        store.create_model_version("b", deleted, "model")
        store.delete_registered_model("b")
        run_id = self.run(store)
        store.create_model_version("a", run_id, "model")
        store.rename_registered_model("a", "b")
        store = self.reopen(store)
        assert [(version.version, version.run_id) for version in store.model_versions("b")] == [(1, run_id)]
        store.apply(Journal().entries(ModelLogged(deleted, LoggedModel("model", "k.E", "", 1, "b"))))
        assert [version.run_id for version in self.reopen(store).model_versions("b")] == [run_id]

    def test_logged_models_do_not_come_back_under_the_name_that_a_model_had(self, store: RegistryStore) -> None:
        run_id = self.logged(store, "old")
        store.rename_registered_model("old", "new")
        model = LoggedModel("model", "k.E", "", 2, "old")
        store.apply(Journal().entries(started(run_id), ModelLogged(run_id, model)))
        store = self.reopen(store)
        assert [each.name for each in store.registered_models()] == ["new"]
        assert [(version.version, version.run_id) for version in store.model_versions("new")] == [(1, run_id)]
        later = self.logged(store, "old")
        store = self.reopen(store)
        assert [version.run_id for version in store.model_versions("old")] == [later]
        assert [version.run_id for version in store.model_versions("new")] == [run_id]

    # Aliases

    def test_an_alias_points_to_one_version_and_moves(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        for _ in range(2):
            store.create_model_version("m", run_id, "model")
        store.create_model_version("n", run_id, "model")
        for alias, version in (("champion", 1), ("A-b_1", 1), ("champion", 2), ("champion", 2)):
            store.set_alias("m", alias, version)
        store.set_alias("n", "champion", 1)
        store = self.reopen(store)
        assert store.registered_model("m").aliases == {"A-b_1": 1, "champion": 2}
        assert store.model_version("m", 1).aliases == ("A-b_1",)
        assert [version.aliases for version in store.model_versions("m")] == [("A-b_1",), ("champion",)]
        store.set_alias("m", "A-b_1", 2)
        assert store.model_version("m", 2).aliases == ("A-b_1", "champion")
        store.delete_alias("m", "champion")
        store = self.reopen(store)
        assert store.registered_model("m").aliases == {"A-b_1": 2}
        assert store.registered_model("n").aliases == {"champion": 1}
        with raises(ModelNotFound, "champion"):
            store.delete_alias("m", "champion")

    def test_an_alias_that_reads_as_something_else_is_refused(self, store: RegistryStore) -> None:
        store.create_model_version("m", self.run(store), "model")
        for alias in ("", " ", "a b", "a/b", "a@b", "1", "v1", "V12", "latest", "Latest", "Production", "ä", "a" * 256):
            with raises(ModelError, repr(alias)):
                store.set_alias("m", alias, 1)
        assert store.registered_model("m").aliases == {}

    def test_an_alias_of_what_is_not_there_is_refused(self, store: RegistryStore) -> None:
        store.create_model_version("m", self.run(store), "model")
        with raises(ModelNotFound, "m", "2"):
            store.set_alias("m", "champion", 2)
        with raises(ModelNotFound, "none"):
            store.set_alias("none", "champion", 1)
        with raises(ModelNotFound, "none"):
            store.delete_alias("none", "champion")

    def test_a_version_that_an_alias_names_is_not_deleted(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        for _ in range(2):
            store.create_model_version("m", run_id, "model")
        store.set_alias("m", "champion", 1)
        with raises(ModelError, "champion"):
            store.delete_model_version("m", 1)
        with raises(ModelError, "champion"):
            store.delete_registered_model("m")
        store = self.reopen(store)
        assert [version.version for version in store.model_versions("m")] == [1, 2]
        store.set_alias("m", "champion", 2)
        store.delete_model_version("m", 1)
        store.delete_alias("m", "champion")
        store.delete_registered_model("m")
        assert self.reopen(store).registered_models() == []

    # Descriptions and tags

    def test_a_version_is_described_and_points_where_it_did(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        made = store.create_model_version("m", run_id, "model", digest=DIGEST, description="x", tags={"a": "1"})
        changed = store.update_model_version("m", 1, description="y", tags={"b": "2", "a": "3"})
        assert changed == replace(made, description="y", tags={"a": "3", "b": "2"})
        changed = store.update_model_version("m", 1, tags={"a": None, "never": None})
        assert self.reopen(store).model_version("m", 1) == changed == replace(made, description="y", tags={"b": "2"})
        assert store.update_model_version("m", 1, description="") == replace(made, description="", tags={"b": "2"})
        assert store.update_model_version("m", 1) == replace(made, description="", tags={"b": "2"})

    def test_a_model_is_described(self, store: RegistryStore) -> None:
        store.create_model_version("m", self.run(store), "model")
        before = store.registered_model("m")
        changed = store.update_registered_model("m", description="two\nlines", tags={"owner": "me", "t": "'\"%"})
        assert changed == replace(before, description="two\nlines", tags={"owner": "me", "t": "'\"%"})
        store.update_registered_model("m", tags={"t": None})
        assert self.reopen(store).registered_model("m") == replace(changed, tags={"owner": "me"})
        assert store.model_version("m", 1).tags == {}

    def test_what_is_not_there_is_not_described_and_not_deleted(self, store: RegistryStore) -> None:
        store.create_model_version("m", self.run(store), "model")
        for do in (
            lambda: store.update_registered_model("none", description="x"),
            lambda: store.update_model_version("none", 1, description="x"),
            lambda: store.delete_registered_model("none"),
            lambda: store.delete_model_version("none", 1),
        ):
            with raises(ModelNotFound, "none"):
                do()
        for do in (
            lambda: store.update_model_version("m", 2, tags={"a": "b"}),
            lambda: store.delete_model_version("m", 2),
            lambda: store.model_version("m", 0),
            lambda: store.model_version("m", 2),
            lambda: store.model_version("m", 10**30),
        ):
            with raises(ModelNotFound, "m"):
                do()

    # Names

    def test_odd_names_are_kept(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        for name in self.odd_names:
            assert store.create_model_version(name, run_id, "model").name == name
            store.set_alias(name, "champion", 1)
        store = self.reopen(store)
        assert {model.name for model in store.registered_models()} == set(self.odd_names)
        for name in self.odd_names:
            assert store.registered_model(name).aliases == {"champion": 1}
            assert store.model_version(name, 1).aliases == ("champion",)

    def test_names_are_told_apart_by_case(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        for name in ("model", "Model"):
            assert store.create_model_version(name, run_id, "model").version == 1
        assert {model.name for model in self.reopen(store).registered_models()} == {"model", "Model"}

    def test_a_name_that_cannot_be_is_refused(self, store: RegistryStore) -> None:
        run_id = self.run(store)
        for name in ("", "  ", "a/b", "a:b"):
            with raises(ModelError, repr(name)):
                store.create_model_version(name, run_id, "model")
        assert store.registered_models() == []

    # Making runs; for a store that needs more of them than their events, to be overridden

    def new_run_id(self) -> str:
        """An id for a run."""
        return new_id()

    def put_model(self, store: RegistryStore, entries: list[Any]) -> None:
        """Called before entries with models are applied: put their folders there, where the store has to have them."""

    def run(self, store: RegistryStore) -> str:
        """A run with a model at ``model`` that has no registered name."""
        return self.logged(store, None)

    def logged(self, store: RegistryStore, name: str | None, **fields: Any) -> str:
        """A finished run with a model at ``model``, logged under a name."""
        run_id = self.new_run_id()
        model = LoggedModel("model", "k.Estimator", "cloudpickle", 1, name)
        entries = Journal().entries(
            started(run_id, **fields), ModelLogged(run_id, model), RunEnded(run_id, FINISHED, 1_700_000_009_000)
        )
        self.put_model(store, entries)
        store.apply(entries)
        return run_id


def _questions(store: RegistryStore, name: str, version: int) -> list[Callable[[], object]]:
    return [
        lambda: store.registered_model(name),
        lambda: store.model_versions(name),
        lambda: store.model_version(name, version),
    ]
