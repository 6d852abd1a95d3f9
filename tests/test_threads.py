"""Many threads fit and evaluate at once: every run has exactly what is its own."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import get_scorer, mean_squared_error, r2_score

import autotrack

THREADS, FITS = 8, 50


@pytest.mark.parametrize("somewhere", ["folder", "memory:threads"])
def test_every_run_of_many_threads_has_its_own_params_metrics_and_model(tmp_path, somewhere):
    autotrack.autolog(store=somewhere if ":" in somewhere else tmp_path / somewhere)
    expected: dict[str, dict[str, float]] = {}
    failed: list[BaseException] = []
    ready = threading.Barrier(THREADS)

    def work(thread: int) -> None:
        rng = np.random.default_rng(thread)
        ready.wait()
        try:
            for fit in range(FITS):
                alpha = 1 + thread + fit / 1000
                X, held = rng.normal(size=(30, 3)), rng.normal(size=(20, 3))
                y, wanted = X.sum(axis=1) + thread, held.sum(axis=1) - fit
                model = Ridge(alpha=alpha).fit(X, y)
                predicted = model.predict(held)
                expected[str(alpha)] = {
                    "r2_score_held": r2_score(wanted, predicted),
                    "mean_squared_error_held": mean_squared_error(wanted, predicted.copy()),
                    "Ridge_score_held": model.score(held, wanted),
                    "median_absolute_error_held": -get_scorer("neg_median_absolute_error")(model, held, wanted),
                    "coefficient": float(model.coef_[0]),
                }
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    autotrack.flush()
    found = autotrack.search_runs()
    assert len(found) == THREADS * FITS
    assert set(found["status"]) == {"FINISHED"}
    assert set(found["params.alpha"]) == set(expected)
    for number, run_id in enumerate(found["run_id"]):
        run = autotrack.get_run(run_id)
        own = dict(expected[run.params["alpha"]])
        coefficient = own.pop("coefficient")
        assert {key: value for key, value in run.metrics.items() if key.endswith("_held")} == own
        assert [data.name for data in run.datasets] == ["X", "held"]
        assert not run.notes
        if number % 10 == 0:
            assert run.model().coef_[0] == coefficient
