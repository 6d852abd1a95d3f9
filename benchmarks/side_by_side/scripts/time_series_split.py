"""Tomorrow from the last days: lagged values, folds that never look ahead, a model per fold."""

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, mean_squared_error
from sklearn.model_selection import TimeSeriesSplit

rng = np.random.default_rng(12)
days = pd.date_range("2024-01-01", periods=420, freq="D")
season = 10 * np.sin(2 * np.pi * np.arange(420) / 7) + 0.02 * np.arange(420)
demand = pd.Series(100 + season + rng.normal(0, 2, 420), index=days, name="demand")

table = pd.DataFrame({f"lag_{lag}": demand.shift(lag) for lag in (1, 2, 7, 14)})
table["weekday"] = days.day_of_week
table = table.assign(demand=demand).dropna()
features, target = table.drop(columns="demand"), table["demand"]

errors = []
for number, (past, future) in enumerate(TimeSeriesSplit(n_splits=3).split(features)):
    model = Ridge(alpha=0.5)
    model.fit(features.iloc[past], target.iloc[past])
    X_future, y_future = features.iloc[future], target.iloc[future]
    forecast = model.predict(X_future)
    errors.append(mean_absolute_error(y_future, forecast))
    print(number, round(errors[-1], 4), round(mean_squared_error(y_future, forecast) ** 0.5, 4))
print("mean", round(float(np.mean(errors)), 4))
