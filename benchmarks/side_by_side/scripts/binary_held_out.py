"""Benign or malignant: metrics on held-out data, called in all the ways that people call them."""

import sklearn.metrics
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from sklearn.metrics import f1_score as f1
from sklearn.metrics import roc_auc_score as auc
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def evaluate(model, X, y):
    """What is printed for each model and each part of the data."""
    predicted = model.predict(X)
    return {"accuracy": accuracy_score(y, predicted), "f1": f1(y_true=y, y_pred=predicted), "score": model.score(X, y)}


def shown(values):
    return {name: round(float(value), 4) for name, value in values.items()}


def main():
    data = load_breast_cancer(as_frame=True)
    rest, test, rest_target, test_target = train_test_split(data.data, data.target, test_size=0.2, random_state=0)
    train, valid, train_target, valid_target = train_test_split(rest, rest_target, test_size=0.25, random_state=0)

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=500))
    model.fit(train, train_target)
    print("valid", shown(evaluate(model, valid, valid_target)))
    print("test", shown(evaluate(model, test, test_target)))

    probabilities = model.predict_proba(test)
    positive = probabilities[:, 1]
    print("AUC", round(auc(test_target, positive), 4))
    print("AUC, directly", round(sklearn.metrics.roc_auc_score(test_target, model.decision_function(test)), 4))
    print("log loss", round(sklearn.metrics.log_loss(test_target, probabilities), 4))
    print(precision_recall_fscore_support(test_target, model.predict(test), average="binary")[:3])
    print("at 0.3", round(f1(test_target, (positive > 0.3).astype(int)), 4))


if __name__ == "__main__":
    main()
