"""Trouble with the disk, the estimator or the values never stops or changes training, and is said once."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score

import autotrack
from autotrack import journal

pytestmark = pytest.mark.allow_swallowed

X, y = load_iris(return_X_y=True)


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "autotrack"]


def test_a_store_in_a_place_that_cannot_be_written(tmp_path, caplog):
    blocker = tmp_path / "file"
    blocker.write_text("")
    autotrack.autolog(store=blocker / "store")
    for _ in range(3):
        model = Ridge().fit(X, y)
        r2_score(y, model.predict(X))
    autotrack.flush()
    assert model.coef_.shape == (4,)
    assert len(warnings_of(caplog)) == 1
    assert "Not a directory" in warnings_of(caplog)[0] or "NotADirectoryError" in warnings_of(caplog)[0]


def _limited(code: str, tmp_path, limit: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "full.py").write_text(textwrap.dedent(code))
    command = f"{limit} exec {sys.executable} full.py"
    return subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)


DISK = """
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import autotrack
autotrack.autolog(store="store")
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
import numpy as np
X, y = load_iris(return_X_y=True)
for i in range(6):
    Ridge(alpha=i + 1.0).fit(X, y)
KNeighborsRegressor().fit(np.random.rand(20000, 4), np.random.rand(20000))
print(Ridge(alpha=99).fit(X, y).coef_.shape)
"""


def test_a_file_system_that_refuses_long_files(tmp_path):
    done = _limited(DISK, tmp_path, "ulimit -f 64;")  # blocks of 512 bytes: no file over 32 KiB
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(4,)\n"
    assert done.stderr.count("autotrack") == done.stderr.count("\n") == 1
    found = autotrack.search_runs(store="store")
    assert len(found) >= 5
    assert set(found["status"]) <= {"FINISHED", "KILLED"}


def test_what_a_full_disk_refused_is_written_once_there_is_room(tmp_path, monkeypatch, caplog):
    autotrack.autolog(store=tmp_path / "store", log_models=False)
    Ridge(alpha=1).fit(X, y)
    autotrack.flush()
    write, full = os.write, True

    def refuse(fd: int, data: object) -> int:
        if full and len(bytes(data)) > 100:
            write(fd, bytes(data)[:10])  # a torn line, as a full disk leaves it
            raise OSError(28, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(journal.os, "write", refuse)
    Ridge(alpha=2).fit(X, y)
    autotrack.flush()
    full = False
    Ridge(alpha=3).fit(X, y)
    autotrack.flush()
    monkeypatch.undo()
    found = autotrack.search_runs(store=tmp_path / "store")
    assert sorted(found["params.alpha"]) == ["1", "2", "3"]
    assert set(found["status"]) == {"FINISHED"}
    assert found["metrics.training_score"].notna().all()
    assert found["broken"].isna().all()
    assert len(warnings_of(caplog)) == 1


def test_the_journal_is_deleted_under_us(logged, caplog):
    with autotrack.start_run(name="open"):
        Ridge(alpha=1).fit(X, y)
        autotrack.flush()
        shutil.rmtree(logged)
        Ridge(alpha=2).fit(X, y)
        autotrack.log_metric("after", 1.0)
    Ridge(alpha=3).fit(X, y)
    autotrack.flush()
    found = {run["params.alpha"]: run for run in autotrack.search_runs().to_dict("records")}
    assert set(found) == {"1", "2", "3"}
    assert found["1"]["run_name"] == "open"
    assert found["1"]["status"] == "FINISHED"
    assert len(warnings_of(caplog)) == 1


class Unpicklable(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        self.lock_ = threading.Lock()
        return self

    def predict(self, X):
        return np.zeros(len(X))


class BadParams(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        self.mean_ = np.mean(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)

    def get_params(self, deep=True):
        raise RuntimeError("no params for you")


class Unprintable:
    def __str__(self):
        raise ValueError

    __repr__ = __str__


class OddParams(RegressorMixin, BaseEstimator):
    def __init__(self, big=None, odd=None, name="naïve\n\u2028\ud800 name\0"):
        self.big, self.odd, self.name = big, odd, name

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.full(len(X), np.nan)


def test_an_estimator_that_cannot_be_pickled(logged, caplog):
    for _ in range(2):
        assert isinstance(Unpicklable().fit(X, y), Unpicklable)
    autotrack.flush()
    run = autotrack.get_run("latest")
    assert run.status == "FINISHED"
    assert "model/MLmodel" not in run.artifacts
    assert "training_r2_score" in run.metrics
    (said,) = warnings_of(caplog)
    assert "lock_" in said
    with pytest.raises(autotrack.AutotrackError, match="model"):
        run.model()


def test_get_params_that_raises(logged, caplog):
    assert BadParams().fit(X, y).mean_ == 1
    autotrack.flush()
    run = autotrack.get_run("latest")
    assert run.status == "FINISHED"
    assert run.metrics["training_r2_score"] == pytest.approx(0)
    (said,) = warnings_of(caplog)
    assert "no params for you" in said


def test_odd_and_huge_params_come_back_as_they_were(logged):
    OddParams(big="x" * 1_000_000, odd=Unprintable()).fit(X, y)
    autotrack.flush()
    run = autotrack.get_run("latest")
    assert run.params["big"] == "x" * 1_000_000
    assert run.params["odd"] == "<Unprintable that cannot be printed: ValueError>"
    assert run.params["name"] == "naïve\n\u2028\ud800 name\0"
    assert np.isnan(run.metrics["training_mean_squared_error"])


def test_keys_that_are_no_strings_and_names_of_every_kind(logged):
    with autotrack.start_run(name="zeile\n\U0001f600 \x1b[31mred", tags={1: None, "ü": "ö\n"}) as run:
        run.log_params({1: 2, ("a", "b"): [1], None: {}})
        run.log_metrics({3: 4.0, "ä b/c\n": 5})
    found = autotrack.get_run(run.run_id)
    assert found.name == "zeile\n\U0001f600 \x1b[31mred"
    assert found.params == {"1": "2", "('a', 'b')": "[1]", "None": "{}"}
    assert found.metrics == {"3": 4.0, "ä b/c\n": 5.0}
    assert found.tags["ü"] == "ö\n"


def test_predict_that_raises_after_the_fit(logged, caplog):
    class Broken(Ridge):
        def predict(self, X):
            raise ZeroDivisionError

    assert Broken().fit(X, y).coef_.shape == (4,)
    autotrack.flush()
    assert autotrack.get_run("latest").status == "FINISHED"
    assert len(warnings_of(caplog)) == 1


def test_silent_says_nothing(store, caplog):
    autotrack.autolog(store=store, silent=True)
    Unpicklable().fit(X, y)
    autotrack.flush()
    assert warnings_of(caplog) == []


def test_a_logging_handler_that_raises_stops_nothing(logged):
    class Raises(logging.Handler):
        def emit(self, record):
            raise RuntimeError

    handler = Raises()
    logging.getLogger("autotrack").addHandler(handler)
    try:
        assert Unpicklable().fit(X, y)
    finally:
        logging.getLogger("autotrack").removeHandler(handler)


def test_a_working_folder_that_is_gone(script):
    code = """
    import os, shutil, autotrack
    os.makedirs("gone"); os.chdir("gone")
    autotrack.autolog(store=os.path.abspath("../store"))
    shutil.rmtree(os.getcwd())
    from sklearn.linear_model import Ridge
    print(Ridge().fit([[1.0], [2.0]], [1.0, 2.0]).coef_)
    """
    done = script(code)
    assert done.stdout.startswith("[")
    assert len(autotrack.search_runs(store="store")) == 1


def test_one_bad_metric_costs_only_itself_when_it_is_ours(logged):
    class Odd(LogisticRegression):
        def score(self, X, y, sample_weight=None):
            return "excellent"

    Odd(max_iter=300).fit(X, y)
    autotrack.flush()
    assert autotrack.get_run("latest").metrics["training_accuracy_score"] > 0.9


def test_a_bad_value_of_the_users_is_refused_with_its_name(store):
    autotrack.set_store(store)
    with autotrack.start_run() as run:
        with pytest.raises(TypeError, match=r"metric 'rmse'.*'low'.*set_tag"):
            run.log_metric("rmse", "low")
        with pytest.raises(TypeError, match=r"shape \(2,\)"):
            run.log_metric("rmse", np.zeros(2))
        with pytest.raises(FileNotFoundError, match="missing.csv"):
            run.log_artifact("missing.csv")
        for path in ("../up", "/etc/passwd", "", "a/../../b", "C:\\x"):
            with pytest.raises(autotrack.AutotrackError, match="artifact path"):
                run.log_text("x", path)
