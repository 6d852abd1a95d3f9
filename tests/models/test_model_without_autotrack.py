"""A saved model loads where autotrack and wrapt do not exist, whatever the script did."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# Loads a folder as anybody's script would, in an interpreter that has no autotrack and no wrapt.
LOADER = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("autotrack", "wrapt"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import pickle, numpy
for folder in sys.argv[1:]:
    with open(folder + "/model.pkl", "rb") as file:
        model = pickle.load(file)
    numpy.save(folder + "/found.npy", model.predict(numpy.load(folder + "/X.npy")))
assert not {"autotrack", "wrapt"} & {name.partition(".")[0] for name in sys.modules}
"""

SCRIPT = """
import pathlib, sys
import numpy as np
{imports}
import autotrack
{on}
import sklearn.metrics
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.metrics import make_scorer, mean_squared_error
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

FACTOR = 3.0

def loss(a, b):
    return mean_squared_error(a, b)

class Half(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.mean_ = np.mean(X)
        return self

    def transform(self, X):
        return (X - self.mean_) * FACTOR

class Mine(RegressorMixin, BaseEstimator):
    def __init__(self, inner=None):
        self.inner = inner

    def fit(self, X, y):
        self.model_ = (self.inner or LinearRegression()).fit(X, y)
        return self

    def predict(self, X):
        import scipy.special
        return scipy.special.expit(self.model_.predict(X) / 100.0) + helper(X)

def helper(X):
    return X.sum(axis=1)

def with_kept_functions():
    model = Mine(LinearRegression())
    model.kept = model.fit, sklearn.metrics.mean_squared_error, mean_squared_error
    return model

MODELS = [
    LinearRegression(),
    Mine(),
    make_pipeline(Half(), Mine(LinearRegression())),
    GridSearchCV(Mine(), {{"inner": [None]}}, cv=2, refit="a",
                 scoring={{"a": make_scorer(loss), "b": make_scorer(mean_squared_error)}}),
    with_kept_functions(),
]
X, y = load_diabetes(return_X_y=True)
assert type(vars(LinearRegression)["fit"]).__module__.startswith("autotrack") == {is_on}
assert type(vars(Mine)["fit"]).__module__.startswith("autotrack") == {is_on}
from autotrack.models import write_model
for index, model in enumerate(MODELS):
    model.fit(X, y)
    folder = pathlib.Path(f"model{{index}}")
    write_model(folder, model, run_id="0" * 32, signature=None, created=0)
    np.save(folder / "X.npy", X)
    np.save(folder / "expected.npy", model.predict(X))
"""

ON = "autotrack.autolog(store='store', log_models=False)"


@pytest.mark.parametrize("on", ["", ON], ids=["off", "autologging"])
@pytest.mark.parametrize("early", [True, False], ids=["imported early", "imported late"])
def test_it_loads_and_predicts_the_same(early: bool, on: str, tmp_path: Path) -> None:
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    work.mkdir()
    elsewhere.mkdir()
    imports = "import sklearn.pipeline\nfrom sklearn.metrics import r2_score" if early else ""
    (work / "train.py").write_text(SCRIPT.format(on=on, is_on=bool(on), imports=imports))
    subprocess.run([sys.executable, "train.py"], cwd=work, check=True)
    folders = sorted(work.glob("model*"))

    subprocess.run([sys.executable, "-c", LOADER, *map(str, folders)], cwd=elsewhere, check=True)

    assert len(folders) == 5
    for index, folder in enumerate(folders):
        assert (folder / "found.npy").read_bytes() == (folder / "expected.npy").read_bytes()
        requirements = (folder / "requirements.txt").read_text()
        assert "autotrack" not in requirements
        assert "wrapt" not in requirements
        assert ("scipy==" in requirements) == (index > 0)  # imported in the body of a method
        data = (folder / "model.pkl").read_bytes()
        assert b"autotrack" not in data
        assert b"wrapt" not in data
        assert "local_modules: []" in (folder / "MLmodel").read_text()


SPAWNING = """
import multiprocessing, pathlib, sys
from sklearn.base import BaseEstimator

class Mine(BaseEstimator):
    def predict(self, X):
        return twice(X)

def twice(X):
    return X * 2

def write(folder):
    from autotrack.models import write_model
    write_model(pathlib.Path(folder) / "model", Mine(), run_id="", signature=None, created=0)

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=write, args=(sys.argv[1],))
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


def test_a_class_of_a_script_that_spawns(tmp_path: Path) -> None:
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    work.mkdir()
    elsewhere.mkdir()
    (work / "train.py").write_text(SPAWNING)
    subprocess.run([sys.executable, "train.py", str(work)], cwd=work, check=True)
    np.save(work / "model" / "X.npy", np.arange(4))

    subprocess.run([sys.executable, "-c", LOADER, str(work / "model")], cwd=elsewhere, check=True)

    assert np.load(work / "model" / "found.npy").tolist() == [0, 2, 4, 6]
