"""Are seventy percent seventy percent? A forest before and after calibration."""

from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import train_test_split

X, y = make_classification(n_samples=1200, n_features=12, n_informative=4, flip_y=0.08, random_state=8)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=8)

forest = RandomForestClassifier(n_estimators=40, max_features=2, random_state=0)
forest.fit(X_train, y_train)
raw = forest.predict_proba(X_test)

calibrated = CalibratedClassifierCV(forest, method="isotonic", cv=3)
calibrated.fit(X_train, y_train)
better = calibrated.predict_proba(X_test)

for name, probabilities in [("raw", raw), ("calibrated", better)]:
    positive = probabilities[:, 1]
    print(
        name,
        "Brier",
        round(brier_score_loss(y_test, positive), 5),
        "log loss",
        round(log_loss(y_test, probabilities), 5),
    )
    truth, claimed = calibration_curve(y_test, positive, n_bins=5)
    print(truth.round(3), claimed.round(3))
