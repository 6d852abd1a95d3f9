"""Several targets at once: three body measures, and labels that do not exclude each other."""

from sklearn.datasets import load_linnerud, make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import hamming_loss, mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.multioutput import ClassifierChain, MultiOutputRegressor

exercise, body = load_linnerud(return_X_y=True, as_frame=True)
measures = MultiOutputRegressor(Ridge(alpha=10.0))
measures.fit(exercise, body)
estimated = measures.predict(exercise)
print(
    round(mean_absolute_error(body, estimated), 4), round(r2_score(body, estimated, multioutput="variance_weighted"), 4)
)

X, Y = make_multilabel_classification(n_samples=400, n_features=12, n_classes=3, n_labels=2, random_state=5)
X_train, X_test, Y_train, Y_test = train_test_split(X, Y, random_state=5)

chain = ClassifierChain(LogisticRegression(max_iter=1000), order=[0, 1, 2])
chain.fit(X_train, Y_train)
print("chain", round(hamming_loss(Y_test, chain.predict(X_test)), 4), round(chain.score(X_test, Y_test), 4))

forest = RandomForestClassifier(n_estimators=40, random_state=0)
forest.fit(X_train, Y_train)
print("forest", round(forest.score(X_test, Y_test), 4))
