"""Three models for three vines, compared on the same test set."""

from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    log_loss,
    roc_auc_score,
    top_k_accuracy_score,
)
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

X, y = load_wine(return_X_y=True, as_frame=True)
names = y.map({0: "barolo", 1: "grignolino", 2: "barbera"})
X_train, X_test, y_train, y_test = train_test_split(X, names, test_size=0.3, random_state=9, stratify=names)

models = {
    "neighbours": KNeighborsClassifier(n_neighbors=7),
    "bayes": GaussianNB(),
    "forest": RandomForestClassifier(n_estimators=50, random_state=0),
}
for name, model in models.items():
    model.fit(X_train, y_train)
    y_pred = model.predict(X_test)
    y_proba = model.predict_proba(X_test)
    print(
        name,
        round(accuracy_score(y_test, y_pred), 4),
        round(f1_score(y_test, y_pred, average="macro"), 4),
        round(f1_score(y_test, y_pred, average="weighted"), 4),
        round(cohen_kappa_score(y_test, y_pred), 4),
        round(roc_auc_score(y_test, y_proba, multi_class="ovr"), 4),
        round(log_loss(y_test, y_proba), 4),
        round(top_k_accuracy_score(y_test, y_proba, k=2), 4),
    )
print(confusion_matrix(y_test, y_pred))
best = models["forest"]
for title, part, truth in [("learnt from", X_train, y_train), ("held out", X_test, y_test)]:
    print("forest,", title, round(accuracy_score(truth, best.predict(part)), 4), round(best.score(part, truth), 4))
