"""Two model folders that our server and MLflow's both serve: one on named columns of every type, one on a tensor."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from autotrack.models import infer_signature, write_model

RUN_ID = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Peer:
    """A fitted model, its folder, and the data it was fitted on."""

    model: Any
    folder: Path
    X: Any

    def rows(self, *indices: int) -> Any:
        """Some rows of X."""
        return self.X.iloc[list(indices)] if hasattr(self.X, "iloc") else self.X[list(indices)]


def frame_peer(folder: Path) -> Peer:
    """A LogisticRegression behind a preparation of mixed columns, of which ``petal`` and ``soil`` had missing values.

    Its ``MLmodel`` asks for probabilities, as ``log_model(pyfunc_predict_fn="predict_proba")`` makes it: a class would
    hide what became of a value.
    """
    iris = load_iris(as_frame=True)
    rows = np.arange(len(iris.data))
    X = pd.DataFrame(
        {
            "sepal": iris.data.iloc[:, 0],
            "petal": iris.data.iloc[:, 2].where(rows % 10 != 3),
            "width": iris.data.iloc[:, 3].astype("float32"),
            "visits": rows * 7 % 40,
            "leaves": (rows % 9).astype("int32"),
            "in bloom": rows % 3 == 0,
            "site": np.array(["north", "south", "east"], dtype=object)[rows % 3],
            "soil": np.array(["clay", "sand", np.nan], dtype=object)[rows // 2 % 3],
        }
    )
    y = pd.Series(iris.target_names[iris.target].astype(object), name="species")
    numbers = ["sepal", "petal", "width", "visits", "leaves"]
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("flags", "passthrough", ["in bloom"]),
            ("places", OneHotEncoder(handle_unknown="ignore"), ["site", "soil"]),
        ]
    )
    peer = _written(folder, Pipeline([("prepare", prepare), ("model", LogisticRegression(max_iter=500))]).fit(X, y), X)
    written = (folder / "MLmodel").read_text()
    assert "predict_fn: predict\n" in written
    (folder / "MLmodel").write_text(written.replace("predict_fn: predict\n", "predict_fn: predict_proba\n"))
    return peer


def dated_peer(folder: Path) -> Peer:
    """A LinearRegression on a number and the days of a time since the start of 2024."""
    days = np.arange(50)
    X = pd.DataFrame({"x": days % 7 / 2, "seen": pd.Timestamp("2024-03-01") + pd.to_timedelta(days * 11, unit="h")})
    prepare = ColumnTransformer([("x", "passthrough", ["x"]), ("seen", FunctionTransformer(_days), ["seen"])])
    model = Pipeline([("prepare", prepare), ("model", LinearRegression())]).fit(X, days % 5 + days)
    # As if a script had defined the function: the server cannot import this module.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        return _written(folder, model, X)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def _days(times: Any) -> Any:
    import pandas

    return (times - pandas.Timestamp("2024-01-01")) / pandas.Timedelta(days=1)


def tensor_peer(folder: Path) -> Peer:
    """A LinearRegression on an array of ten float64 columns."""
    X, y = load_diabetes(return_X_y=True)
    return _written(folder, LinearRegression().fit(X, y), X)


def diabetes_peer(folder: Path) -> Peer:
    """A LinearRegression on the ten columns age … s6, as in everybody's tutorial."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return _written(folder, LinearRegression().fit(X, y), X)


def _written(folder: Path, model: Any, X: Any) -> Peer:
    inferred = infer_signature(X, model.predict(X))
    assert inferred.reason is None
    write_model(folder, model, run_id=RUN_ID, signature=inferred.signature, created=0)
    return Peer(model, folder, X)
