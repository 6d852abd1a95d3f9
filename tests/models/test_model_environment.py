"""A fresh environment, made from a model's ``requirements.txt`` and nothing else, predicts the same numbers."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np

from tests import services

TRAIN = """
import json
import pathlib
import numpy as np
import autotrack
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline

FACTOR = 3.0

class Logs(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.low_ = X.min(axis=0)
        return self

    def transform(self, X):
        import scipy.special
        return scipy.special.log1p((X - self.low_) * FACTOR)

autotrack.autolog()
X, y = load_diabetes(return_X_y=True)
with autotrack.start_run() as run:
    model = make_pipeline(Logs(), RandomForestRegressor(20, random_state=0)).fit(X, y)
np.save("X.npy", X)
np.save("expected.npy", model.predict(X))
print(autotrack.get_run(run.run_id).artifact_path("model"))
"""
PREDICT = """
import importlib.util, json, pickle, sys
import numpy
with open(sys.argv[1] + "/model.pkl", "rb") as file:
    model = pickle.load(file)
numpy.save("found.npy", model.predict(numpy.load("X.npy")))
names = ("autotrack", "wrapt", "pandas", "mlflow")
print(json.dumps({name: importlib.util.find_spec(name) is not None for name in names}))
"""
_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:")
_NO_NETWORK = ("No matching distribution found", "Failed to establish", "Temporary failure", "timed out", "ReadTimeout")


def _run(python: str | Path, *arguments: str, folder: Path, limit: int = 600) -> subprocess.CompletedProcess[str]:
    command = [str(python), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit, check=False)


def test_an_environment_made_of_its_requirements_predicts_the_same(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    trained = _run(sys.executable, "train.py", folder=tmp_path)
    assert trained.returncode == 0, trained.stderr
    folder = trained.stdout.strip()
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    installed = _run(python, *_PIP, "-r", f"{folder}/requirements.txt", folder=tmp_path)
    if installed.returncode and any(sign in installed.stderr for sign in _NO_NETWORK):
        services.missing("a package index", installed.stderr[-300:])
    assert installed.returncode == 0, installed.stderr

    predicted = _run(python, "-I", "-c", PREDICT, folder, folder=tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    assert json.loads(predicted.stdout) == dict.fromkeys(("autotrack", "wrapt", "pandas", "mlflow"), False)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), np.load(tmp_path / "expected.npy"))
