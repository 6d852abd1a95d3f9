"""scikit-learn: every outermost ``fit`` is a run; predictions, scores and metrics after it join that run.

This module is the table of what is observed; each observer lives in the room it is named after.
"""

from __future__ import annotations

from typing import ClassVar

from autotrack.capture.recorder import Session
from autotrack.integrations.base import Call, Family, Functions, Integration, Method, Target, Watching
from autotrack.integrations.sklearn import threads
from autotrack.integrations.sklearn.after_fit import AfterFit
from autotrack.integrations.sklearn.fits import Fits
from autotrack.integrations.sklearn.memory import Memory


class Sklearn(Integration):
    """Observes all subclasses of ``BaseEstimator``, ``sklearn.metrics`` and the way into joblib's threads."""

    name = "sklearn"
    targets: ClassVar[tuple[Target, ...]] = (
        Family(
            "sklearn.base",
            "BaseEstimator",
            {
                "fit": "fit",
                "fit_transform": "fit",
                "fit_predict": "fit_predict",
                "predict": "predict",
                "predict_proba": "predict",
                "predict_log_proba": "predict",
                "decision_function": "predict",
                "score_samples": "predict",
                "score": "score",
                "transform": "transform",
                "fit_resample": "resample",
            },
            timed=("fit", "fit_transform", "fit_predict"),
        ),
        Functions(
            "sklearn.metrics", "metric", leave=("get_scorer", "get_scorer_names", "make_scorer", "check_scoring")
        ),
        Functions("sklearn.model_selection", "split", names=("train_test_split",)),
        # Their inner fits are no runs.
        Functions(
            "sklearn.model_selection",
            "straight_through",
            names=(
                "cross_val_predict",
                "cross_val_score",
                "cross_validate",
                "learning_curve",
                "permutation_test_score",
                "validation_curve",
            ),
        ),
        # joblib's threads do not inherit context variables: what runs in them for an observed call is marked.
        Method("sklearn.utils.parallel", "Parallel", {"__call__": "into_threads"}, always=True),
        Method("sklearn.utils.parallel", "_FuncWrapper", {"__call__": "in_thread"}, always=True),
    )

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.memory = Memory(session)
        self.fits = Fits(self.memory)
        self.after_fit = AfterFit(self.memory)

    def reset(self) -> None:
        self.memory.clear()

    def fit(self, call: Call) -> Watching:
        yield from self.fits.fit(call)

    def fit_predict(self, call: Call) -> Watching:
        yield from self.fits.fit_predict(call)

    def predict(self, call: Call) -> Watching:
        yield from self.after_fit.predict(call)

    def score(self, call: Call) -> Watching:
        yield from self.after_fit.score(call)

    def transform(self, call: Call) -> Watching:
        yield from self.memory.preparation.transform(call)

    def resample(self, call: Call) -> Watching:
        yield from self.memory.preparation.resample(call)

    def split(self, call: Call) -> Watching:
        yield from self.memory.preparation.split(call)

    def metric(self, call: Call) -> Watching:
        yield from self.after_fit.metric(call)

    def straight_through(self, call: Call) -> Watching:
        """Nothing is recorded, and nothing inside is observed."""
        yield None

    def into_threads(self, call: Call) -> Watching:
        yield from threads.into_threads(call)

    def in_thread(self, call: Call) -> Watching:
        yield from threads.in_thread(call)
