"""What is found in evaluation data is true, and what is meant so is not complained of."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit, cross_val_score, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, Normalizer, OneHotEncoder, StandardScaler

import autotrack
from autotrack.autologging import _integrations
from autotrack.capture.shared_rows import shared_rows
from autotrack.integrations.sklearn.preparing.data_checks import note_folds

X, y = load_breast_cancer(return_X_y=True)
FRAME = load_breast_cancer(as_frame=True).data
RNG = np.random.default_rng


def checks(run="latest"):
    return {(note.subject, note.message) for note in autotrack.get_run(run).notes if note.kind == "check"}


def findings(subject):
    return [message for about, message in sorted(checks()) if about == subject]


# A transformer that was fitted on data that includes the test rows.


def test_fit_transform_before_the_split(logged):
    X_scaled = StandardScaler().fit_transform(X)
    X_train, X_test, y_train, y_test = train_test_split(X_scaled, y, random_state=0)
    GaussianNB().fit(X_train, y_train).score(X_test, y_test)
    assert checks() == {
        (
            "preprocessing",
            "StandardScaler was fitted before train_test_split on X (569 rows), which includes all 143 rows of X_test: "
            "fit it on the training rows only, or in a pipeline",
        )
    }
    assert "check" in str(autotrack.get_run("latest").capture_report)


def test_fit_before_the_split_and_both_parts_transformed(logged):
    scaler = StandardScaler().fit(FRAME)
    X_train, X_test, y_train, y_test = train_test_split(FRAME, y, random_state=0)
    model = GaussianNB().fit(scaler.transform(X_train), y_train)
    test_scaled = scaler.transform(X_test)
    model.predict(test_scaled)
    model.score(test_scaled, y_test)
    (found,) = findings("preprocessing")
    assert "on FRAME (569 rows), which includes all 143 rows of test_scaled" in found


def test_features_selected_with_the_answers_of_the_test_rows(logged):
    noise, labels = RNG(0).normal(size=(60, 200)), RNG(1).integers(0, 2, 60)
    chosen = SelectKBest(k=5).fit_transform(noise, labels)
    train, test, y_train, y_test = train_test_split(chosen, labels, random_state=0)
    GaussianNB().fit(train, y_train).score(test, y_test)
    (found,) = findings("preprocessing")
    assert found.startswith("SelectKBest was fitted before train_test_split on noise")
    assert "all 15 rows of test, with their targets" in found


def test_each_transformer_of_a_chain_is_named(logged):
    imputed = SimpleImputer().fit_transform(X)
    scaled = MinMaxScaler().fit_transform(imputed)
    reduced = PCA(3).fit_transform(scaled)
    train, test, y_train, y_test = train_test_split(reduced, y, random_state=0)
    GaussianNB().fit(train, y_train).score(test, y_test)
    assert [found.split()[0] for found in findings("preprocessing")] == ["MinMaxScaler", "PCA", "SimpleImputer"]


def test_rows_sliced_in_time_after_scaling_all_of_them(logged):
    series = RNG(0).normal(size=(200, 3)).cumsum(axis=0)
    scaled = StandardScaler().fit_transform(series)
    train, test = scaled[:150], scaled[150:]
    LinearRegression().fit(train, np.arange(150)).score(test, np.arange(50))
    (found,) = findings("preprocessing")
    assert found.startswith("StandardScaler was fitted on series (200 rows), which includes all 50 rows of test:")


def test_validation_rows_that_the_scaler_saw_while_the_test_rows_are_clean(logged):
    rest, X_test, y_rest, y_test = train_test_split(X, y, random_state=0)
    scaler = StandardScaler().fit(rest)
    X_train, X_val, y_train, y_val = train_test_split(rest, y_rest, random_state=1)
    model = GaussianNB().fit(scaler.transform(X_train), y_train)
    test, val = scaler.transform(X_test), scaler.transform(X_val)
    model.score(test, y_test)
    assert checks() == set()
    model.score(val, y_val)
    (found,) = findings("preprocessing")
    assert "on rest (426 rows), which includes all 107 rows of val" in found


def test_texts_vectorised_before_the_split(logged):
    texts = [f"word{i % 7} word{i % 5} text{i}" for i in range(60)]
    vectors = TfidfVectorizer().fit_transform(texts)
    train, test, y_train, y_test = train_test_split(vectors, np.arange(60) % 2, random_state=0)
    LogisticRegression().fit(train, y_train).score(test, y_test)
    (found,) = findings("preprocessing")
    assert "TfidfVectorizer was fitted before train_test_split on texts (60 rows)" in found


def test_a_leak_is_told_once_for_each_data_set(logged):
    train, test, y_train, y_test = train_test_split(StandardScaler().fit_transform(X), y, random_state=0)
    model = GaussianNB().fit(train, y_train)
    for _ in range(3):
        model.predict(test)
        model.score(test, y_test)
    assert len(checks()) == 1


def proper_split(X_train, X_test, y_train, y_test):
    scaler = StandardScaler().fit(X_train)
    GaussianNB().fit(scaler.transform(X_train), y_train).score(scaler.transform(X_test), y_test)


def proper_fit_transform(X_train, X_test, y_train, y_test):
    scaler = StandardScaler()
    model = GaussianNB().fit(scaler.fit_transform(X_train), y_train)
    model.score(scaler.transform(X_test), y_test)


def pipeline(X_train, X_test, y_train, y_test):
    make_pipeline(StandardScaler(), SelectKBest(k=3), GaussianNB()).fit(X_train, y_train).score(X_test, y_test)


def search(X_train, X_test, y_train, y_test):
    model = GridSearchCV(make_pipeline(StandardScaler(), GaussianNB()), {"gaussiannb__var_smoothing": [1e-9, 1e-8]})
    model.fit(X_train, y_train).score(X_test, y_test)


def training_data_again(X_train, X_test, y_train, y_test):
    scaler = StandardScaler()
    scaled = scaler.fit_transform(X_train)
    model = GaussianNB().fit(scaled, y_train)
    model.score(scaled, y_train)
    model.score(scaled.copy(), y_train)
    model.score(scaler.transform(X_train), y_train)
    model.predict(scaled[:20])
    model.predict(scaler.transform(X_train)[:20].copy())


def everything_at_once(X_train, X_test, y_train, y_test):
    whole = np.vstack([X_train, X_test])
    GaussianNB().fit(X_train, y_train).predict(whole)


def refit_on_other_rows(X_train, X_test, y_train, y_test):
    scaler = StandardScaler().fit(X)
    scaler.fit(X_train)
    GaussianNB().fit(scaler.transform(X_train), y_train).score(scaler.transform(X_test), y_test)


def fitted_on_other_rows(X_train, X_test, y_train, y_test):
    scaler = StandardScaler().fit(X_train[:100])
    GaussianNB().fit(scaler.transform(X_train), y_train).score(scaler.transform(X_test), y_test)


def folds_by_hand(X_train, X_test, y_train, y_test):
    for train, test in KFold(3).split(X):
        scaler = StandardScaler().fit(X[train])
        GaussianNB().fit(scaler.transform(X[train]), y[train]).score(scaler.transform(X[test]), y[test])
        assert checks() == set()


def folds_in_time(X_train, X_test, y_train, y_test):
    lags = np.lib.stride_tricks.sliding_window_view(RNG(0).normal(size=300).cumsum(), 6)
    for train, test in TimeSeriesSplit(3).split(lags):
        scaler = StandardScaler().fit(lags[train, :5])
        model = LinearRegression().fit(scaler.transform(lags[train, :5]), lags[train, 5])
        model.score(scaler.transform(lags[test, :5]), lags[test, 5])
        assert checks() == set()


def cross_validation(X_train, X_test, y_train, y_test):
    cross_val_score(make_pipeline(StandardScaler(), GaussianNB()), X, y)
    GaussianNB().fit(X_train, y_train).score(X_test, y_test)


def bootstrap(X_train, X_test, y_train, y_test):
    drawn = RNG(0).integers(0, len(X_train), len(X_train))
    out = np.setdiff1d(np.arange(len(X_train)), drawn)
    GaussianNB().fit(X_train[drawn], y_train[drawn]).score(X_train[out], y_train[out])


def a_buffer_that_is_filled_again(X_train, X_test, y_train, y_test):
    buffer = X_train[: len(X_test)].copy()
    scaler = StandardScaler().fit(buffer)
    model = GaussianNB().fit(scaler.transform(buffer), y_train[: len(buffer)])
    buffer[:] = X_test
    model.score(scaler.transform(buffer), y_test)


def training_data_overwritten_with_test_data(X_train, X_test, y_train, y_test):
    data = X_train[: len(X_test)].copy()
    model = GaussianNB().fit(data, y_train[: len(data)])
    data[10:] = X_test[10:]
    model.score(X_test, y_test)


def fitted_again_inside_a_pipeline(X_train, X_test, y_train, y_test):
    scaler = StandardScaler().fit(X)
    make_pipeline(scaler, GaussianNB()).fit(X_train, y_train)
    GaussianNB().fit(scaler.transform(X_train), y_train).score(scaler.transform(X_test), y_test)


def a_classifier_fitted_again_inside_a_pipeline(X_train, X_test, y_train, y_test):
    model = GaussianNB().fit(X, y)
    make_pipeline(StandardScaler(), model).fit(X_train, y_train)
    model.score(X_test, y_test)


def a_model_fitted_again_inside_a_pipeline(X_train, X_test, y_train, y_test):
    pca = PCA(2).fit(X)
    make_pipeline(pca, GaussianNB()).fit(X_train, y_train)
    GaussianNB().fit(pca.transform(X_train), y_train).score(pca.transform(X_test), y_test)


def fitted_again_where_nobody_looks(X_train, X_test, y_train, y_test):
    prepare = ColumnTransformer([("scale", make_pipeline(SimpleImputer(), StandardScaler()), [0, 1])]).fit(X)
    with autotrack.disabled():
        prepare.fit(X_train)
    GaussianNB().fit(prepare.transform(X_train), y_train).score(prepare.transform(X_test), y_test)


@pytest.mark.parametrize(
    "way",
    [proper_split, proper_fit_transform, pipeline, search, training_data_again, everything_at_once,
     refit_on_other_rows, fitted_on_other_rows, folds_by_hand, folds_in_time, cross_validation, bootstrap,
     fitted_again_inside_a_pipeline, fitted_again_where_nobody_looks, a_model_fitted_again_inside_a_pipeline,
     a_classifier_fitted_again_inside_a_pipeline,
     a_buffer_that_is_filled_again, training_data_overwritten_with_test_data],
)  # fmt: skip
def test_nothing_is_said_where_nothing_is_wrong(logged, way):
    way(*train_test_split(X, y, random_state=0, stratify=y))
    for run in autotrack.search_runs()["run_id"]:
        assert checks(run) == set()


@pytest.mark.parametrize(
    "transformer",
    [FunctionTransformer(np.log1p), Normalizer(), OneHotEncoder(handle_unknown="ignore"),
     SimpleImputer(strategy="constant")],
    ids=lambda transformer: type(transformer).__name__,
)  # fmt: skip
def test_transformers_that_learn_no_values_may_see_everything(logged, transformer):
    data = transformer.fit_transform(X[:, :3])
    train, test, y_train, y_test = train_test_split(data, y, random_state=0)
    DummyClassifier().fit(train, y_train).score(test, y_test)
    assert findings("preprocessing") == []


def test_a_users_transformer_is_asked_whether_it_learnt(logged):
    class Columns(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            self.n_features_in_ = X.shape[1]
            return self

        def transform(self, X):
            return X[:, :5] - getattr(self, "mean_", 0)

    class Centre(Columns):
        def fit(self, X, y=None):
            self.mean_ = X[:, :5].mean(axis=0)
            return self

    for cls, count in ((Columns, 0), (Centre, 1)):
        train, test, y_train, y_test = train_test_split(cls().fit_transform(X), y, random_state=0)
        GaussianNB().fit(train, y_train).score(test, y_test)
        assert len(findings("preprocessing")) == count


def test_data_that_the_call_computes_has_no_name(logged):
    scaler = StandardScaler().fit(X)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    GaussianNB().fit(scaler.transform(X_train), y_train).score(scaler.transform(X_test), y_test)
    (found,) = findings("preprocessing")
    assert "which includes all 143 rows of the evaluation data: fit it" in found


def test_a_search_over_features_selected_with_all_answers(logged):
    scaled = StandardScaler().fit_transform(X)
    chosen = SelectKBest(k=5).fit_transform(scaled, y)
    GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-8]}).fit(chosen, y)
    assert findings("preprocessing") == [
        "SelectKBest was fitted on scaled (569 rows), which includes the test rows of each fold of chosen, with their "
        "targets: put it into a pipeline, and it is fitted in each fold"
    ]


def test_cross_validation_of_data_that_was_scaled_with_its_test_rows(logged):
    X_scaled = StandardScaler().fit_transform(X)
    cross_val_score(GaussianNB(), X_scaled, y, cv=3)
    assert autotrack.get_run("latest").tags["preprocessing"] == "StandardScaler"
    assert "preprocessing.json" in autotrack.get_run("latest").artifacts
    assert findings("preprocessing") == [
        "StandardScaler was fitted on X (569 rows), which includes the test rows of each fold of X_scaled: put it into "
        "a pipeline, and it is fitted in each fold"
    ]


def test_folds_of_data_that_a_transformer_was_fitted_on(logged):
    (integration,) = (i for i in _integrations if i.name == "sklearn")
    lineage = integration.memory.preparation.lineage
    scaler = StandardScaler().fit(X)
    whole, parts = scaler.transform(X), train_test_split(X, y, random_state=0)
    part, other = scaler.transform(parts[0]), StandardScaler().fit(parts[1]).transform(parts[0])
    with autotrack.start_run() as run:
        for name, data in (("whole", whole), ("part", part), ("other", other), ("raw", X), ("unknown", X + 1)):
            note_folds(integration.memory.session.current_run(), lineage.of(data), name)
    assert [found.partition("fold of ")[2].partition(":")[0] for found in findings("preprocessing")] == [
        "part",
        "whole",
    ]
    assert run is not None


def test_without_fingerprints_nothing_is_checked(store):
    autotrack.autolog(store=store, log_datasets=False)
    train, test, y_train, y_test = train_test_split(StandardScaler().fit_transform(X), y, random_state=0)
    GaussianNB().fit(train, y_train).score(test, y_test)
    assert checks() == set()


# Rows of the test data that also stand in the training data.


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, lambda a: pd.DataFrame(a).astype("float32")])
def test_rows_in_both(logged, kind):
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0)
    X_test = np.vstack([X_test[37:], X_train[:37]])
    X_train, X_test = kind(X_train), kind(X_test)
    GaussianNB().fit(X_train, y_train).score(X_test, y_test)
    assert checks() == {
        (
            "shared rows",
            "37 of 114 rows of X_test also stand in X_train (the same values in all 30 columns)",
        )
    }


def test_copies_made_before_the_split(logged):
    doubled = np.vstack([X, X + 1e-3, X[:100]])
    labels = np.concatenate([y, y, y[:100]])
    X_train, X_test, y_train, y_test = train_test_split(doubled[::-1][:700].copy(), labels[::-1][:700], random_state=0)
    GaussianNB().fit(X_train, y_train).score(X_test, y_test)
    assert findings("shared rows") == []  # of the first 700 rows, none is there twice
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    GaussianNB().fit(np.vstack([X_train, X_test[:60]]), np.concatenate([y_train, y_test[:60]]))
    seen = np.vstack([X_train, X_test[:60]])
    model = GaussianNB().fit(seen, np.concatenate([y_train, y_test[:60]]))
    model.score(X_test, y_test)
    assert findings("shared rows") == [
        "60 of 143 rows of X_test also stand in seen (the same values in all 30 columns)"
    ]


def test_frames_of_mixed_types(logged):
    rng = RNG(0)
    frame = pd.DataFrame(
        {
            "price": rng.normal(size=300),
            "size": rng.integers(0, 10**6, 300),
            "town": pd.Categorical(rng.choice(["a", "b"], 300)),
            "note": [f"note {i}" for i in range(300)],
            "seen": pd.date_range("2024-01-01", periods=300),
        }
    )
    frame.loc[3, "price"] = np.nan
    train, test = frame.iloc[:200].copy(), frame.iloc[170:].copy().reset_index(drop=True)
    model = make_pipeline(FunctionTransformer(lambda f: f[["size"]]), Ridge()).fit(train, np.arange(200))
    model.score(test, np.arange(130))
    assert findings("shared rows") == ["30 of 130 rows of test also stand in train (the same values in all 5 columns)"]


def test_texts_in_a_series(logged):
    texts = pd.Series([f"text number {i}" for i in range(100)])
    train, test = texts[:80].copy(), texts[60:].copy()
    make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(train, np.arange(80) % 2).predict(test)
    assert findings("shared rows") == ["20 of 40 rows of test also stand in train (the same values in its column)"]


def test_a_test_part_of_the_data_that_was_fitted(logged):
    _, X_test, _, y_test = train_test_split(X, y, random_state=0)
    GaussianNB().fit(X, y).score(X_test, y_test)
    assert checks() == {("shared rows", "all 143 rows of X_test are among the rows of X that the model was fitted on")}


@pytest.mark.parametrize(
    "data",
    [
        RNG(0).integers(0, 2, (600, 6)),
        RNG(0).integers(0, 4, (600, 5)).astype(float),
        load_iris().data,
        np.round(RNG(0).normal(size=(600, 2)), 1),
        np.repeat(RNG(0).normal(size=(60, 5)), 10, axis=0),
        np.zeros((600, 3)),
        np.arange(600.0)[:, None] % 97,
    ],
)
def test_rows_that_repeat_as_a_matter_of_course(logged, data):
    labels = np.arange(len(data)) % 2
    for seed in range(3):
        train, test, y_train, y_test = train_test_split(data, labels, random_state=seed)
        RandomForestClassifier(2, random_state=0).fit(train, y_train).score(test, y_test)
        assert findings("shared rows") == []


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_tiny_sets(logged, rows):
    train, test = X[:rows].copy(), X[rows : 2 * rows].copy()
    DummyClassifier().fit(train, y[:rows]).predict(test)
    assert checks() == set()


@pytest.mark.parametrize("seed", range(20))
def test_a_few_rows_equal_by_chance_are_not_told(seed):
    # A handful of collisions between sets that hardly repeat themselves: a space of 20,000 different rows.
    drawn = RNG(seed).integers(0, 20_000, 560)
    table = np.column_stack([drawn // 200, drawn % 200]).astype(float)
    assert shared_rows(table[:420], table[420:]) is None


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 3000),
    m=st.integers(0, 1500),
    planted=st.integers(0, 400),
    columns=st.integers(1, 40),
    order=st.sampled_from("CF"),
    dtype=st.sampled_from(["float64", "float32", "int64", "int8", "bool"]),
    framed=st.booleans(),
    missing=st.booleans(),
)
def test_the_count_is_never_above_the_truth(seed, n, m, planted, columns, order, dtype, framed, missing):
    rng = RNG(seed)
    scale = rng.choice([1, 30, 1e6])
    train = (rng.normal(size=(n, columns)) * scale).astype(dtype)
    test = (rng.normal(size=(m, columns)) * scale).astype(dtype)
    if missing and dtype[0] == "f":
        train[rng.random(train.shape) < 0.1] = np.nan
    planted = min(planted, n, m)
    test[:planted] = train[:planted]
    test = test[rng.permutation(m)]
    truth = {row.tobytes() for row in train}
    true_count = sum(row.tobytes() in truth for row in test)
    train, test = np.array(train, order=order), np.array(test, order=order)
    found = shared_rows(*map(pd.DataFrame, (train, test))) if framed else shared_rows(train, test)
    if found is not None:
        assert 2 <= found.count <= true_count
        assert (found.total, found.columns) == (m, columns)
        if found.all_seen:
            assert found.count == true_count
    elif (
        dtype[0] == "f"
        and 200 <= n <= 256
        and planted >= 20
        and m - planted >= 20
        and planted < 0.9 * n
        and columns > 1
    ):
        raise AssertionError("planted rows were not found")


@pytest.mark.parametrize("columns", [2, 30, 400])
def test_large_tables_are_sampled(columns):
    rng = RNG(0)
    train = rng.normal(size=(30_000, columns)).astype("float32")
    test = rng.normal(size=(9_000, columns)).astype("float32")
    test[::3] = train[: len(test[::3])]
    found = shared_rows(train, test)
    assert 0 < found.count <= 3_000
    assert not found.all_seen
    assert shared_rows(train, rng.normal(size=(9_000, columns)).astype("float32")) is None
    labels = np.where(train[:, 0] > 0, "a", "b")
    frame, other = (pd.DataFrame(part).assign(label=labels[: len(part)]) for part in (train, test))
    assert shared_rows(frame, other).columns == columns + 1


def test_the_sample_is_told_as_a_lower_bound(logged):
    rng = RNG(0)
    train = rng.normal(size=(20_000, 10))
    test = np.vstack([train[:2_000], rng.normal(size=(3_000, 10))])
    LinearRegression().fit(train, train[:, 0]).predict(test)
    (found,) = findings("shared rows")
    told = re.fullmatch(
        r"at least (\S+) of 5,000 rows of test also stand in train \(the same values in all 10 .*", found
    )
    assert 10 < int(told[1].replace(",", "")) <= 2_000


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (np.zeros((9, 2)), np.zeros((9, 3))),
        (np.zeros((9, 2)), np.zeros((9, 2), "int64")),
        (np.zeros((9, 2), "complex128"), np.zeros((9, 2), "complex128")),
        (np.zeros((9, 2), object), np.zeros((9, 2), object)),
        (np.zeros((9, 2, 2)), np.zeros((9, 2, 2))),
        ([[1.0]], [[1.0]]),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
        (pd.DataFrame(index=[1, 2]), pd.DataFrame(index=[1, 2])),
        (pd.DataFrame({"a": [[1], [2], [3]]}), pd.DataFrame({"a": [[1], [2], [4]]})),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame([[1, 2]], columns=["a", "a"])),
        (None, "text"),
    ],
)
def test_tables_that_cannot_be_compared(train, test):
    assert shared_rows(train, test) is None


def test_a_selector_that_asks_for_no_target_saw_none(logged):
    data = VarianceThreshold().fit_transform(X, y)
    X_train, X_test, y_train, y_test = train_test_split(data, y, random_state=0)
    GaussianNB().fit(X_train, y_train).score(X_test, y_test)
    (found,) = findings("preprocessing")
    assert found.startswith("VarianceThreshold was fitted before train_test_split")
    assert "targets" not in found
