"""What data went through before the fit stands on the model's run, where it is known for certain."""

from __future__ import annotations

import gc
import json
import warnings
import weakref

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, LabelEncoder, MinMaxScaler, OneHotEncoder, StandardScaler

import autotrack
from autotrack.autologging import _integrations
from autotrack.integrations.sklearn.preparing.lineage import PART, SAME, Layout, Lineage, Made

X, y = load_iris(return_X_y=True)
FRAME = pd.DataFrame(X, columns=["a", "b", "c", "d"])
MODEL = LogisticRegression(max_iter=1000)
TEXTS = ["good film", "bad film", "good plot", "bad plot", "fine", "poor"] * 6
ANSWERS = [1, 0] * 18


def latest():
    return autotrack.get_run("latest")


def details(run=None):
    run = run or latest()
    return json.loads(run.artifact_path("preprocessing.json").read_text())


def chain():
    return latest().tags.get("preprocessing")


def test_a_transformer_makes_no_run_and_the_model_names_it_with_its_params(logged):
    X_train = X[::2].copy()
    X_scaled = StandardScaler(with_mean=False).fit_transform(X_train)
    MODEL.fit(X_scaled, y[::2])
    assert len(autotrack.search_runs()) == 1
    assert chain() == "StandardScaler"
    assert details() == {
        "version": 1,
        "steps": [
            {
                "step": "StandardScaler",
                "class": "sklearn.preprocessing._data.StandardScaler",
                "method": "fit_transform",
                "params": {"copy": "True", "with_mean": "False", "with_std": "True"},
                "fitted_on": {"data": "X_train", "shape": [75, 4]},
                "shape_in": [75, 4],
                "shape_out": [75, 4],
            }
        ],
    }


def test_a_chain_is_in_its_order_and_can_be_searched_for(logged):
    imputed = SimpleImputer().fit_transform(X)
    scaler = StandardScaler().fit(imputed)
    chosen = SelectKBest(k=2).fit(scaler.transform(imputed), y)
    MODEL.fit(chosen.transform(scaler.transform(imputed)), y)
    assert chain() == "SimpleImputer → StandardScaler → SelectKBest"
    assert [step["method"] for step in details()["steps"]] == ["fit_transform", "transform", "transform"]
    assert details()["steps"][-1]["shape_out"] == [150, 2]
    assert len(autotrack.search_runs("tags.preprocessing LIKE '%Scaler%'")) == 1


def test_the_split_is_a_tag(logged):
    X_train, _, y_train, _ = train_test_split(X, y, test_size=0.2, random_state=7, stratify=y)
    MODEL.fit(X_train, y_train)
    assert latest().tags["train_test_split"] == "test_size=0.2, random_state=7, stratified"
    assert "preprocessing" not in latest().tags
    scaler = StandardScaler().fit(X_train)
    MODEL.fit(scaler.transform(X_train), y_train)
    first, second = details()["steps"]
    assert first == {
        "step": "train_test_split",
        "part": "train",
        "test_size": 0.2,
        "train_size": None,
        "random_state": 7,
        "shuffle": True,
        "stratified": True,
        "n_train": 120,
        "n_test": 30,
        "data": "X",
        "shape_in": [150, 4],
        "shape_out": [120, 4],
    }
    assert second["fitted_on"]["data"] == "X_train"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "test_size=0.25"),
        ({"train_size": 100, "random_state": np.int64(3)}, "train_size=100, random_state=3"),
        ({"test_size": np.float64(0.5), "shuffle": False}, "test_size=0.5, not shuffled"),
        ({"random_state": np.random.RandomState(0)}, "test_size=0.25, random_state=RandomState"),
    ],
)
def test_a_split_is_told_as_it_was_asked_for(logged, options, said):
    parts = train_test_split(X, y, **options)
    LinearRegression().fit(parts[0], parts[2])
    assert latest().tags["train_test_split"] == said


def test_splits_of_splits_are_both_told(logged):
    rest, _, y_rest, _ = train_test_split(X, y, test_size=0.2, random_state=0)
    X_train, _, y_train, _ = train_test_split(rest, y_rest, test_size=0.25, random_state=1)
    MODEL.fit(X_train, y_train)
    assert latest().tags["train_test_split"] == "test_size=0.2, random_state=0; test_size=0.25, random_state=1"


@pytest.mark.parametrize(
    "cut",
    [
        lambda out: out,
        lambda out: out[:, 1:],
        lambda out: out[:100],
        lambda out: out[::-1],
        lambda out: out[:, ::2],
        lambda out: np.asarray(out),
        lambda out: out.view(),
        lambda out: pd.DataFrame(out, copy=False),
    ],
)
def test_views_are_followed(logged, cut):
    out = StandardScaler().fit_transform(X)
    seen = cut(out)
    LinearRegression().fit(seen, y[: len(seen)])
    assert chain() == "StandardScaler"


@pytest.mark.parametrize(
    "cut", [lambda f: f, lambda f: f.to_numpy(), lambda f: f.iloc[:100], lambda f: f.values[:, 1:]]
)
def test_frames_are_followed(logged, cut):
    out = StandardScaler().set_output(transform="pandas").fit_transform(FRAME)
    seen = cut(out)
    LinearRegression().fit(seen, y[: len(seen)])
    assert chain() == "StandardScaler"


@pytest.mark.parametrize(
    "other",
    [
        lambda out: out.copy(),
        lambda out: out + 0,
        lambda out: out[[*range(100)]],
        lambda out: out.T[:4].reshape(150, 4),
        lambda out: np.hstack([out, out]),
        lambda out: X,
        lambda out: X[:100],
    ],
)
def test_what_cannot_be_proved_is_not_claimed(logged, other):
    seen = other(StandardScaler().fit_transform(X))
    LinearRegression().fit(seen, y[: len(seen)])
    assert chain() is None


def test_a_refitted_transformer_is_another_one(logged):
    scaler = MinMaxScaler()
    first = scaler.fit_transform(X)
    scaler.set_params(feature_range=(0, 2))
    second = scaler.fit_transform(X)
    MODEL.fit(first, y)
    assert details()["steps"][0]["params"]["feature_range"] == "(0, 1)"
    MODEL.fit(second, y)
    assert details()["steps"][0]["params"]["feature_range"] == "(0, 2)"


def test_transforming_in_place_is_seen(logged):
    data = X.copy()
    StandardScaler(copy=False).fit_transform(data)
    LinearRegression().fit(data[:, :2], y)
    assert chain() == "StandardScaler"


def test_what_a_function_passes_on_keeps_its_own_memory_apart(logged):
    data = X.copy()
    FunctionTransformer(lambda rows: rows[:, :2]).fit_transform(data)
    LinearRegression().fit(data[:, :1], y)
    assert chain() is None


def test_composed_transformers_are_named_by_their_parts(logged):
    numbers = make_pipeline(SimpleImputer(), FunctionTransformer(np.log1p))
    prepare = ColumnTransformer(
        [("num", numbers, ["a", "b"]), ("cat", OneHotEncoder(), ["d"]), ("rest", "passthrough", ["c"])]
    )
    MODEL.fit(prepare.fit_transform(FRAME), y)
    assert chain() == (
        "ColumnTransformer(num: SimpleImputer → FunctionTransformer(log1p), cat: OneHotEncoder, rest: passthrough)"
    )
    assert details()["steps"][0]["params"]["num__simpleimputer__strategy"] == "mean"


def test_a_pipeline_that_only_prepares_is_one_step(logged):
    MODEL.fit(make_pipeline(SimpleImputer(), StandardScaler()).fit_transform(X), y)
    assert chain() == "SimpleImputer → StandardScaler"


def test_a_transformer_that_is_a_model_is_named_with_its_run(logged):
    scaled = StandardScaler().fit_transform(X)
    pca = PCA(2).fit(scaled)
    pca_run = latest()
    assert pca_run.tags["preprocessing"] == "StandardScaler"
    MODEL.fit(pca.transform(scaled), y)
    assert chain() == "StandardScaler → PCA"
    assert details()["steps"][1]["run_id"] == pca_run.run_id
    MODEL.fit(KMeans(3, n_init=1, random_state=0).fit_transform(scaled), y)
    assert chain() == "StandardScaler → KMeans"


def test_texts_in_lists_and_sparse_matrices_are_followed(logged):
    train, _, y_train, _ = train_test_split(TEXTS, ANSWERS, random_state=0)
    counts = CountVectorizer().fit_transform(train)
    assert sparse.issparse(counts)
    MODEL.fit(TfidfTransformer().fit_transform(counts), y_train)
    assert chain() == "CountVectorizer → TfidfTransformer"
    assert details()["steps"][0]["step"] == "train_test_split"
    assert latest().tags["train_test_split"] == "test_size=0.25, random_state=0"


def test_a_list_that_was_changed_is_another_one(logged):
    train, _, y_train, _ = train_test_split(TEXTS, ANSWERS, random_state=0)
    train[0] = "another text"
    MODEL.fit(TfidfVectorizer().fit_transform(train), y_train)
    assert chain() == "TfidfVectorizer"
    assert "train_test_split" not in latest().tags


def test_an_encoded_target_is_told_apart_from_the_data(logged):
    encoded = LabelEncoder().fit_transform(np.array(["x", "y", "z"])[y])
    MODEL.fit(X, encoded)
    assert chain() is None
    assert details()["steps"] == []
    assert [step["step"] for step in details()["target"]] == ["LabelEncoder"]


def test_a_users_own_transformer_and_one_fitted_elsewhere(logged):
    class Shift(TransformerMixin, BaseEstimator):
        def __init__(self, by=1, inner=None):
            self.by = by
            self.inner = inner

        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return X + self.by

    with autotrack.disabled():
        shift = Shift(by=3, inner=StandardScaler(with_std=False)).fit(X)
    MODEL.fit(shift.transform(X), y)
    (step,) = details()["steps"]
    assert step["params"]["inner__with_std"] == "False"
    assert step["params"]["by"] == "3"
    assert "fitted_on" not in step


def test_transformers_without_attributes_or_with_odd_ones(logged):
    class Slotted(TransformerMixin, BaseEstimator):
        __slots__ = ("by",)

        def __init__(self, by=1):
            self.by = by

        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return X * self.by

    class Odd(Slotted):
        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            raise KeyError(name)

    class Given(Slotted):
        def __init__(self, by=1, steps=()):
            super().__init__(by)
            self.steps = steps

    data = Slotted(2).fit(X).transform(X)
    with autotrack.disabled():
        odd = Odd(3)
        odd.fit(X)
    data = odd.transform(data)
    data = Given(4, steps=[("a", 3), ("b", None, 2), 5]).fit(data).transform(data)
    MODEL.fit(data, y)
    assert chain().startswith("Slotted → Odd → ")


def test_resampled_rows_name_what_made_them(logged):
    class Twice(BaseEstimator):
        def __init__(self, times=2):
            self.times = times

        def fit_resample(self, X, y):
            return np.repeat(X, self.times, axis=0), np.repeat(y, self.times)

    X_train, _, y_train, _ = train_test_split(StandardScaler().fit_transform(X), y, random_state=0)
    X_more, y_more = Twice().fit_resample(X_train, y_train)
    MODEL.fit(X_more, y_more)
    assert chain() == "StandardScaler → Twice"
    assert details()["steps"][-1]["method"] == "fit_resample"
    assert [step["step"] for step in details()["target"]] == ["train_test_split", "Twice"]


def test_inside_disabled_nothing_is_remembered(logged):
    with autotrack.disabled():
        scaled = StandardScaler().fit_transform(X)
        parts = train_test_split(scaled, y)
    MODEL.fit(parts[0], parts[2])
    assert chain() is None
    assert "train_test_split" not in latest().tags


def test_lineage_is_told_without_fingerprints_too(store):
    autotrack.autolog(store=store, log_datasets=False)
    MODEL.fit(StandardScaler().fit_transform(X), y)
    assert chain() == "StandardScaler"


def test_a_failing_transformer_fails_as_ever(logged):
    with pytest.raises(ValueError, match="could not convert"):
        StandardScaler().fit_transform([["a"]])
    with pytest.raises(ValueError, match="At least one array"):
        train_test_split()
    with pytest.raises(ValueError, match="inconsistent"):
        train_test_split(X, y[:5])


def test_the_results_are_the_same_objects_of_the_same_types(logged):
    parts = train_test_split(FRAME, y, random_state=0)
    with autotrack.disabled():
        bare = train_test_split(FRAME, y, random_state=0)
    assert [type(part) for part in parts] == [type(part) for part in bare]
    for part, other in zip(parts, bare, strict=True):
        assert np.array_equal(part, other)


def test_nothing_is_kept_alive(logged):
    data = X.copy()
    frame = FRAME.copy()
    scaler, framed = StandardScaler(), StandardScaler().set_output(transform="pandas")
    outputs = [scaler.fit_transform(data), framed.fit_transform(frame), *train_test_split(data, frame)]
    outputs.append(sparse.csr_matrix(outputs[0]))
    TfidfTransformer().fit_transform(outputs[-1])
    model = LogisticRegression(max_iter=1000).fit(outputs[0], y)
    model.predict(outputs[0][:50])
    autotrack.flush()
    held = [weakref.ref(thing) for thing in (data, frame, scaler, framed, model, *outputs)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        del data, frame, scaler, framed, outputs, model
    gc.collect()
    assert [reference() for reference in held] == [None] * len(held)
    (integration,) = (i for i in _integrations if i.name == "sklearn")
    lineage = integration.memory.preparation.lineage
    assert not lineage._views
    assert not lineage._objects._links


def test_ids_that_are_used_again_mislead_nobody(logged):
    scaler, plain = StandardScaler().fit(X), FunctionTransformer()
    (integration,) = (i for i in _integrations if i.name == "sklearn")
    lineage = integration.memory.preparation.lineage
    again = 0
    for turn in range(300):
        out = scaler.transform(X[: 10 + turn % 3])
        assert lineage.of(out).by.label == "StandardScaler"
        gone = id(out)
        del out
        kept = []  # what is kept makes the allocator give out the next place, until it is the one that was given up
        while len(kept) < 100 and (not kept or id(kept[-1]) != gone):
            kept.append(np.empty((10 + turn % 3, 4)))
            assert lineage.of(kept[-1]) is None
            assert lineage.of(kept[-1][2:]) is None
        again += id(kept[-1]) == gone
    assert again > 20
    assert plain is not None
    assert len(lineage._objects._links) < 10
    assert not lineage._views


def test_a_loop_that_transforms_its_own_output_does_not_grow(logged):
    data = X
    scaler = StandardScaler()
    for _ in range(200):
        data = scaler.fit_transform(data)
    (integration,) = (i for i in _integrations if i.name == "sklearn")
    made = integration.memory.preparation.lineage.of(data)
    count, stack, known = 0, [made], set()
    while stack:
        node = stack.pop()
        if node is None or id(node) in known:
            continue
        known.add(id(node))
        count += 1
        stack += [node.of, getattr(node.by, "on", None)]
    assert count < 100


def test_which_rows_a_view_holds_is_told_from_its_place_in_memory():
    for array in (np.zeros((10, 4)), np.zeros((10, 4), order="F"), np.zeros((20, 9))[::2, 1:5]):
        layout = Layout(array)
        assert layout.rows(array[:]) == SAME
        assert layout.rows(array[:, 1:3]) == SAME
        assert layout.rows(array[:, 2]) == SAME
        assert layout.rows(array[:, ::-1]) in (SAME, "")
        assert layout.rows(array[3:]) == PART
        assert layout.rows(array[::3, 1:]) == PART
        assert layout.rows(array[::-1]) == PART
        assert layout.rows(array.T) == ""
        assert layout.rows(array[0]) == ""
        assert layout.rows(array[2:3]) == PART
    whole = np.zeros((10, 8))
    assert Layout(whole[:, :4]).rows(whole[:5, 4:]) == ""
    assert Layout(whole[:, :4]).rows(whole[:5, 2:6]) == ""


def test_a_thing_written_to_since_is_of_unknown_rows():
    lineage, data = Lineage(), X.copy()
    before = lineage.source(data, "data")
    assert lineage.of(data) is before
    assert lineage.of(data[:, 1:]).within(before)
    data[:] = data[::-1].copy()
    after = lineage.of(data)
    assert after.of is before
    assert not after.within(before)
    with_nan = np.array([[np.nan, 1.0], [2.0, np.nan]])
    made = lineage.source(with_nan)
    assert lineage.of(with_nan) is made


def test_rows_within_rows():
    table = Made(shape=(10, 2))
    scaled = Made(table, None, "transform", (10, 2), rows=SAME)
    part = Made(scaled, None, "test", (3, 2), rows=PART)
    other = Made(scaled, None, "train", (7, 2), rows=PART)
    lost = Made(part, None, "transform", (3, 2))
    assert scaled.within(table)
    assert table.within(scaled)
    assert part.within(table)
    assert part.within(scaled)
    assert not table.within(part)
    assert not part.within(other)
    assert not lost.within(table)
    assert lost.within(lost)
