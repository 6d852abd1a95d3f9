"""A script that records runs for the pages to show: python recorded_runs.py FOLDER."""

from __future__ import annotations

import sys

from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    r2_score,
    roc_auc_score,
    roc_curve,
    root_mean_squared_error,
)
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import autotrack

REGISTERED = "tumours"


def classifiers() -> None:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    models = [
        make_pipeline(StandardScaler(), LogisticRegression(C=0.01)),
        make_pipeline(StandardScaler(), LogisticRegression(C=10.0)),
        RandomForestClassifier(n_estimators=8, max_depth=3, random_state=0),
    ]
    for model in models:
        model.fit(X_train, y_train)
        predicted, scores = model.predict(X_test), model.predict_proba(X_test)[:, 1]
        accuracy_score(y_test, predicted)
        f1_score(y_test, predicted)
        roc_auc_score(y_test, scores)
        roc_curve(y_test, scores)
        precision_recall_curve(y_test, scores)
        confusion_matrix(y_test, predicted)
    for iterations in (8, 12):  # what they lose is kept step by step
        MLPClassifier((4,), max_iter=iterations, random_state=0).fit(X_train / X_train.max(), y_train)


def regressors() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    for alpha in (0.1, 1.0):
        predicted = Ridge(alpha=alpha).fit(X_train, y_train).predict(X_test)
        r2_score(y_test, predicted)
        root_mean_squared_error(y_test, predicted)


def search() -> None:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=120, test_size=100, random_state=0)
    grid = {"svc__C": [0.1, 1, 10], "svc__gamma": [0.001, 0.01, 0.1, 1.0]}
    found = GridSearchCV(make_pipeline(StandardScaler(), SVC()), grid, cv=3).fit(X_train, y_train)
    accuracy_score(y_test, found.predict(X_test))


def main(folder: str) -> None:
    autotrack.autolog(store=folder, log_models=False, silent=True)
    classifiers()
    regressors()
    try:
        Ridge().fit([[1.0], [2.0]], [1.0])
    except ValueError:
        pass
    autotrack.autolog(store=folder, registered_model_name=REGISTERED, silent=True)
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    RandomForestClassifier(n_estimators=5, random_state=1).fit(X, y)
    autotrack.autolog(store=folder, experiment="searches", log_models=False, silent=True)
    search()
    autotrack.flush()


if __name__ == "__main__":
    main(sys.argv[1])
