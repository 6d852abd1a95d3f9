"""scikit-learn: every outermost ``fit`` is a run; predictions, scores and metrics after it join that run.

This module is the table of what is observed; each observer lives in the room it is named after.
"""

from __future__ import annotations

from typing import ClassVar

from autotrack.capture.recorder import Session
from autotrack.integrations.base import Call, Family, Functions, Integration, Method, Target, Watching
from autotrack.integrations.sklearn import threads
from autotrack.integrations.sklearn.evaluating import displays, scorers
from autotrack.integrations.sklearn.evaluating.after_fit import AfterFit
from autotrack.integrations.sklearn.evaluating.displays import Displays
from autotrack.integrations.sklearn.fitting.fits import Fits
from autotrack.integrations.sklearn.fitting.incremental import Incremental
from autotrack.integrations.sklearn.folds import cross_validation
from autotrack.integrations.sklearn.folds.cross_validation import CrossValidations
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
                "partial_fit": "partial_fit",
                "predict": "predict",
                "predict_proba": "predict",
                "predict_log_proba": "predict",
                "decision_function": "predict",
                "score_samples": "predict",
                "score": "score",
                "transform": "transform",
                "fit_resample": "resample",
            },
            timed=("fit", "fit_transform", "fit_predict", "partial_fit"),
        ),
        Functions(
            "sklearn.metrics", "metric", leave=("get_scorer", "get_scorer_names", "make_scorer", "check_scoring")
        ),
        Functions("sklearn.metrics.cluster", "metric"),
        Functions("sklearn.calibration", "metric", names=("calibration_curve",)),
        *(Method("sklearn.metrics._scorer", cls, {"__call__": "scorer"}) for cls in scorers.CLASSES),
        *displays.TARGETS,
        Functions("sklearn.model_selection", "cross_validation", names=cross_validation.FUNCTIONS),
        Functions("sklearn.inspection", "cross_validation", names=("permutation_importance",)),
        # It predicts again and again, from data of its own making.
        Functions("sklearn.inspection", "straight_through", names=("partial_dependence",)),
        Functions("sklearn.model_selection", "split", names=("train_test_split",)),
        # joblib's threads do not inherit context variables: what runs in them for an observed call is marked.
        Method("sklearn.utils.parallel", "Parallel", {"__call__": "into_threads"}, always=True),
        Method("sklearn.utils.parallel", "_FuncWrapper", {"__call__": "in_thread"}, always=True),
        # How far a search is; whatever of it a version of joblib lacks is not shown.
        Method("joblib.parallel", "Parallel", {"print_progress": "progress"}, always=True),
        Method(
            "joblib.parallel",
            "BatchCompletionCallBack",
            {"__init__": "batch_made", "_register_outcome": "batch_done"},
            always=True,
        ),
    )

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.memory = Memory(session)
        self.fits = Fits(self.memory)
        self.incremental = Incremental(self.memory)
        self.after_fit = AfterFit(self.memory)
        self.displays = Displays(self.memory)
        self.cross_validations = CrossValidations(self.memory)

    def finish(self) -> None:
        self.incremental.close_all()

    def reset(self) -> None:
        self.incremental.close_all()
        self.fits.clear()
        self.memory.clear()

    def fit(self, call: Call) -> Watching:
        self.incremental.close(call.instance)
        yield from self.fits.fit(call)

    def fit_predict(self, call: Call) -> Watching:
        self.incremental.close(call.instance)
        yield from self.fits.fit_predict(call)

    def partial_fit(self, call: Call) -> Watching:
        yield from self.incremental.partial_fit(call)

    def predict(self, call: Call) -> Watching:
        yield from self.after_fit.predict(call)

    def score(self, call: Call) -> Watching:
        yield from self.after_fit.score(call)

    def transform(self, call: Call) -> Watching:
        yield from self.after_fit.transform(call, self.memory.preparation.transform(call))

    def resample(self, call: Call) -> Watching:
        yield from self.memory.preparation.resample(call)

    def split(self, call: Call) -> Watching:
        yield from self.memory.preparation.split(call)

    def metric(self, call: Call) -> Watching:
        yield from self.after_fit.metric(call)

    def scorer(self, call: Call) -> Watching:
        yield from self.after_fit.scorer(call)

    def display(self, call: Call) -> Watching:
        yield from self.displays.display(call)

    def plotted(self, call: Call) -> Watching:
        yield from self.displays.plotted(call)

    def cross_validation(self, call: Call) -> Watching:
        yield from self.cross_validations.observe(call)

    def straight_through(self, call: Call) -> Watching:
        """Nothing is recorded, and nothing inside is observed."""
        yield None

    def into_threads(self, call: Call) -> Watching:
        yield from threads.into_threads(call, self.memory.rounds)

    def in_thread(self, call: Call) -> Watching:
        yield from threads.in_thread(call)

    def progress(self, call: Call) -> Watching:
        yield from self.memory.rounds.progress(call)

    def batch_made(self, call: Call) -> Watching:
        yield from self.memory.rounds.batch_made(call)

    def batch_done(self, call: Call) -> Watching:
        yield from self.memory.rounds.batch_done(call)
