"""An honest estimate: the search inside, folds outside, then the model on all the data."""

from sklearn.datasets import load_wine
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_wine(return_X_y=True)
inner = StratifiedKFold(3, shuffle=True, random_state=1)
outer = StratifiedKFold(4, shuffle=True, random_state=2)

model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
search = GridSearchCV(model, {"logisticregression__C": [0.01, 1.0]}, cv=inner)

scores = cross_val_score(search, X, y, cv=outer)
print("nested", scores.round(4), round(scores.mean(), 4))
plain = cross_validate(model, X, y, cv=outer, scoring=["accuracy", "f1_macro"], return_train_score=True)
print("plain", plain["test_accuracy"].round(4), plain["test_f1_macro"].round(4))
guess = cross_val_predict(DummyClassifier(strategy="most_frequent"), X, y, cv=outer)
print("guessing", round(float((guess == y).mean()), 4))

search.fit(X, y)
print("final", search.best_params_)
