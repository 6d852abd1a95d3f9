"""``python -m benchmarks.children.models OPTIONS``: write one fitted model again and again, each variant in turn."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.children.answers import open_answers


def main() -> None:
    answer = open_answers()
    options = json.loads(sys.argv[1])
    model = _fitted(options["trees"])
    writers = {"bare": _Joblib, "autotrack": _Autotrack, "mlflow": _Mlflow}
    joining = {name: writers[name](model) for name in options["variants"]}
    every = max(1, options["rounds"] // options["mlflow_rounds"])
    seconds: dict[str, list[float | None]] = {name: [] for name in joining}
    for number in range(-1, options["rounds"]):  # the first does not count
        names = list(joining)
        start = number % len(names)
        for name in names[start:] + names[:start]:
            rests = name == "mlflow" and number >= 0 and number % every != 0
            taken = None if rests else joining[name].write(number)
            if number >= 0:
                seconds[name].append(taken)
    answer({"seconds": seconds, "bytes": joining["bare"].size})


def _fitted(trees: int) -> Any:
    if not trees:
        from benchmarks import cases

        prepare, X, y = cases.logistic_iris()
        return prepare().__self__.fit(X, y)
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    X, y = rng.random((20_000, 8)), rng.random(20_000)
    return RandomForestRegressor(trees, max_features=1, random_state=0, n_jobs=-1).fit(X, y)


class _Joblib:
    def __init__(self, model: Any) -> None:
        import joblib

        self._model = model
        self._dump = joblib.dump
        self.size = 0

    def write(self, number: int) -> float:
        path = Path("model.joblib")
        started = time.perf_counter()
        self._dump(self._model, path)
        taken = time.perf_counter() - started
        self.size = path.stat().st_size
        path.unlink()
        return taken


class _Autotrack:
    """Logs into one run of the local folder."""

    def __init__(self, model: Any) -> None:
        import autotrack

        autotrack.autolog(silent=True)
        self._model = model
        self._autotrack = autotrack
        self._run = autotrack.start_run("models").__enter__()

    def write(self, number: int) -> float:
        name = f"model-{number + 1}"
        started = time.perf_counter()
        self._run.log_model(self._model, name)
        taken = time.perf_counter() - started
        self._autotrack.flush()  # the digest of a large model is taken in the background
        shutil.rmtree(self._autotrack.get_run(self._run.run_id).artifact_path(name))
        return taken


class _Mlflow:
    def __init__(self, model: Any) -> None:
        import mlflow.sklearn

        self._model = model
        self._mlflow = mlflow
        mlflow.start_run()

    def write(self, number: int) -> float:
        started = time.perf_counter()
        self._mlflow.sklearn.log_model(self._model, name=f"model-{number + 1}", serialization_format="cloudpickle")
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
