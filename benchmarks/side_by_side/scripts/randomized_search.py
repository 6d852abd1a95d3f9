"""Six draws instead of a grid: a boosted regressor, its parameters from distributions."""

from scipy.stats import loguniform, randint
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import KFold, RandomizedSearchCV, train_test_split

X, y = load_diabetes(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42)

search = RandomizedSearchCV(
    GradientBoostingRegressor(n_estimators=40, random_state=0),
    {
        "learning_rate": loguniform(0.01, 0.3),
        "max_depth": randint(1, 5),
        "subsample": [0.6, 0.8, 1.0],
    },
    n_iter=7,
    scoring="neg_mean_absolute_error",
    cv=KFold(3, shuffle=True, random_state=0),
    random_state=0,
)
search.fit(X_train, y_train)
print(search.best_params_, round(search.best_score_, 3))

best = search.best_estimator_
print("MAE", round(mean_absolute_error(y_test, search.predict(X_test)), 3), "R2", round(best.score(X_test, y_test), 4))
