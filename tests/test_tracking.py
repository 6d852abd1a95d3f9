"""Runs opened by hand."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

import autotrack

X, y = load_iris(return_X_y=True)


@pytest.fixture(params=["folder", "memory"])
def somewhere(request, tmp_path):
    uri = str(tmp_path / "store") if request.param == "folder" else f"memory:{tmp_path.name}"
    autotrack.set_store(uri)
    return uri


def test_everything_that_can_be_logged_is_found_again(somewhere, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1,2")
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    model = Ridge().fit(X, y)
    with autotrack.start_run(name="by hand", experiment="e1", tags={"t": 1}) as run:
        run.log_param("p", 1.5)
        run.log_params({"q": None})
        for step in range(3):
            run.log_metric("loss", 1 / (step + 1), step=step)
        run.log_metrics({"a": 1, "b": np.int64(2)})
        run.set_tag("u", "v")
        run.set_tags({"w": True})
        run.log_artifact("data/a.csv")
        run.log_artifact("data", "copies")
        run.log_text("hällo", "notes/n.txt")
        run.log_dict({"k": [1, 2]}, "d.json")
        run.log_dict({"k": [1, 2]}, "d.yaml")
        run.log_figure(figure, "f.png")
        run.log_model(model, X=X)
    plt.close(figure)
    found = autotrack.get_run("by hand")
    assert (found.status, found.experiment) == ("FINISHED", "e1")
    assert found.params == {"p": "1.5", "q": "None"}
    assert found.metrics == {"loss": pytest.approx(1 / 3), "a": 1.0, "b": 2.0}
    assert [(m.step, m.value) for m in found.metric_history("loss")] == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    assert {"t": "1", "u": "v", "w": "True"}.items() <= found.tags.items()
    assert {"a.csv", "copies/data/a.csv", "notes/n.txt", "d.json", "d.yaml", "f.png", "model/MLmodel"} <= set(
        found.artifacts
    )
    assert found.artifact_path("notes/n.txt").read_text(encoding="utf-8") == "hällo"
    assert json.loads(found.artifact_path("d.json").read_text()) == {"k": [1, 2]}
    assert np.array_equal(found.model().predict(X), model.predict(X))
    assert np.array_equal(autotrack.load_model(f"runs:/{found.run_id}/model").predict(X), model.predict(X))


def test_the_first_fit_writes_to_the_run_and_further_ones_become_children(logged):
    with autotrack.start_run(name="parent") as run:
        Ridge(alpha=1).fit(X, y)
        Ridge(alpha=2).fit(X, y)
        Ridge(alpha=3).fit(X, y)
    parent = autotrack.get_run("parent")
    assert parent.run_id == run.run_id
    assert parent.params["alpha"] == "1"
    assert parent.tags["estimator_name"] == "Ridge"
    assert sorted(child.params["alpha"] for child in parent.children) == ["2", "3"]
    assert all(child.status == "FINISHED" for child in parent.children)


def test_runs_nest(somewhere):
    with autotrack.start_run(name="outer", experiment="e") as outer:
        with autotrack.start_run(name="inner") as inner:
            autotrack.log_metric("deep", 1)
            assert autotrack.active_run().run_id == inner.run_id
        autotrack.log_metric("shallow", 2)
        assert autotrack.active_run().run_id == outer.run_id
    assert autotrack.active_run() is None
    assert autotrack.get_run("inner").parent_run_id == outer.run_id
    assert autotrack.get_run("inner").metrics == {"deep": 1.0}
    assert autotrack.get_run("outer").metrics == {"shallow": 2.0}


def test_after_a_fit_the_functions_write_to_its_run(logged):
    with pytest.raises(autotrack.RunStateError, match=r"no run to write to.*start_run"):
        autotrack.log_metric("x", 1)
    Ridge().fit(X, y)
    autotrack.log_metric("my_own", 4.5)
    autotrack.set_tag("note", "fine")
    autotrack.flush()
    run = autotrack.get_run("latest")
    assert run.metrics["my_own"] == 4.5
    assert run.tags["note"] == "fine"


def test_metrics_of_a_model_fitted_inside_join_its_run_also_after_the_block(logged):
    with autotrack.start_run(name="block"):
        model = Ridge().fit(X, y)
    r2_score(y, model.predict(X))
    assert "r2_score_X" in autotrack.get_run("block").metrics


def test_a_run_without_a_block_is_ended_by_hand(somewhere):
    run = autotrack.start_run("hand")
    with pytest.raises(ValueError, match="status='DONE'"):
        run.end("DONE")
    run.end("FAILED")
    run.end()
    assert autotrack.get_run("hand").status == "FAILED"
    autotrack.start_run("again")
    autotrack.end_run()
    assert autotrack.get_run("again").status == "FINISHED"
    autotrack.end_run()


def test_runs_in_two_stores_stay_apart(logged, tmp_path):
    Ridge(alpha=1).fit(X, y)
    with autotrack.use_store(tmp_path / "other"):
        model = Ridge(alpha=2).fit(X, y)
        assert list(autotrack.search_runs()["params.alpha"]) == ["2"]
    r2_score(y, model.predict(X))
    assert list(autotrack.search_runs()["params.alpha"]) == ["1"]
    assert "metrics.r2_score_X" in autotrack.search_runs(store=tmp_path / "other")


def test_autolog_into_memory(tmp_path):
    autotrack.autolog(store="memory:mine")
    model = Ridge().fit(X, y)
    run = autotrack.get_run("latest")
    assert np.array_equal(run.model().predict(X), model.predict(X))
    assert not (tmp_path / ".autotrack").exists()
