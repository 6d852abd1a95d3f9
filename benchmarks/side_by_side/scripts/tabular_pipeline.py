"""Who cancels? Numbers, categories and gaps in one DataFrame, prepared in one pipeline."""

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

rng = np.random.default_rng(7)
n = 900
customers = pd.DataFrame(
    {
        "age": rng.integers(18, 80, n).astype(float),
        "monthly": rng.gamma(4.0, 15.0, n).round(2),
        "plan": rng.choice(["basic", "plus", "pro"], n, p=[0.5, 0.3, 0.2]),
        "city": rng.choice(["Kyiv", "Lviv", "Odesa", "Dnipro"], n),
        "since": rng.integers(1, 72, n),
        "paperless": rng.random(n) < 0.6,
    }
)
risk = 0.03 * customers["monthly"] - 0.04 * customers["since"] + (customers["plan"] == "basic") * 0.8
churned = (rng.random(n) < 1 / (1 + np.exp(-(risk - risk.mean())))).astype(int)
customers.loc[rng.random(n) < 0.08, "age"] = np.nan
customers.loc[rng.random(n) < 0.05, "city"] = None

numbers = ["age", "monthly", "since"]
categories = ["plan", "city", "paperless"]
prepare = ColumnTransformer(
    [
        ("numbers", Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())]), numbers),
        (
            "categories",
            Pipeline(
                [
                    ("impute", SimpleImputer(strategy="most_frequent")),
                    ("one_hot", OneHotEncoder(handle_unknown="ignore")),
                ]
            ),
            categories,
        ),
    ]
)

X_train, X_test, y_train, y_test = train_test_split(
    customers, churned, test_size=0.25, random_state=0, stratify=churned
)

logistic = Pipeline([("prepare", prepare), ("model", LogisticRegression(max_iter=1000))])
logistic.fit(X_train, y_train)
print("logistic", round(logistic.score(X_test, y_test), 4))

forest = Pipeline([("prepare", prepare), ("model", RandomForestClassifier(n_estimators=60, random_state=0))])
forest.fit(X_train, y_train)
y_pred = forest.predict(X_test)
print("forest", round(accuracy_score(y_test, y_pred), 4), round(f1_score(y_test, y_pred), 4))
print("forest AUC", round(roc_auc_score(y_test, forest.predict_proba(X_test)[:, 1]), 4))
