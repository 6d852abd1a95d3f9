"""``partial_fit`` and ``warm_start`` loops: one run per estimator, a step per call, ended when the loop is over."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import signal
import threading
import weakref

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import MiniBatchKMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import IncrementalPCA
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autotrack

X, y = load_iris(return_X_y=True)
order = np.random.default_rng(0).permutation(len(X))
X, y = X[order], y[order]
classes = np.unique(y)
batches = [(X[start : start + 30], y[start : start + 30]) for start in range(0, 150, 30)]


class Grumpy(ClassifierMixin, BaseEstimator):
    """Refuses batches in which there is no 2."""

    def partial_fit(self, X, y, classes=None):
        if 2 not in y:
            raise ArithmeticError("no 2")
        self.classes_ = np.array([0, 1, 2])
        self.seen_ = getattr(self, "seen_", 0) + len(X)
        return self

    def predict(self, X):
        return np.full(len(X), 2)


class Selfish(Grumpy):
    """Comes to hold on to itself."""

    def partial_fit(self, X, y, classes=None):
        super().partial_fit(X, y)
        if self.seen_ > 60:
            self.me_ = [lambda: self]
        return self


class Anew(BaseEstimator):
    """Keeps the losses of its last fit only."""

    def __init__(self, warm_start=True):
        self.warm_start = warm_start

    def fit(self, X, y=None):
        start = getattr(self, "loss_curve_", [9.0])[-1]
        self.loss_curve_ = [start - 0.5, start - 1]
        return self


def train(model, n=5):
    for X_batch, y_batch in batches[:n]:
        model.partial_fit(X_batch, y_batch, classes=classes)
    return model


def latest():
    return autotrack.get_run("latest")


def count():
    return len(autotrack.search_runs())


def history(run, key):
    return [(point.step, point.value) for point in run.metric_history(key)]


def steps(run, key):
    return [point.step for point in run.metric_history(key)]


def test_a_loop_is_one_run_with_a_step_per_call(logged):
    model = SGDClassifier(alpha=0.01, random_state=0)
    scores = []
    for X_batch, y_batch in batches:
        model.partial_fit(X_batch, y_batch, classes=classes)
        with autotrack.disabled():
            scores.append(model.score(X_batch, y_batch))
    run = latest()
    assert count() == 1
    assert (run.name, run.status, run.models) == ("SGDClassifier", "RUNNING", [])
    assert run.params["alpha"] == "0.01"
    assert run.tags["fit_loop"] == "partial_fit"
    assert [(data.name, data.shape, data.context) for data in run.datasets] == [("X_batch", (30, 4), "train")]
    assert history(run, "rows_seen") == [(step, 30.0 * (step + 1)) for step in range(5)]
    assert history(run, "training_score") == list(enumerate(scores))
    assert steps(run, "training_f1_score") == steps(run, "fit_seconds") == [0, 1, 2, 3, 4]
    autotrack.autolog(disable=True)
    run = autotrack.get_run(run.run_id)
    assert run.status == "FINISHED"
    assert run.model().coef_.tolist() == model.coef_.tolist()


def test_every_call_is_on_disk_when_it_returns(script):
    done = script(
        """
        import os, signal, autotrack
        from sklearn.datasets import load_iris
        from sklearn.linear_model import SGDClassifier
        autotrack.autolog()
        X, y = load_iris(return_X_y=True)
        model = SGDClassifier()
        for step in range(500):
            model.partial_fit(X[step % 5 :: 5], y[step % 5 :: 5], classes=[0, 1, 2])
            if step == 321:
                os.kill(os.getpid(), signal.SIGKILL)
        """,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    run = latest()
    assert run.status == "KILLED"
    assert steps(run, "fit_seconds") == list(range(322))
    assert run.metrics["rows_seen"] == 322 * 30
    looked_at = steps(run, "training_score")
    assert looked_at[:100] == list(range(100))
    assert 120 < len(looked_at) < 170
    assert run.models == []


@pytest.mark.parametrize(
    ("end", "code", "status", "reason"),
    [
        ("pass", 0, "FINISHED", None),
        ("raise ValueError('elsewhere')", 1, "FAILED", "elsewhere"),
        ("import sys; sys.exit(3)", 3, "FAILED", "sys.exit(3)"),
        ("model.partial_fit(X, y[:3])", 1, "FAILED", "inconsistent"),
    ],
)
def test_at_exit_the_model_is_written_and_the_run_ends_as_the_program(script, end, code, status, reason):
    done = script(
        f"""
        import autotrack
        from sklearn.datasets import load_iris
        from sklearn.linear_model import SGDClassifier
        autotrack.autolog()
        X, y = load_iris(return_X_y=True)
        model = SGDClassifier()
        for step in range(5):
            model.partial_fit(X[step::5], y[step::5], classes=[0, 1, 2])
        {end}
        """,
        check=False,
    )
    assert done.returncode == code
    assert "autotrack" not in done.stderr.replace("/autotrack/", "")
    run = latest()
    assert run.status == status
    assert (run.error is None) if reason is None else (reason in run.error)
    assert run.model().t_ == 151


def test_a_refit_ends_the_loop_and_begins_a_run(logged):
    model = train(SGDClassifier(random_state=0))
    coef = model.coef_.copy()
    first = latest()
    model.fit(X, y)
    second = latest()
    assert first.run_id != second.run_id
    assert second.status == "FINISHED"
    first = autotrack.get_run(first.run_id)
    assert first.status == "FINISHED"
    assert first.model().coef_.tolist() == coef.tolist()
    assert steps(second, "fit_seconds") == [0]
    model.partial_fit(X, y)
    third = latest()
    assert third.run_id not in (first.run_id, second.run_id)
    assert third.status == "RUNNING"


def test_garbage_ends_the_loop_and_leaves_its_last_state(logged):
    model = train(SGDClassifier(random_state=0))
    expected = model.predict(X)
    del model
    gc.collect()
    autotrack.flush()
    run = latest()
    assert run.status == "FINISHED"
    assert np.array_equal(run.model().predict(X), expected)
    assert run.model().get_params()["random_state"] == 0


def test_the_users_own_estimators_are_not_kept_alive(logged):
    train(Grumpy())
    gc.collect()
    autotrack.flush()
    assert latest().model().seen_ == 150
    gone = weakref.ref(train(Selfish()))
    gc.collect()
    assert gone() is None
    autotrack.flush()
    run = latest()
    assert (run.name, run.status, run.models) == ("Selfish", "FINISHED", [])
    assert "was gone" in next(note.message for note in run.notes if note.subject == "model")
    kept = train(Selfish())  # alive, so it can be written itself
    autotrack.autolog(disable=True)
    assert latest().model().seen_ == kept.seen_ == 150


def test_many_estimators_in_one_loop(logged):
    models = [SGDClassifier(alpha=10.0**-place, random_state=0) for place in range(50)]
    for X_batch, y_batch in batches[:3]:
        for model in models:
            model.partial_fit(X_batch, y_batch, classes=classes)
    found = [autotrack.get_run(run_id) for run_id in autotrack.search_runs()["run_id"]]
    assert len(found) == 50
    assert {run.params["alpha"] for run in found} == {str(model.alpha) for model in models}
    assert all(steps(run, "fit_seconds") == [0, 1, 2] for run in found)
    del models, model
    gc.collect()
    autotrack.flush()
    assert set(autotrack.search_runs()["status"]) == {"FINISHED"}
    assert found[7].run_id in set(autotrack.search_runs("tags.estimator_name = 'SGDClassifier'")["run_id"])
    assert all(len(autotrack.get_run(run.run_id).models) == 1 for run in found)


def test_a_model_that_becomes_garbage_inside_another_fit(logged):
    class Host(BaseEstimator):
        def fit(self, X, y):
            models.clear()
            gc.collect()
            return self

    models = [train(SGDClassifier(random_state=seed)) for seed in range(20)]
    Host().fit(X, y)
    autotrack.flush()
    found = autotrack.search_runs("tags.fit_loop = 'partial_fit'")
    assert len(found) == 20
    assert set(found["status"]) == {"FINISHED"}


def test_threads_share_nothing_but_what_they_share(logged):
    shared = GaussianNB()
    shared.partial_fit(*batches[0], classes=classes)

    def work(seed):
        own = SGDClassifier(random_state=seed)
        for X_batch, y_batch in batches:
            own.partial_fit(X_batch, y_batch, classes=classes)
            with lock:
                shared.partial_fit(X_batch, y_batch)

    lock = threading.Lock()
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    autotrack.flush()
    found = [autotrack.get_run(run_id) for run_id in autotrack.search_runs()["run_id"]]
    by_name = {}
    for run in found:
        by_name.setdefault(run.name, []).append(run)
    assert sorted(run.params["random_state"] for run in by_name["SGDClassifier"]) == ["0", "1", "2", "3"]
    assert all(steps(run, "fit_seconds") == list(range(5)) for run in by_name["SGDClassifier"])
    assert [steps(run, "fit_seconds") for run in by_name["GaussianNB"]] == [list(range(21))]


def test_a_failing_step_is_noted_and_the_loop_goes_on(logged):
    model = Grumpy()
    model.partial_fit(X, y)
    with pytest.raises(ArithmeticError):
        model.partial_fit(X[:3], np.zeros(3))
    model.partial_fit(X, y)
    run = latest()
    assert run.status == "RUNNING"
    assert [note.message for note in run.notes] == ["step 1 raised ArithmeticError: no 2"]
    assert history(run, "rows_seen") == [(0, 150), (2, 300)]
    autotrack.autolog(disable=True)
    assert autotrack.get_run(run.run_id).status == "FINISHED"


def test_a_loop_whose_last_step_failed_is_failed(logged):
    model = Grumpy()
    with pytest.raises(ArithmeticError):
        model.partial_fit(X[:3], np.zeros(3))
    autotrack.autolog(disable=True)
    run = latest()
    assert run.status == "FAILED"
    assert run.error.endswith("ArithmeticError: no 2")
    assert (run.models, [note.kind for note in run.notes]) == ([], ["warning"])


def test_predictions_and_scores_get_the_step(logged):
    model = SGDClassifier(random_state=0)
    expected = []
    for X_batch, y_batch in batches[:4]:
        model.partial_fit(X_batch, y_batch, classes=classes)
        expected.append(accuracy_score(y, model.predict(X)))
        model.score(X, y)
        autotrack.log_metric("mine", 1.0, step=len(expected))
    run = latest()
    key = next(key for key in run.metrics if key.startswith("accuracy_score"))
    assert history(run, key) == list(enumerate(expected))
    assert "accuracy_score-2_X" not in run.metrics
    assert steps(run, "mine") == [1, 2, 3, 4]
    assert [key for key in run.metrics if key.startswith("SGDClassifier_score")] == ["SGDClassifier_score_X"]
    accuracy_score(y, model.predict(X))
    assert len([key for key in latest().metrics if key.startswith("accuracy_score")]) == 2
    assert "metric_info.json" in latest().artifacts


def test_inside_an_active_run_the_loop_writes_to_it_and_leaves_its_model(logged):
    with autotrack.start_run("mine") as mine:
        first = train(SGDClassifier(random_state=0))
        train(SGDClassifier(random_state=1))
        gc.collect()
    run = autotrack.get_run(mine.run_id)
    assert run.status == "FINISHED"
    assert steps(run, "rows_seen") == list(range(5))
    assert run.model().coef_.tolist() == first.coef_.tolist()
    assert [child.params["random_state"] for child in run.children] == ["1"]
    train(first)
    assert latest().run_id != run.run_id
    assert steps(autotrack.get_run(run.run_id), "rows_seen") == list(range(5))


def test_a_run_opened_by_hand_does_not_fail_with_its_loop(logged):
    model = Grumpy()
    with autotrack.start_run("mine"), pytest.raises(ArithmeticError):
        model.partial_fit(X[:3], np.zeros(3))
    assert (latest().status, latest().tags["fit_error"]) == ("FINISHED", "ArithmeticError: no 2")


def test_all_of_the_family(logged):
    frame = pd.DataFrame(X, columns=list("abcd"))
    models = [
        MiniBatchKMeans(3, n_init=1, batch_size=30),
        IncrementalPCA(2),
        SGDRegressor(),
        MLPClassifier((4,)),
        MultiOutputClassifier(SGDClassifier()),
    ]
    for model in models:
        for start in range(0, 150, 50):
            rows = slice(start, start + 50)
            if isinstance(model, MiniBatchKMeans | IncrementalPCA):
                model.partial_fit(frame[rows])
            elif isinstance(model, SGDRegressor):
                model.partial_fit(frame[rows], y[rows])
            elif isinstance(model, MLPClassifier):
                model.partial_fit(frame[rows], y[rows], classes=classes)
            else:
                model.partial_fit(frame[rows], np.column_stack([y[rows], y[rows]]), classes=[classes, classes])
    autotrack.autolog(disable=True)
    found = {run.tags["estimator_name"]: run for run in map(autotrack.get_run, autotrack.search_runs()["run_id"])}
    assert len(found) == count() == 5
    for name, run in found.items():
        assert run.status == "FINISHED", name
        assert run.metrics["rows_seen"] == 150, name
        assert type(run.model()).__name__ == name
    assert steps(found["MLPClassifier"], "loss") == [0, 1, 2]
    assert steps(found["MiniBatchKMeans"], "inertia") == [0, 1, 2]
    assert steps(found["SGDRegressor"], "training_r2_score") == [0, 1, 2]


def test_what_only_prepares_makes_no_run(logged):
    scaler = StandardScaler()
    for X_batch, _ in batches:
        scaler.partial_fit(X_batch)
    assert count() == 0


def test_what_the_batches_went_through_is_told(logged):
    scaled = StandardScaler().fit_transform(X)
    SGDClassifier().partial_fit(scaled[:50], y[:50], classes=classes)
    run = latest()
    assert run.tags["preprocessing"] == "StandardScaler"
    assert "preprocessing.json" in run.artifacts


def test_inside_a_fit_it_goes_straight_through(logged):
    class Ensemble(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.part_ = train(SGDClassifier(random_state=0))
            self.classes_ = classes
            return self

        def predict(self, X):
            return self.part_.predict(X)

    Ensemble().fit(X, y)
    assert count() == 1
    assert latest().artifacts[0] == "fit_trace.json"


def test_exclusive_disabled_and_without_models(store):
    autotrack.autolog(store=store, exclusive=True, log_models=False, log_datasets=False)
    with autotrack.start_run("mine"):
        train(SGDClassifier())
    with autotrack.disabled():
        train(SGDClassifier())
    assert count() == 1
    train(SGDClassifier())
    gc.collect()
    autotrack.flush()
    run = latest()
    assert (run.status, run.models, run.datasets, run.notes) == ("FINISHED", [], [], [])


def test_a_forked_child_begins_a_run_of_its_own(logged):
    model = train(SGDClassifier(random_state=0), 2)
    child = multiprocessing.get_context("fork").Process(target=train, args=(model, 3))
    child.start()
    child.join()
    assert child.exitcode == 0
    train(model, 1)
    found = [autotrack.get_run(run_id) for run_id in autotrack.search_runs()["run_id"]]
    assert sorted((run.status, len(steps(run, "fit_seconds"))) for run in found) == [("FINISHED", 3), ("RUNNING", 3)]
    assert next(run for run in found if run.status == "FINISHED").models != []


def test_the_program_computes_the_same(store):
    def everything():
        np.random.seed(3)
        models = [train(SGDClassifier()), train(MLPClassifier((3,))), train(GaussianNB())]
        forest = RandomForestClassifier(2, warm_start=True)
        for size in (2, 4, 6):
            forest.set_params(n_estimators=size).fit(X, y)
        models.append(forest)
        return [pickle.dumps(model) for model in models], np.random.rand(3).tolist()

    bare = everything()
    autotrack.autolog(store=store)
    assert everything() == bare


def test_warm_starts_on_the_same_data_are_steps_of_one_run(logged):
    forest = RandomForestClassifier(5, warm_start=True, random_state=0)
    for step in range(3):
        forest.fit(X, y)
        run = latest()
        assert count() == 1
        assert run.status == "FINISHED"
        assert run.params["n_estimators"] == str(5 + 5 * step)
        assert len(run.model().estimators_) == 5 + 5 * step
        assert steps(run, "training_score") == steps(run, "fit_seconds") == list(range(step + 1))
        assert [path for path in run.artifacts if "tmp" in path] == []
        accuracy_score(y, forest.predict(X))
        forest.set_params(n_estimators=forest.n_estimators + 5)
    assert steps(latest(), "accuracy_score_X") == [0, 1, 2]
    assert latest().tags["fit_loop"] == "warm_start"


def test_one_warm_fit_looks_as_any_other(logged):
    RandomForestClassifier(5, warm_start=True, random_state=0).fit(X, y)
    warm = latest()
    RandomForestClassifier(5, random_state=0).fit(X, y)
    cold = latest()
    assert warm.tags == cold.tags
    assert warm.artifacts == cold.artifacts
    assert warm.metrics.keys() == cold.metrics.keys()
    assert (warm.status, warm.notes) == (cold.status, cold.notes)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_curve_of_warm_starts_has_each_iteration_once(logged):
    grows = GradientBoostingClassifier(n_estimators=3, warm_start=True).fit(X, y)
    for size in (5, 8):
        grows.set_params(n_estimators=size).fit(X, y)
    assert history(latest(), "train_score") == list(enumerate(grows.train_score_))
    begins_anew = Anew()
    for _ in range(3):
        begins_anew.fit(X)
    assert history(latest(), "loss") == [(0, 8.5), (1, 8), (2, 7.5), (3, 7), (4, 6.5), (5, 6)]


@pytest.mark.parametrize("change", ["other data", "changed in place", "switched off", "other target", "clone"])
def test_a_warm_start_that_is_something_else_is_a_new_run(logged, change):
    data, target = X.copy(), y.copy()
    model = LogisticRegression(max_iter=300, warm_start=True)
    model.fit(data, target)
    if change == "other data":
        data = data + 1
    elif change == "changed in place":
        data += 1
    elif change == "switched off":
        model.set_params(warm_start=False)
    elif change == "other target":
        target = target[::-1]
    else:
        model = LogisticRegression(max_iter=300, warm_start=True)
    model.fit(data, target)
    assert count() == 2
    model.fit(data, target)
    assert count() == (3 if change == "switched off" else 2)


def test_an_equal_copy_is_the_same_data_and_an_object_where_nothing_is_fingerprinted(logged, store):
    model = LogisticRegression(max_iter=300, warm_start=True)
    model.fit(X, y)
    model.fit(X.copy(), y)
    assert count() == 1
    autotrack.autolog(store=store, log_datasets=False)
    model = LogisticRegression(max_iter=300, warm_start=True).fit(X, y)
    model.fit(X, y)
    assert count() == 2
    model.fit(X.copy(), y)
    assert count() == 3


def test_a_warm_start_that_raises_fails_the_run_until_one_succeeds(logged):
    model = GradientBoostingClassifier(n_estimators=3, warm_start=True).fit(X, y)
    model.set_params(n_estimators=1)
    with pytest.raises(ValueError, match="n_estimators"):
        model.fit(X, y)
    run = latest()
    assert (run.status, count()) == ("FAILED", 1)
    assert "n_estimators" in run.error
    assert len(run.model().estimators_) == 3
    model.set_params(n_estimators=5).fit(X, y)
    run = latest()
    assert (run.status, run.error, count()) == ("FINISHED", None, 1)
    assert len(run.model().estimators_) == 5
    assert steps(run, "training_score") == [0, 2]


def test_warm_starts_in_pipelines_and_active_runs(logged):
    model = make_pipeline(StandardScaler(), LogisticRegression(warm_start=True))
    model.fit(X, y)
    model.fit(X, y)
    assert count() == 1
    with autotrack.start_run("mine") as mine:
        model.fit(X, y)
        model.fit(X, y)
    run = autotrack.get_run(mine.run_id)
    assert (run.status, steps(run, "training_score"), run.children) == ("FINISHED", [0, 1], [])
    model.fit(X, y)
    assert count() == 3
    with autotrack.start_run("other"):
        SGDClassifier().fit(X, y)
        warm = SGDClassifier(warm_start=True).fit(X, y)
        warm.fit(X, y)
    assert count() == 5
    GridSearchCV(SGDClassifier(warm_start=True), {"alpha": [1, 2]}, cv=2).fit(X, y)
    assert autotrack.search_runs("attributes.run_name = 'GridSearchCV(SGDClassifier)'").shape[0] == 1


def test_pos_label_names_a_class_by_its_text_in_a_loop_too(store):
    autotrack.autolog(store=store, pos_label="1")
    model = SGDClassifier(random_state=0)
    binary = (y == 1).astype(int)
    for part in (slice(0, None, 2), slice(1, None, 2)):
        model.partial_fit(X[part], binary[part], classes=[0, 1])
    autotrack.autolog(disable=True)
    expected = f1_score(binary[1::2], model.predict(X[1::2]))
    run = autotrack.get_run("latest", store=store)
    assert run.metrics["training_f1_score"] == pytest.approx(expected, abs=1e-12)
