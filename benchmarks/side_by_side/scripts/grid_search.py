"""Which C and which kernel? A grid over a pipeline, then one judged by two metrics."""

from sklearn.datasets import load_breast_cancer
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
folds = StratifiedKFold(n_splits=4, shuffle=True, random_state=0)

pipeline = Pipeline([("scale", StandardScaler()), ("svc", SVC())])
grid = {"svc__C": [0.1, 1.0, 10.0], "svc__kernel": ["linear", "rbf"]}
search = GridSearchCV(pipeline, grid, cv=folds)
search.fit(X_train, y_train)
print(search.best_params_, round(search.best_score_, 4))
print("held out", round(search.score(X_test, y_test), 4))
print("held out, again", round(accuracy_score(y_test, search.predict(X_test)), 4))

tree_search = GridSearchCV(
    DecisionTreeClassifier(random_state=0),
    {"max_depth": [1, 2, 4]},
    scoring={"f1": "f1", "auc": "roc_auc"},
    refit="auc",
    cv=folds,
    return_train_score=True,
)
tree_search.fit(X_train, y_train)
print(tree_search.best_params_, round(tree_search.best_score_, 4))
