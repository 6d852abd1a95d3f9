"""The part of the store's contract that is about models; see `autotrack.testing.StoreContract`."""

from __future__ import annotations

from autotrack.entities import FINISHED, LoggedModel
from autotrack.errors import FilterError
from autotrack.events import ModelLogged, RunEnded
from autotrack.stores.base import Store
from autotrack.testing.samples import Contract, Journal, raises, started


class ModelsContract(Contract):
    """What every store guarantees of a run's models."""

    def test_models_keep_the_name_they_are_registered_under(self, store: Store) -> None:
        """And runs are found by it, in the order in which they started: version 1 first."""
        odd = 'it\'s \U0001f600 "x"'
        journal = Journal()
        for number, (run_id, name) in enumerate([("a" * 32, "m"), ("b" * 32, None), ("c" * 32, odd), ("d" * 32, "m")]):
            model = LoggedModel("model", "k.Estimator", "skops", 1, name)
            best = LoggedModel("best", "k.Other")
            events = ModelLogged(run_id, model), ModelLogged(run_id, best), RunEnded(run_id, FINISHED, 9000)
            store.apply(journal.entries(started(run_id, start_time=5000 - number), *events))
            assert self.reopen(store).get_run(run_id).models == (model, best)

        def found(filter: str) -> str:
            return "".join(run.run_id[0] for run in store.search_runs(filter))

        assert found("models.registered_model_name = 'm'") == "ad"
        assert found(f"model.registered_model_name = '{odd.replace(chr(39), chr(39) * 2)}'") == "c"
        assert found("models.registered_model_name IS NULL") == "b"
        assert found("models.registered_model_name IS NOT NULL and models.path = 'best'") == "acd"
        assert found("models.registered_model_name != 'm'") == "c"
        assert found("models.serialization_format = 'skops' and models.estimator_class like '%Other'") == "abcd"
        with raises(FilterError, "models"):
            store.search_runs(order_by=["models.path"])
        with raises(FilterError, "registered_model_name"):
            store.search_runs("models.registered_name = 'm'")

    def test_a_model_told_again_has_the_later_name(self, store: Store) -> None:
        run_id = "a" * 32
        names = ("m", "n", None)
        models = [LoggedModel("model", "", "", None, name) for name in names]
        store.apply(Journal().entries(started(run_id), *(ModelLogged(run_id, model) for model in models)))
        assert store.get_run(run_id).models == (LoggedModel("model"),)
        assert store.search_runs("models.registered_model_name IS NOT NULL") == []
