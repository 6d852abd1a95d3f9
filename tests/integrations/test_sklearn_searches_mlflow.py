"""A search under the real MLflow and under autotrack: what MLflow records stands here too."""

from __future__ import annotations

import io
import json
import os

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import autotrack


def latest():
    autotrack.flush()
    return autotrack.get_run("latest")


MLFLOW = """
    import json, logging, sys, warnings
    warnings.simplefilter("ignore")
    import mlflow
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.sklearn.autolog(log_models=False)
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    pipeline = Pipeline([("s", StandardScaler()), ("m", LogisticRegression(max_iter=500))])
    grid = {"m__C": [0.01, 0.1, 1, 10], "s": [StandardScaler(), MinMaxScaler()]}
    search = GridSearchCV(pipeline, grid, cv=3, SCORING).fit(X, y)
    client = mlflow.MlflowClient()
    runs = client.search_runs(["0"])
    told = [
        {"params": run.data.params, "metrics": run.data.metrics, "child": "mlflow.parentRunId" in run.data.tags,
         "class": run.data.tags["estimator_class"]}
        for run in runs
    ]
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    table = open(client.download_artifacts(parent.info.run_id, "cv_results.csv")).read()
    print(json.dumps([told, table]))
"""


@pytest.mark.parametrize("scoring", ["scoring=None", "scoring=['accuracy', 'roc_auc'], refit='accuracy'"])
def test_mlflow_records_nothing_of_a_search_that_is_not_here(logged, script, scoring):
    if os.environ.get("AUTOTRACK_REQUIRE_SERVICES") != "1":
        pytest.importorskip("mlflow", reason="compares with the real MLflow (pip install 'autotrack[mlflow]')")
    told, table = json.loads(script(MLFLOW.replace("SCORING", scoring)).stdout.splitlines()[-1])
    data, target = load_breast_cancer(return_X_y=True, as_frame=True)
    pipeline = Pipeline([("s", StandardScaler()), ("m", LogisticRegression(max_iter=500))])
    grid = {"m__C": [0.01, 0.1, 1, 10], "s": [StandardScaler(), MinMaxScaler()]}
    GridSearchCV(pipeline, grid, cv=3, **eval(f"dict({scoring})")).fit(data, target)
    run = latest()
    ours = pd.read_csv(run.artifact_path("cv_results.csv"))
    theirs = pd.read_csv(io.StringIO(table))
    assert list(ours.columns) == list(theirs.columns)
    steady = [name for name in theirs.columns if not name.endswith("_time")]
    pd.testing.assert_frame_equal(ours[steady], theirs[steady], check_exact=False, rtol=1e-12)
    ours_by_params = {json.dumps(child.params, sort_keys=True): child for child in run.children}
    children = [found for found in told if found["child"]]
    assert len(children) == len(ours_by_params) == 5
    for found in children:
        child = ours_by_params[json.dumps(found["params"], sort_keys=True)]
        assert child.tags["estimator_class"] == found["class"]
        assert found["metrics"].keys() <= child.metrics.keys()
        for key, value in found["metrics"].items():
            if not key.endswith("_time"):
                assert child.metrics[key] == pytest.approx(value, abs=1e-12)
    (parent,) = (found for found in told if not found["child"])
    assert parent["params"].items() <= run.params.items()
    for key, value in parent["metrics"].items():
        assert run.metrics[key] == pytest.approx(value, abs=1e-12), key
