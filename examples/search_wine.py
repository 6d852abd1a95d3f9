"""Which model for the wines? A search, a cross-validation, and a look at the winner on data that it has not seen.

python examples/search_wine.py
autotrack runs
autotrack show "GridSearchCV(Pipeline(SVC))"
autotrack plot "GridSearchCV(Pipeline(SVC))" --out figures
"""

from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix
from sklearn.model_selection import GridSearchCV, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import autotrack

autotrack.autolog()


def main():
    X, y = load_wine(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)

    # A run of its own, with every fold's scores.
    forest = RandomForestClassifier(n_estimators=50, random_state=0)
    scores = cross_validate(forest, X_train, y_train, cv=5, scoring=["accuracy", "f1_macro"])
    print(f"forest: accuracy {scores['test_accuracy'].mean():.3f}, F1 {scores['test_f1_macro'].mean():.3f}")

    # A run with the best candidates as its children.
    grid = {"svc__C": [0.1, 1, 10], "svc__gamma": [0.001, 0.01, 0.1]}
    search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), grid, cv=5)
    search.fit(X_train, y_train)

    # These join the search's run: a metric, a report, a confusion matrix that can be drawn.
    predicted = search.predict(X_test)
    print(f"support vectors: accuracy {accuracy_score(y_test, predicted):.3f} with {search.best_params_}")
    print(classification_report(y_test, predicted))
    print(confusion_matrix(y_test, predicted))


if __name__ == "__main__":
    main()
