"""Estimators of one's own: a nearest-centre classifier, alone and in a pipeline, and a small subclass."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline


class NearestCentre(ClassifierMixin, BaseEstimator):
    def __init__(self, power=2.0):
        self.power = power

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.centres_ = np.stack([X[y == label].mean(axis=0) for label in self.classes_])
        return self

    def predict(self, X):
        distance = (np.abs(X[:, None, :] - self.centres_[None]) ** self.power).sum(axis=2)
        return self.classes_[distance.argmin(axis=1)]


class Ratios(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.column_stack([X, X[:, 0] / X[:, 1], X[:, 2] / X[:, 3]])


class Cautious(LogisticRegression):
    """Says no class where none is likely."""

    def decide(self, X, least=0.8):
        probability = self.predict_proba(X)
        return np.where(probability.max(axis=1) < least, -1, probability.argmax(axis=1))


X, y = load_iris(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=4)

own = NearestCentre(power=1.5).fit(X_train, y_train)
print("own", round(accuracy_score(y_test, own.predict(X_test)), 4))

piped = make_pipeline(Ratios(), NearestCentre())
piped.fit(X_train, y_train)
print("piped", round(piped.score(X_test, y_test), 4))

cautious = Cautious(max_iter=500).fit(X_train, y_train)
print("cautious", int((cautious.decide(X_test) == -1).sum()), round(cautious.score(X_test, y_test), 4))
