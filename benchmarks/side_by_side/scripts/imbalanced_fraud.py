"""One case in twenty: weights for classes, weights for rows, and metrics that look at the rare class."""

import numpy as np
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    fbeta_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
)
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight

X, y = make_classification(
    n_samples=1500, n_features=10, n_informative=5, weights=[0.95], class_sep=0.9, random_state=21
)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=21)

plain = LogisticRegression(class_weight="balanced", max_iter=1000)
plain.fit(X_train, y_train)
found = plain.predict(X_test)
print("recall", round(recall_score(y_test, found), 4), "precision", round(precision_score(y_test, found), 4))
print("balanced accuracy", round(balanced_accuracy_score(y_test, found), 4))
print(confusion_matrix(y_test, found))

row_weights = compute_sample_weight("balanced", y_train)
boosted = HistGradientBoostingClassifier(max_iter=40, random_state=0)
boosted.fit(X_train, y_train, sample_weight=row_weights)
scores = boosted.predict_proba(X_test)[:, 1]
print("average precision", round(average_precision_score(y_test, scores), 4))
for threshold in (0.3, 0.5):
    alarm = (scores > threshold).astype(int)
    print(threshold, round(fbeta_score(y_test, alarm, beta=2), 4), round(matthews_corrcoef(y_test, alarm), 4))
cost = np.where(y_test == 1, 10.0, 1.0)
print("weighted score", round(boosted.score(X_test, y_test, sample_weight=cost), 4))
