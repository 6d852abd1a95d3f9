"""The models that are served, and the requests."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROWS: Final = 10_000
ARROW: Final = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True, slots=True)
class Case:
    """A model, fitted on the diabetes data with its ten named columns."""

    name: str
    title: str
    build: Callable[[], Any]


def _linear() -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression()


def _forest() -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(n_estimators=100, random_state=0)


LINEAR: Final = Case("linear", "LinearRegression on ten named columns", _linear)
FOREST: Final = Case("forest", "RandomForestRegressor of 100 trees on ten named columns", _forest)
EVERY: Final = (LINEAR, FOREST)


@dataclass(frozen=True, slots=True)
class Served:
    """A model folder, the bodies as files, and what the model itself says to them."""

    model: Path
    single: Path
    large: Path
    arrow: Path
    single_expected: list[float]
    large_expected: list[float]


def prepare(case: Case, folder: Path) -> Served:
    """Fit the case's model, write its folder and the bodies of the requests."""
    import numpy as np
    import pyarrow as pa
    from sklearn.datasets import load_diabetes

    from autotrack.models import infer_signature, write_model

    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = case.build().fit(X, y)
    signature = infer_signature(X, model.predict(X)).signature
    write_model(folder / "model", model, run_id="0" * 32, signature=signature, created=0)
    large = X.iloc[np.arange(ROWS) % len(X)].reset_index(drop=True)
    single = X.iloc[[0]]
    (folder / "single.json").write_bytes(split(single))
    (folder / "large.json").write_bytes(split(large))
    table = pa.Table.from_pandas(large, preserve_index=False)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (folder / "large.arrow").write_bytes(sink.getvalue())
    return Served(
        folder / "model",
        folder / "single.json",
        folder / "large.json",
        folder / "large.arrow",
        model.predict(single).tolist(),
        model.predict(large).tolist(),
    )


def split(frame: Any) -> bytes:
    """A frame as both servers read it."""
    return json.dumps(
        {"dataframe_split": {"columns": frame.columns.tolist(), "data": frame.to_numpy().tolist()}}
    ).encode()
