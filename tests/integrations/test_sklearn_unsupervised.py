"""Models fitted without a target leave behind what they found, by scikit-learn's own numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import metrics as sk
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import DBSCAN, AgglomerativeClustering, FeatureAgglomeration, KMeans, MiniBatchKMeans
from sklearn.covariance import EllipticEnvelope
from sklearn.datasets import load_iris, make_blobs
from sklearn.decomposition import NMF, PCA, LatentDirichletAllocation, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import IsolationForest
from sklearn.manifold import TSNE
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

import autotrack
from autotrack.integrations.sklearn.fitting.unsupervised import silhouette

X, y = load_iris(return_X_y=True)
many, _ = make_blobs(3_000, 4, random_state=0)


def last():
    autotrack.flush()
    return autotrack.get_run("latest")


def training():
    found = last()
    assert not [note for note in found.notes if note.subject == "training metrics"]
    return {n.removeprefix("training_"): v for n, v in found.metrics.items() if n.startswith("training_")}


@settings(deadline=None, max_examples=100)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(3, 40),
    clusters=st.integers(2, 5),
    kind=st.sampled_from(["dense", "sparse", "equal rows"]),
)
def test_the_silhouette_is_scikit_learns(seed, n, clusters, kind):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 3))
    if kind == "equal rows":
        points = np.round(points)
    labels = rng.integers(-1, clusters - 1, n)
    if not 2 <= len(np.unique(labels)) < n:
        return
    data = sparse.csr_matrix(points) if kind == "sparse" else points
    assert silhouette(data, labels) == pytest.approx(sk.silhouette_score(points, labels), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("method", ["fit", "fit_predict"])
@pytest.mark.parametrize("kind", ["array", "frame", "sparse", "list"])
def test_k_means(logged, method, kind):
    data = {"array": X, "frame": pd.DataFrame(X), "sparse": sparse.csr_matrix(X), "list": X.tolist()}[kind]
    model = KMeans(3, n_init=2, random_state=0)
    getattr(model, method)(data)
    found = training()
    assert found["inertia"] == model.inertia_
    assert found["n_clusters"] == 3
    assert found["silhouette_score"] == pytest.approx(sk.silhouette_score(X, model.labels_))
    assert last().metrics["n_iter"] == model.n_iter_


def test_many_rows_are_sampled_and_measured_in_the_background(logged):
    model = MiniBatchKMeans(3, n_init=1, random_state=0).fit(many)
    found = training()
    assert found["silhouette_score"] == pytest.approx(sk.silhouette_score(many[::3], model.labels_[::3]))
    assert last().tags["training_silhouette_rows"] == "1000 of 3000, evenly spaced"


def test_a_pipeline_is_measured_where_its_clusterer_works(logged):
    model = make_pipeline(StandardScaler(), KMeans(3, n_init=1, random_state=0)).fit(X)
    scaled = model[:-1].transform(X)
    assert training()["silhouette_score"] == pytest.approx(sk.silhouette_score(scaled, model[-1].labels_))


def test_noise_is_no_cluster(logged):
    model = DBSCAN(eps=0.4).fit(X)
    found = training()
    assert found["n_clusters"] == len(set(model.labels_)) - 1
    assert found["noise_fraction"] == pytest.approx(np.mean(model.labels_ == -1))
    assert found["silhouette_score"] == pytest.approx(sk.silhouette_score(X, model.labels_))


def test_one_cluster_has_no_silhouette(logged):
    KMeans(1, n_init=1).fit(X)
    assert training()["n_clusters"] == 1
    assert "silhouette_score" not in training()


def test_distances_instead_of_rows_have_no_silhouette_of_rows(logged):
    distances = np.abs(X[:, :1] - X[:, :1].T)
    AgglomerativeClustering(2, metric="precomputed", linkage="average").fit(distances)
    assert training()["n_clusters"] == 2
    assert "silhouette_score" not in training()


def test_groups_of_columns_are_no_clusters_of_rows(logged):
    square = np.random.default_rng(0).normal(size=(6, 6))
    make_pipeline(FeatureAgglomeration(2), KMeans(2, n_init=1)).fit(square)
    assert training()["n_clusters"] == 2
    FeatureAgglomeration(3).fit(square)
    assert "silhouette_score" not in training()


def test_a_mixture_is_labelled_by_its_prediction(logged):
    model = GaussianMixture(3, random_state=0).fit(X)
    found = training()
    assert found["lower_bound"] == pytest.approx(model.lower_bound_)
    assert found["converged"] == 1.0
    assert found["silhouette_score"] == pytest.approx(sk.silhouette_score(X, model.predict(X)))
    assert last().metrics["n_iter"] == model.n_iter_


def test_components_and_the_variance_that_each_explains(logged):
    model = PCA(3).fit(X)
    found = training()
    assert found["explained_variance_ratio"] == pytest.approx(model.explained_variance_ratio_.sum())
    history = last().metric_history("training_explained_variance_ratio_by_component")
    assert [point.step for point in history] == [0, 1, 2]
    assert [point.value for point in history] == pytest.approx(model.explained_variance_ratio_)
    assert found["n_components"] == 3
    make_pipeline(StandardScaler(), TruncatedSVD(2)).fit_transform(X)
    assert 0 < training()["explained_variance_ratio"] <= 1


def test_errors_and_bounds_that_models_carry(logged):
    model = NMF(2, max_iter=1_000).fit(X)
    assert training()["reconstruction_error"] == pytest.approx(model.reconstruction_err_)
    topics = LatentDirichletAllocation(2, max_iter=2, random_state=0).fit(np.round(X))
    assert training()["bound"] == pytest.approx(topics.bound_)
    view = TSNE(2, perplexity=5, max_iter=250) if hasattr(TSNE(), "max_iter") else TSNE(2, perplexity=5, n_iter=250)
    view.fit(X[:40])
    assert training()["kl_divergence"] == pytest.approx(view.kl_divergence_)


def test_a_classifier_that_explains_variance_says_so_beside_its_own_metrics(logged):
    model = LinearDiscriminantAnalysis().fit(X, y)
    found = training()
    assert found["explained_variance_ratio"] == pytest.approx(model.explained_variance_ratio_.sum())
    assert found["accuracy_score"] == pytest.approx(model.score(X, y))
    assert "n_clusters" not in found


OUTLIERS = {
    "forest": IsolationForest(n_estimators=20, contamination=0.1, random_state=0),
    "svm": OneClassSVM(nu=0.1),
    "envelope": EllipticEnvelope(contamination=0.1, random_state=0),
    "factor": LocalOutlierFactor(contamination=0.1),
    "factor of new rows": LocalOutlierFactor(contamination=0.1, novelty=True),
    "pipeline": make_pipeline(StandardScaler(), IsolationForest(n_estimators=20, contamination=0.1, random_state=0)),
}


@pytest.mark.parametrize("name", OUTLIERS)
def test_the_share_of_outliers(logged, name):
    model = OUTLIERS[name].fit(X)
    assert training()["outlier_fraction"] == pytest.approx(0.1, abs=0.05)
    if hasattr(model, "fit_predict"):
        labels = model.fit_predict(X)
        assert training()["outlier_fraction"] == pytest.approx(np.mean(labels == -1))
    assert "n_clusters" not in training()


def test_a_third_partys_clusterer(logged):
    class Halves(ClusterMixin, BaseEstimator):
        """Labels that are numbers in a list, an inertia that is none, another that raises when it is looked at."""

        def fit(self, X, y=None):
            self.labels_ = [int(row[0] > 5.8) for row in np.asarray(X)]
            self.inertia_ = "unknown"
            self.lower_bound_ = [1.0, 2.0]
            self.explained_variance_ratio_ = None
            return self

        def __getattr__(self, name):
            raise AttributeError(name) if name.startswith("__") else LookupError(name)

    Halves().fit(X)
    found = training()
    assert found["n_clusters"] == 2
    assert set(found) == {"n_clusters", "silhouette_score"}


def test_rows_that_are_no_numbers_cost_the_silhouette_only(logged):
    class Texts(ClusterMixin, BaseEstimator):
        def fit(self, X, y=None):
            self.labels_ = np.array([len(text) % 2 for text in X])
            return self

    Texts().fit(["a", "bb", "ccc", "dd"])
    assert training() == {"n_clusters": 2.0}


def test_measuring_leaves_no_trace(logged):
    def fitted():
        np.random.seed(0)
        model = GaussianMixture(2).fit(X)
        return {key: np.asarray(value, dtype=object).tolist() for key, value in vars(model).items()}, np.random.rand()

    with autotrack.disabled():
        bare = fitted()
    assert str(fitted()) == str(bare)
