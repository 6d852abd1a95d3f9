"""Several heads: votes, a stack, bags, and outliers that a forest finds."""

from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier, IsolationForest, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

X, y = load_iris(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=6, stratify=y)
members = [
    ("line", make_pipeline(StandardScaler(), LogisticRegression())),
    ("tree", DecisionTreeClassifier(max_depth=3, random_state=0)),
    ("svc", SVC(random_state=0)),
]

vote = VotingClassifier(members).fit(X_train, y_train)
stack = StackingClassifier(members, final_estimator=LogisticRegression(), cv=3).fit(X_train, y_train)
bags = BaggingClassifier(DecisionTreeClassifier(), n_estimators=15, random_state=0).fit(X_train, y_train)
for model in (vote, stack, bags):
    print(type(model).__name__, round(accuracy_score(y_test, model.predict(X_test)), 4))

odd = IsolationForest(n_estimators=40, random_state=0).fit(X_train)
print("odd ones", int((odd.predict(X_test) == -1).sum()))
