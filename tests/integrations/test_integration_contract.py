"""Both integrations keep to the contract."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from autotrack.integrations.matplotlib import Matplotlib
from autotrack.integrations.sklearn import Sklearn
from autotrack.testing import IntegrationContract

X, y = load_iris(return_X_y=True)


class TestSklearn(IntegrationContract):
    integration = Sklearn

    def exercise(self):
        return LogisticRegression(max_iter=200).fit(X, y).predict_proba(X).tolist()


class TestMatplotlib(IntegrationContract):
    integration = Matplotlib
    makes_a_run = False

    def exercise(self):
        figure, axes = plt.subplots()
        axes.plot([1, 2])
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        plt.close(figure)
        return len(buffer.getvalue())
