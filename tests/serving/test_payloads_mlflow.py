"""The same requests to what MLflow's scoring server calls: the same answers, or a difference that we chose."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from serving_tools import PARQUET, parquet_bytes
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from autotrack.models import infer_signature, read_mlmodel, write_model
from autotrack.serving.answers import write_answer
from autotrack.serving.payloads import read_payload
from autotrack.serving.problems import BadInput
from autotrack.serving.schema import InputSchema
from autotrack.serving.scoring import Scorer

pytest.importorskip("mlflow.pyfunc.scoring_server")

FRAME = pd.DataFrame(
    {
        "age": [31.5, 40.0, 22.0, 60.5],
        "rooms": [3, 4, 1, 2],
        "city": ["Rome", "Oslo"] * 2,
        "new": [True, False, False, True],
    }
)
TARGET = np.array([1.5, 2.0, 0.25, 3.0])
NAMES = list(FRAME.columns)
ROW: list[Any] = [31.5, 3, "Rome", True]
RECORD = dict(zip(NAMES, ROW))
JSON = "application/json"


class Reply(NamedTuple):
    status: int
    predictions: Any
    code: str = ""


class Pair(NamedTuple):
    ours: Callable[[bytes, str], Reply]
    theirs: Callable[[bytes, str], Reply]


def make_pair(folder: Path, model: Any, X: Any) -> Pair:
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import invocations

    write_model(folder, model, run_id="0" * 32, signature=infer_signature(X, model.predict(X)).signature, created=0)
    info = read_mlmodel(folder)
    schema = InputSchema.of(info, model)
    scorer = Scorer(model, info, schema)
    loaded = mlflow.pyfunc.load_model(str(folder))

    def ours(body: bytes, content_type: str) -> Reply:
        try:
            answer = write_answer(scorer.predict(read_payload(body, content_type, schema)), None, schema)
        except BadInput as problem:
            return Reply(problem.status, None, problem.code)
        return Reply(200, json.loads(answer.body)["predictions"])

    def theirs(body: bytes, content_type: str) -> Reply:
        data = body if content_type == PARQUET else body.decode()
        try:
            response = invocations(data, content_type, loaded, loaded.metadata.get_input_schema())
        except MlflowException as error:
            return Reply(error.get_http_status_code(), None)
        done = response.status == 200
        return Reply(response.status, json.loads(response.response)["predictions"] if done else None)

    return Pair(ours, theirs)


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A model of four columns with names, two of them no numbers."""
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough"), LinearRegression()
    ).fit(FRAME, TARGET)
    return make_pair(tmp_path_factory.mktemp("columns") / "model", model, FRAME)


@pytest.fixture(scope="module")
def array(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A model of an array with three columns."""
    X = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 0.5], [0.0, 1.5, 1.0], [3.0, 3.0, 2.0]])
    return make_pair(tmp_path_factory.mktemp("array") / "model", LinearRegression().fit(X, TARGET), X)


def cell(place: int, value: Any) -> dict[str, Any]:
    row = list(ROW)
    row[place] = value
    return {"dataframe_split": {"columns": NAMES, "data": [ROW, row]}}


def split(names: list[str], *rows: list[Any]) -> dict[str, Any]:
    return {"dataframe_split": {"columns": names, "data": list(rows)}}


@pytest.mark.parametrize(
    "request_",
    [
        split(NAMES, ROW, ROW),
        split(NAMES[::-1], ROW[::-1]),
        {"dataframe_split": {"columns": NAMES, "data": [ROW], "index": ["q"]}},
        cell(0, 31),
        cell(1, 3.0),
        cell(3, 1),
        {"dataframe_records": [RECORD, RECORD]},
        {"instances": [RECORD]},
        {"inputs": {name: [value] for name, value in RECORD.items()}},
        {"inputs": RECORD},
        {"inputs": [RECORD]},
    ],
)
def test_what_mlflow_takes_gets_the_same_answer(columns: Pair, request_: Any) -> None:
    body = json.dumps(request_).encode()
    ours, theirs = columns.ours(body, JSON), columns.theirs(body, JSON)
    assert ours.status == theirs.status == 200
    np.testing.assert_allclose(ours.predictions, theirs.predictions, rtol=1e-12)


def test_files_get_the_same_answer(columns: Pair) -> None:
    for body, kind in ((FRAME.to_csv(index=False).encode(), "text/csv"), (parquet_bytes(FRAME), PARQUET)):
        ours, theirs = columns.ours(body, kind), columns.theirs(body, kind)
        assert ours.status == theirs.status == 200
        np.testing.assert_allclose(ours.predictions, theirs.predictions, rtol=1e-12)


@pytest.mark.parametrize(
    "request_",
    [
        {"inputs": [[1, 2, 3], [1.5, 2, 3]]},
        {"instances": [[1.5, 2, 3]]},
        split(["x", "y", "z"], [1.5, 2, 3]),
        {"dataframe_records": [{"x": 1.5, "y": 2, "z": 3}]},
    ],
)
def test_an_array_gets_the_same_answer(array: Pair, request_: Any) -> None:
    body = json.dumps(request_).encode()
    ours, theirs = array.ours(body, JSON), array.theirs(body, JSON)
    assert ours.status == theirs.status == 200
    np.testing.assert_allclose(ours.predictions, theirs.predictions, rtol=1e-12)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (split(NAMES[:3], ROW[:3]), "missing_column"),
        (split([*NAMES, "age"], [*ROW, 1]), "duplicate_column"),
        (split(NAMES, ROW, ROW[:2]), "ragged_rows"),
        (cell(0, None), "missing_value"),
        (cell(0, "x"), "wrong_type"),
        (cell(1, None), "missing_value"),
        (cell(2, "Paris"), "model_refused"),
        (cell(2, None), "missing_value"),
        ({"dataframe_records": [RECORD, {"age": 1.0}]}, "missing_column"),
        ({"inputs": {"age": [1.0, 2.0], "rooms": [1], "city": ["Rome"], "new": [True]}}, "ragged_rows"),
        (split(NAMES), "empty"),
        ({"inputs": [RECORD], "instances": [RECORD]}, "unknown_form"),
        ({}, "unknown_form"),
        (5, "unknown_form"),
    ],
)
def test_what_both_refuse_has_our_code(columns: Pair, request_: Any, code: str) -> None:
    body = json.dumps(request_).encode()
    assert columns.theirs(body, JSON).status == 400
    ours = columns.ours(body, JSON)
    assert (ours.status, ours.code) == (400, code)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (cell(0, "31.5"), "wrong_type"),  # read as a number
        (cell(0, True), "wrong_type"),  # read as 1
        (cell(1, 3.7), "wrong_type"),  # cut off to 3
        (cell(1, "3"), "wrong_type"),
        (cell(3, "false"), "wrong_type"),  # read as true
        (cell(3, 2), "wrong_type"),
        (cell(3, None), "missing_value"),  # read as false
        (split([*NAMES, "z"], [*ROW, 1]), "unexpected_column"),  # dropped
        ({"instances": [RECORD], "x": 1}, "unexpected_field"),  # ignored
        ({"instances": [RECORD], "params": {"a": 1}}, "unknown_parameter"),  # ignored
    ],
)
def test_what_mlflow_guesses_is_refused(columns: Pair, request_: Any, code: str) -> None:
    body = json.dumps(request_).encode()
    assert columns.theirs(body, JSON).status == 200
    ours = columns.ours(body, JSON)
    assert (ours.status, ours.code) == (400, code)


@pytest.mark.parametrize(
    "request_",
    [
        {"columns": NAMES, "data": [ROW]},
        [RECORD],
        {"dataframe_split": {"data": [ROW]}},
        {"instances": [ROW]},
        {"inputs": [ROW]},
    ],
)
def test_what_mlflow_refuses_without_need_is_taken(columns: Pair, request_: Any) -> None:
    body = json.dumps(request_).encode()
    assert columns.theirs(body, JSON).status == 400
    expected = columns.theirs(json.dumps(split(NAMES, ROW)).encode(), JSON)
    np.testing.assert_allclose(columns.ours(body, JSON).predictions, expected.predictions, rtol=1e-12)


def test_an_array_of_columns_and_of_csv_is_taken(array: Pair) -> None:
    expected = array.theirs(b'{"inputs": [[1, 2, 3]]}', JSON).predictions
    for body, kind in ((b'{"inputs": {"x": [1], "y": [2], "z": [3]}}', JSON), (b"x,y,z\n1,2,3\n", "text/csv")):
        assert array.theirs(body, kind).status == 400
        np.testing.assert_allclose(array.ours(body, kind).predictions, expected, rtol=1e-12)
