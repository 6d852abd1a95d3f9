"""How runs show themselves in a notebook; the objects stay what they are."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve

import autotrack


@pytest.fixture
def fitted(logged):
    X, y = load_breast_cancer(return_X_y=True)
    for C in (0.5, 2.0):
        model = LogisticRegression(C=C, max_iter=50, solver="liblinear").fit(X[:300], y[:300])
        scores = model.predict_proba(X[300:])[:, 1]
        roc_auc_score(y[300:], scores)
        roc_curve(y[300:], scores)
    autotrack.flush()
    return autotrack.search_runs()


def test_a_run_shows_what_counts_first(fitted):
    shown = autotrack.get_run("latest")._repr_html_()
    assert shown.index("roc_auc_score") < shown.index("not their defaults") < shown.index("training_score")
    changed = shown[shown.index("not their defaults") : shown.index("<svg")]
    assert [key for key in ("C", "max_iter", "solver", "tol") if f">{key}<" in changed] == ["C", "max_iter", "solver"]
    assert "<polyline" in shown, "its ROC curve"
    assert shown.count("<details open>") < shown.count("<details")


def test_of_an_estimator_that_is_not_loaded_all_params_are_shown(logged, monkeypatch):
    KMeans(2, n_init=1).fit([[0.0], [1.0], [2.0]])
    autotrack.flush()
    run = autotrack.get_run("latest")
    run.set_tag("estimator_class", "no.such.module.Class")
    shown = run._repr_html_()
    assert "not their defaults" not in shown
    assert "params (" in shown


def test_the_table_shows_what_tells_the_runs_apart(fitted):
    shown = fitted._repr_html_()
    for name in ("params.C", "metrics.roc_auc_score", "run_name"):
        assert name in shown
    for name in ("params.solver", "artifact_uri", "tags.estimator_class", "status"):
        assert f">{name}<" not in shown
    assert f"of {len(fitted.columns)} columns" in shown
    fitted["mine"] = [1, 2]
    assert ">mine<" in fitted._repr_html_()


def test_the_table_stays_a_plain_dataframe(fitted):
    assert type(fitted) is pd.DataFrame
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(fitted)), fitted)
    for made in (fitted.copy(), copy.deepcopy(fitted), fitted.head(1), pickle.loads(pickle.dumps(fitted))):
        assert "columns; all of them" not in made._repr_html_()
    assert not {"_repr_html_"} & set(fitted.columns)


def test_a_table_that_the_user_has_changed_is_shown_as_pandas_does(fitted):
    del fitted["run_id"]
    assert fitted._repr_html_() == pd.DataFrame._repr_html_(fitted)


def test_showing_it_keeps_no_table_alive(fitted):
    found = autotrack.search_runs()
    reference = weakref.ref(found)
    found._repr_html_()
    del found
    gc.collect()
    assert reference() is None


def test_texts_of_others_are_escaped_in_both(logged):
    with autotrack.start_run("<script>alert(1)</script>") as run:
        run.log_params({"<img src=x>": "<b>1</b>"})
        run.set_tags({"t": "<script>"})
    with autotrack.start_run("other") as run:
        run.log_params({"<img src=x>": "<b>2</b>"})
    autotrack.flush()
    for shown in (autotrack.get_run("latest")._repr_html_(), autotrack.search_runs()._repr_html_()):
        assert "<script>" not in shown
        assert "<img" not in shown
        assert "<b>1" not in shown
