"""A straight line, a sparse one and a small net, one after another, with what they warn about."""

import warnings

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LinearRegression
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor

X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=3)

linear = LinearRegression().fit(X_train, y_train)
guess = linear.predict(X_test)
print("linear", round(r2_score(y_test, guess), 4), round(np.sqrt(mean_squared_error(y_test, guess)), 3))

sparse = TransformedTargetRegressor(Lasso(alpha=0.002), func=np.log, inverse_func=np.exp)
sparse.fit(X_train, y_train)
print("lasso on logarithms", round(mean_absolute_error(y_test, sparse.predict(X_test)), 3))

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    net = MLPRegressor(hidden_layer_sizes=(16,), max_iter=30, random_state=0).fit(X_train, y_train)
print("net", round(net.score(X_test, y_test), 4))

try:
    LinearRegression().fit(np.where(X_train > 0.15, np.nan, X_train), y_train)
except ValueError as error:
    print("not with gaps:", str(error).splitlines()[0])
