"""Which desk should answer? Short messages, tf-idf, two linear classifiers."""

import random

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import accuracy_score, classification_report, f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

WORDS = {
    "billing": ["invoice", "payment", "refund", "charged", "card", "twice", "amount", "bill"],
    "delivery": ["parcel", "courier", "late", "address", "tracking", "lost", "box", "door"],
    "technical": ["app", "crash", "screen", "login", "password", "update", "error", "button"],
}
FILLER = ["hello", "please", "my", "the", "is", "again", "today", "thanks", "help", "with", "still", "not"]

draw = random.Random(3)
texts, topics = [], []
for _ in range(420):
    topic = draw.choice(sorted(WORDS))
    stray = draw.choice(sorted(WORDS))
    words = draw.choices(WORDS[topic], k=2) + draw.choices(WORDS[stray], k=2) + draw.choices(FILLER, k=6)
    draw.shuffle(words)
    texts.append(" ".join(words))
    topics.append(topic)

train_texts, test_texts, train_topics, test_topics = train_test_split(texts, topics, test_size=0.3, random_state=1)

model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=2), LogisticRegression(C=4.0, max_iter=500))
model.fit(train_texts, train_topics)
predicted = model.predict(test_texts)
print(round(accuracy_score(test_topics, predicted), 4), round(f1_score(test_topics, predicted, average="macro"), 4))
print(classification_report(test_topics, predicted))

# The same with the vectors made first, as many notebooks do.
vectorizer = TfidfVectorizer()
train_vectors = vectorizer.fit_transform(train_texts)
test_vectors = vectorizer.transform(test_texts)
fast = SGDClassifier(loss="log_loss", random_state=0)
fast.fit(train_vectors, train_topics)
print("SGD", round(fast.score(test_vectors, test_topics), 4))
