"""Scoring: which method, whose mistake, together or alone; and the answers."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy import sparse
from serving_tools import ARROW, PARQUET, describe, read, scorer
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import NMF
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from autotrack.errors import ModelError
from autotrack.models import ColumnSpec, ModelInfo
from autotrack.serving import answers
from autotrack.serving.answers import preferred, to_frame, write_answer
from autotrack.serving.payloads import Payload
from autotrack.serving.problems import BadInput
from autotrack.serving.schema import InputSchema
from autotrack.serving.scoring import Scorer, ScoringFailed, is_row_wise

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(40, 3)), columns=["a", "b", "c"])
y = (X["a"] > 0).map({True: "yes", False: "no"})
MIXED = X.assign(city=["Rome", "Oslo"] * 20)
NOTHING = InputSchema()


class Failing(ClassifierMixin, BaseEstimator):
    """Raises what it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def fit(self, X: Any, y: Any) -> Failing:
        self.n_features_in_ = 3
        return self

    def predict(self, X: Any) -> Any:
        if self.error is not None:
            raise self.error
        return np.zeros(len(X))


def rows(frame: pd.DataFrame, at: int, **params: Any) -> Payload:
    return Payload(frame.iloc[at : at + 1].reset_index(drop=True), 1, params)


def same(found: Any, expected: Any) -> None:
    """Equal; numbers but for what the place of columns in memory, or of rows in a batch, does to their last bits."""
    if np.asarray(expected).dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(5, random_state=0),
        HistGradientBoostingClassifier(max_iter=3),
        GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2]}, cv=2),
        make_pipeline(StandardScaler(), FunctionTransformer(), LogisticRegression()),
        make_pipeline(StandardScaler().set_output(transform="pandas"), LogisticRegression()),
    ],
    ids=lambda model: type(model).__name__,
)
def test_the_answer_is_what_the_model_gives_for_the_frame(model: Any) -> None:
    model.fit(X, y)
    served = scorer(model, X)
    payload = read({"columns": list("cab"), "data": X[list("cab")].to_numpy().tolist()}, served.schema)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # such as scikit-learn's of names
        for method in served.methods:
            payload.params["predict_method"] = method
            same(served.predict(payload), getattr(model, method)(X))
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]


def test_predict_is_called_unless_the_folder_or_the_request_names_another() -> None:
    model = LogisticRegression().fit(X, y)
    served = scorer(model, X)
    assert set(served.predict(rows(X, 0))) <= {"yes", "no"}
    assert served.predict(rows(X, 0, predict_method="predict_proba")).shape == (1, 2)
    info = ModelInfo(Path("m"), flavors={"python_function": {"predict_fn": "predict_proba"}})
    assert Scorer(model, info, served.schema).predict(rows(X, 0)).shape == (1, 2)
    transformer = StandardScaler().fit(X)
    assert scorer_of_transformer(transformer).predict(rows(X, 0)).shape == (1, 3)


def scorer_of_transformer(model: Any) -> Scorer:
    info = describe(model)
    return Scorer(model, info, InputSchema.of(info, model))


@pytest.mark.parametrize(
    "params",
    [
        {"predict_method": "fit"},
        {"predict_method": "__class__"},
        {"predict_method": "decision_path"},
        {"predict_method": "score_samples"},
        {"predict_method": 1},
        {"predict_method": None},
        {"predict_method": ["predict"]},
        {"method": "predict"},
        {"predict_method": "predict", "x": 1},
    ],
)
def test_another_parameter_is_refused(params: dict[str, Any]) -> None:
    served = scorer(LogisticRegression().fit(X, y), X)
    with pytest.raises(BadInput) as caught:
        served.predict(rows(X, 0, **params))
    assert (caught.value.status, caught.value.code) == (400, "unknown_parameter")
    with pytest.raises(BadInput):
        served.batch_key(rows(X, 0, **params))


def test_a_model_that_predicts_nothing_new_cannot_be_served() -> None:
    for model in (DBSCAN().fit(X), LocalOutlierFactor().fit(X)):
        with pytest.raises(ModelError, match="has none of the methods"):
            Scorer(model, ModelInfo(Path("m")), NOTHING)


def test_what_the_model_refuses_is_the_clients_mistake_and_names_the_place() -> None:
    array = X.to_numpy()
    served = scorer(LogisticRegression().fit(array, y), array)
    with pytest.raises(BadInput) as caught:
        served.predict(read({"inputs": [[1, 2, 3], [1, None, 3]]}, served.schema))
    assert (caught.value.code, caught.value.columns, caught.value.row) == ("missing_value", ("1",), 1)
    served = scorer(LogisticRegression().fit(X, y), X)
    with pytest.raises(BadInput) as caught:
        served.predict(read(b'{"columns": ["a", "b", "c"], "data": [[1, 2, 3], [1, 2, 1e999]]}', served.schema))
    assert (caught.value.code, caught.value.columns, caught.value.row) == ("wrong_type", ("c",), 1)
    model = make_pipeline(make_column_transformer((OneHotEncoder(), ["city"])), LogisticRegression()).fit(MIXED, y)
    served = scorer(model, MIXED)
    with pytest.raises(BadInput) as caught:
        served.predict(read([{"a": 1, "b": 2, "c": 3, "city": "Paris"}], served.schema))
    assert caught.value.code == "model_refused"
    assert "Paris" in caught.value.message
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyError("x"), TypeError("t"), MemoryError()])
def test_what_is_not_the_clients_mistake_is_another_error_and_does_not_say_more(error: Exception) -> None:
    served = scorer_of_transformer(Failing(error).fit(X, y))
    with pytest.raises(ScoringFailed, match=f"Failing.predict failed: {type(error).__name__}$") as caught:
        served.predict(Payload(X.to_numpy(), 40))
    assert caught.value.__cause__ is error


def test_requests_are_predicted_together_and_each_gets_its_own() -> None:
    for model, frame in (
        (LogisticRegression(), X),
        (make_pipeline(OneHotEncoder(), DecisionTreeClassifier()), MIXED[["city"]]),
    ):
        model.fit(frame, y)
        served = scorer(model, frame)
        payloads = [Payload(frame.iloc[at : at + 1 + at % 3].reset_index(drop=True), 1 + at % 3) for at in range(12)]
        assert len({served.batch_key(payload) for payload in payloads}) == 1
        for payload, answer in zip(payloads, served.predict_many(payloads)):
            same(answer, model.predict(payload.data))


def test_one_bad_request_does_not_spoil_the_others() -> None:
    served = scorer(LogisticRegression().fit(X, y), X)
    bad = Payload(pd.DataFrame([[1.0, np.inf, 2.0]], columns=X.columns), 1)
    first, problem, last = served.predict_many([rows(X, 0), bad, rows(X, 1)])
    assert isinstance(problem, BadInput)
    assert problem.row == 0
    assert [*first, *last] == served.predict(Payload(X.iloc[:2], 2)).tolist()


def test_requests_that_differ_have_other_keys() -> None:
    served = scorer(LogisticRegression().fit(X, y), X)
    assert served.batch_key(rows(X, 0)) != served.batch_key(rows(X, 0, predict_method="predict_proba"))
    mixed = scorer(make_pipeline(OneHotEncoder(), LogisticRegression()).fit(MIXED, y), MIXED)
    plain = rows(MIXED, 0)
    category = Payload(plain.data.astype({"city": "category"}), 1)
    assert mixed.batch_key(plain) != mixed.batch_key(category)
    alone = scorer_of_transformer(Failing().fit(X, y))
    assert alone.batch_key(Payload(X.to_numpy(), 40)) is None


@pytest.mark.parametrize(
    "predictions",
    [
        np.arange(6),
        np.arange(12).reshape(6, 2),
        pd.Series(range(6)),
        pd.DataFrame({"x": range(6)}),
        sparse.csr_matrix(np.eye(6)),
        [np.arange(12).reshape(6, 2), np.arange(18).reshape(6, 3)],
        ["a", "b", "c", "d", "e", "f"],
    ],
    ids=lambda value: type(value).__name__,
)
def test_predictions_are_split_by_rows(predictions: Any) -> None:
    parts = Scorer.split(predictions, [1, 3, 2])
    assert len(parts) == 3
    if isinstance(predictions, list) and isinstance(predictions[0], np.ndarray):
        assert [[len(output) for output in part] for part in parts] == [[1, 1], [3, 3], [2, 2]]
        same(np.concatenate([part[1] for part in parts]), predictions[1])
    else:
        assert [part.shape[0] if hasattr(part, "shape") else len(part) for part in parts] == [1, 3, 2]
    with pytest.raises(ValueError, match="predictions for 7 rows"):
        Scorer.split(np.arange(6), [3, 4])


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (LogisticRegression(), True),
        (KMeans(), True),
        (make_pipeline(StandardScaler(), SelectKBest(), LogisticRegression()), True),
        (GridSearchCV(LogisticRegression(), {}), True),
        (VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier())]), True),
        (make_column_transformer((StandardScaler(), ["a"]), (OneHotEncoder(), ["b"])), True),
        (DummyClassifier(strategy="prior"), True),
        (DummyClassifier(strategy="stratified"), False),
        (make_pipeline(StandardScaler(), NMF()), False),
        (make_pipeline(FunctionTransformer(np.log), LogisticRegression()), False),
        (VotingClassifier([("a", LogisticRegression()), ("b", Failing())]), False),
        (make_column_transformer((FunctionTransformer(), ["a"])), False),
        (TfidfVectorizer(tokenizer=lambda text: text.split()), False),
        (Failing(), False),
        (object(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_is_known_to_be_row_wise_is_batched(model: Any, answer: bool) -> None:
    assert is_row_wise(model) is answer


def test_texts_are_given_to_a_text_model_as_a_list() -> None:
    texts = ["good day", "bad night", "good night", "bad day"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    for info in (describe(model), describe(model, texts), describe(model, pd.Series(texts, name="text"))):
        schema = InputSchema.of(info, model)
        served = Scorer(model, info, schema)
        for request in (
            {"inputs": ["good day", "bad"]},
            {"instances": ["good day", "bad"]},
            {"columns": ["text"], "data": [["good day"], ["bad"]]},
            [{"text": "good day"}, {"text": "bad"}],
        ):
            payload = read(request, schema)
            np.testing.assert_array_equal(served.predict(payload), model.predict(["good day", "bad"]))
        together = served.predict_many([read({"inputs": ["good day"]}, schema), read({"inputs": ["bad"]}, schema)])
        assert [answer.tolist() for answer in together] == [[1], [0]]


def test_where_there_is_no_signature_the_fitted_model_says_what_it_takes() -> None:
    named = InputSchema.of(describe(None), LinearRegression().fit(X, X["a"]))
    assert (named.names, named.source) == (("a", "b", "c"), "model")
    unnamed = InputSchema.of(describe(None), LinearRegression().fit(X.to_numpy(), X["a"]))
    assert (unnamed.width, unnamed.named) == (3, False)
    assert InputSchema.of(describe(None), object()) == NOTHING


def predictions_of(value: Any) -> Any:
    answer = write_answer(value, None, NOTHING)
    assert answer.media_type == "application/json"
    return json.loads(answer.body, parse_constant=pytest.fail)["predictions"]


@pytest.mark.parametrize("orjson", [True, False])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([1, 2]), [1, 2]),
        (np.array([1.5, np.nan, np.inf]), [1.5, None, None]),
        (np.array([0.1], "float32"), [0.10000000149011612]),
        (np.array([True]), [True]),
        (np.array(["a", "ä"]), ["a", "ä"]),
        (np.array(["a", None, 1, 2.5], dtype=object), ["a", None, 1, 2.5]),
        (np.array([np.int64(3), np.float32(0.5), np.bool_(True), np.str_("x")], dtype=object), [3, 0.5, True, "x"]),
        (np.arange(6).reshape(3, 2)[:, ::-1], [[1, 0], [3, 2], [5, 4]]),
        (np.asfortranarray(np.arange(4.0).reshape(2, 2)), [[0.0, 1.0], [2.0, 3.0]]),
        (np.array(["2024-01-02", "NaT"], "datetime64[ns]"), ["2024-01-02T00:00:00.000000000", None]),
        ([np.array([[0.25, 0.75]]), np.array([[1.0, 0.0]])], [[[0.25, 0.75]], [[1.0, 0.0]]]),
        (pd.DataFrame({"x": [1, 2], "y": [0.5, np.nan]}), [{"x": 1, "y": 0.5}, {"x": 2, "y": None}]),
        (pd.DataFrame({0: [1]}), [{"0": 1}]),
        (pd.DataFrame({"t": [pd.Timestamp("2024-01-02"), pd.NaT]}), [{"t": "2024-01-02T00:00:00"}, {"t": None}]),
        (pd.Series([1, 2], name="y"), [{"y": 1}, {"y": 2}]),
        (sparse.csr_matrix([[0, 1.5]]), [[0.0, 1.5]]),
        (sparse.csr_array([[0, 2]]), [[0, 2]]),
        (np.array([2**70], dtype=object), [2**70]),
        (np.array([b"hi"], dtype=object), ["aGk=\n"]),
        ([1, "a", None], [1, "a", None]),
        (np.float64(2.5), 2.5),
    ],
)
def test_predictions_are_written_as_json(
    value: Any, expected: Any, orjson: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not orjson:
        monkeypatch.setattr(answers, "orjson", None)
    assert predictions_of(value) == expected


def test_predictions_that_no_answer_holds_are_a_failure() -> None:
    with pytest.raises(ScoringFailed, match=r"builtins\.object"):
        write_answer(np.array([object()]), None, NOTHING)


def test_a_sparse_result_too_large_to_be_written_out_is_refused() -> None:
    with pytest.raises(BadInput) as caught:
        write_answer(sparse.csr_matrix((10_000, 1_000_000)), None, NOTHING)
    assert (caught.value.status, caught.value.code) == (413, "too_large")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        (ARROW, ARROW),
        (f"application/json;q=0.5, {ARROW}", ARROW),
        (f"application/json, {ARROW};q=0.9", "application/json"),
        (f"{ARROW};q=0, */*;q=0.1", "application/json"),
        ("text/csv;q=x, application/json;q=0.1", "application/json"),
        ("text/html, text/*;q=0.4", "text/csv"),
        ("image/png", "application/json"),
        ("application/x-parquet", "application/x-parquet"),
    ],
)
def test_the_answer_is_what_the_client_prefers(accept: str | None, media_type: str) -> None:
    assert preferred(accept) == media_type


def test_tables_hold_what_json_holds() -> None:
    values = np.array([[0.25, 0.75], [np.nan, -np.inf]])
    table = pa.ipc.open_stream(write_answer(values, ARROW, NOTHING).body).read_all()
    np.testing.assert_array_equal(table.to_pandas().to_numpy(), values)
    table = parquet.read_table(io.BytesIO(write_answer(values, PARQUET, NOTHING).body))
    assert table.column_names == ["0", "1"]
    assert write_answer(np.array(["a", "b,c"]), "text/csv", NOTHING).body == b'predictions\na\n"b,c"\n'


def test_tables_are_named_by_the_signature_and_by_the_outputs() -> None:
    schema = InputSchema(outputs=(ColumnSpec("double", "price"),))
    assert to_frame(np.array([1.5]), schema).columns.tolist() == ["price"]
    frame = to_frame([np.zeros((2, 2)), np.zeros((2, 1))], NOTHING)
    assert frame.columns.tolist() == ["0_0", "0_1", "1_0"]


def test_what_is_no_table_is_answered_in_json() -> None:
    answer = write_answer(np.zeros((2, 2, 2)), ARROW, NOTHING)
    assert answer.media_type == "application/json"
    answer = write_answer(np.array([1, "a", (1, 2)], dtype=object), ARROW, NOTHING)
    assert answer.media_type == "application/json"
