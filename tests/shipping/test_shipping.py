"""Runs go to a store that is somewhere else, from a process of its own."""

from __future__ import annotations

FITS = """
    import sys
    import autotrack
    autotrack.autolog(store=sys.argv[1])
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score
    X, y = load_iris(return_X_y=True)
    for C in (0.25, 0.5, 1.0):
        model = LogisticRegression(C=C, max_iter=300).fit(X, y)
        accuracy_score(y, model.predict(X))
"""


def test_fits_are_in_the_store_when_the_script_has_ended(script, awkward):
    done = script(FITS, awkward.uri)
    assert done.stderr == ""
    runs = awkward.store.search_runs(order_by=["params.C"])
    assert [run.params["C"] for run in runs] == ["0.25", "0.5", "1.0"]
    assert {run.status for run in runs} == {"FINISHED"}
    assert all(run.metrics["training_score"] > 0.9 and run.metrics["accuracy_score_X"] > 0.9 for run in runs)
