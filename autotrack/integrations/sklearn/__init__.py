"""scikit-learn: every outermost ``fit`` is a run; predictions, scores and metrics after it join that run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from autotrack.capture import scope
from autotrack.capture.guard import shield
from autotrack.capture.recorder import Links, RunRecorder, Session
from autotrack.capture.sinks import now
from autotrack.entities import Dataset
from autotrack.integrations.base import Call, Family, Functions, Integration, Method, Target, Watching
from autotrack.integrations.sklearn import estimators
from autotrack.integrations.sklearn.evaluation import (
    FittedRun,
    command,
    data_of,
    input_name,
    is_number,
    metric_arguments,
)
from autotrack.integrations.sklearn.predictions import Origin, Predictions
from autotrack.integrations.sklearn.training import TrainingPass, predict_training_data

_MARK: Final = "_autotrack_quiet"
_MODEL: Final = "model"


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
            },
        ),
        Functions(
            "sklearn.metrics", "metric", leave=("get_scorer", "get_scorer_names", "make_scorer", "check_scoring")
        ),
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
        self._fitted = Links()
        self._predictions = Predictions()

    def reset(self) -> None:
        self._fitted.clear()
        self._predictions.clear()

    def fit(self, call: Call) -> Watching:
        """One outermost fit: a run, or the active run's own where it is the first in it."""
        estimator = call.instance
        if estimators.only_prepares(estimator):
            yield None
            return
        name = input_name(call) or "X"
        run, is_own = self._open_run(estimator)
        try:
            params, dataset = self._look_before(run, call, name)
            run.flush()
            started = time.perf_counter()
            outcome = yield None
            run.metrics({"fit_seconds": time.perf_counter() - started})
            if outcome.error is None:
                taken = self._look_after(run, call, params, dataset)
                self._fitted.set(estimator, FittedRun(run, data_of(call), name, dataset))
            elif not is_own:
                run.tags({"fit_error": f"{type(outcome.error).__name__}: {outcome.error}"})
            if is_own:
                run.end_by(outcome.error)
            else:
                run.flush()
            if outcome.error is None and taken is not None and not taken.is_small:
                self._work_out_later(run, taken)
        finally:
            # Only where the fit was left by a way not foreseen above, such as Ctrl-C in our own part.
            if is_own and not run.ended:
                run.end_by(GeneratorExit())

    def fit_predict(self, call: Call) -> Watching:
        """A fit whose result is the prediction for the training data."""
        watching = self.fit(call)
        X = data_of(call)
        outcome = yield next(watching)
        try:
            watching.send(outcome)
        except StopIteration:
            pass
        fitted = self._fitted.get(call.instance)
        if fitted is not None and outcome.error is None:
            self._predictions.remember(outcome.value, Origin(fitted, fitted.name), X)

    def predict(self, call: Call) -> Watching:
        """A prediction of a model whose run we know."""
        fitted = self._fitted_run(call)
        name = input_name(call) if fitted is not None else None
        outcome = yield None
        if fitted is None or outcome.error is not None:
            return
        X = data_of(call)
        self._predictions.remember(outcome.value, Origin(fitted, fitted.dataset(X, None, name)), X)

    def score(self, call: Call) -> Watching:
        """``model.score(X, y)``."""
        fitted = self._fitted_run(call)
        name, called = None, ""
        metric = f"{type(call.instance).__name__}_score"
        if fitted is not None:
            name = input_name(call)
            with shield("describe a call of score"):
                called = command(call, f"{type(call.instance).__name__}.score")
        outcome = yield None
        if fitted is None or outcome.error is not None or not is_number(outcome.value):
            return
        dataset = fitted.dataset(data_of(call), call.argument("y"), name)
        fitted.metric(metric, dataset, outcome.value, called)

    def metric(self, call: Call) -> Watching:
        """A function of ``sklearn.metrics`` called on a prediction that is recognised."""
        origin = None
        called = ""
        if self.session.settings.log_post_training_metrics:
            origin = self._predictions.origin(metric_arguments(call.args, call.kwargs))
            if origin is not None:
                called = command(call, call.wrapped.__name__)
        outcome = yield None
        if origin is not None and outcome.error is None and is_number(outcome.value):
            origin.fitted.metric(call.wrapped.__name__, origin.dataset, outcome.value, called)

    def straight_through(self, call: Call) -> Watching:
        """Nothing is recorded, and nothing inside is observed."""
        yield None

    def into_threads(self, call: Call) -> Watching:
        """Mark the tasks of a `Parallel` that runs inside an observed call. The mark is a plain bool, for pickles."""
        if not scope.quiet.get():
            yield None
            return
        yield {"iterable": (_marked(task) for task in call.argument("iterable"))}

    def in_thread(self, call: Call) -> Watching:
        """Run a marked task quietly, whatever thread it runs in."""
        if scope.quiet.get() or not vars(call.instance).get(_MARK):
            yield None
            return
        with scope.quietly():
            yield None

    def _fitted_run(self, call: Call) -> FittedRun | None:
        if not self.session.settings.log_post_training_metrics:
            return None
        found: FittedRun | None = self._fitted.get(call.instance)
        return found

    def _open_run(self, estimator: Any) -> tuple[RunRecorder, bool]:
        """The run that a fit writes to, and whether it is the fit's own to end."""
        cls = type(estimator)
        tags = {"estimator_name": cls.__name__, "estimator_class": f"{cls.__module__}.{cls.__qualname__}"}
        active = scope.active_run.get()
        if active is not None and active.ended:
            active = None
        if active is not None and active.claim():
            active.tags(tags)
            return active, False
        return self.session.start_run(estimators.run_name(estimator), parent=active, tags=tags), True

    def _look_before(self, run: RunRecorder, call: Call, name: str) -> tuple[Mapping[str, Any], Dataset | None]:
        """Params and data, before the fit may change them."""
        estimator = call.instance
        params: Mapping[str, Any] = {}
        with shield("read the params of an estimator"):
            params = estimator.get_params(deep=True)
            shown = estimator.get_params(deep=False) if estimators.is_search(estimator) else params
            run.params(estimators.printed(shown))
        if not self.session.settings.log_datasets:
            return params, None
        dataset = run.describe(data_of(call), call.argument("y"), name=name, context="train")
        if dataset is not None:
            run.dataset(dataset)
        return params, dataset

    def _look_after(
        self, run: RunRecorder, call: Call, params: Mapping[str, Any], dataset: Dataset | None
    ) -> TrainingPass | None:
        """Predictions on the training data and the model's bytes, before the user may change them."""
        settings = self.session.settings
        X, taken = data_of(call), None
        with shield("predict the training data for the training metrics"):
            taken = predict_training_data(
                call.instance, X, call.argument("y"), call.argument("sample_weight"), params, settings.max_metric_rows
            )
        if taken is not None and taken.rows < taken.total:
            run.tags({"training_metrics_rows": f"{taken.rows} of {taken.total}, evenly spaced"})
        if settings.log_models:
            self._write_model(run, call.instance, X, taken, dataset)
        if taken is not None and taken.is_small:
            with shield("work out the training metrics"):
                run.metrics(taken.metrics(settings.pos_label))
        return taken

    def _write_model(
        self, run: RunRecorder, estimator: Any, X: Any, taken: TrainingPass | None, dataset: Dataset | None
    ) -> None:
        # Only now: what the first model needs would make every start-up longer.
        from autotrack.models import infer_signature, write_model

        settings = self.session.settings
        signature = None
        if settings.log_model_signatures:
            with shield("infer the model's signature"):
                missing = (
                    {c["name"]: c["missing"] for c in dataset.columns if "missing" in c}
                    if dataset is not None
                    else None
                )
                signature, _ = infer_signature(X, None if taken is None else taken.y_pred, missing=missing)
        with shield("write the fitted model"):
            example = X[:5] if settings.log_input_examples else None
            run.model(
                write_model(
                    run.artifact_path(_MODEL),
                    estimator,
                    run_id=run.run_id,
                    signature=signature,
                    input_example=example,
                    created=now(),
                )
            )

    def _work_out_later(self, run: RunRecorder, taken: TrainingPass) -> None:
        pos_label = self.session.settings.pos_label

        def work_out() -> None:
            run.metrics(taken.metrics(pos_label))
            run.flush()

        self.session.worker.submit(work_out)


def _marked(task: Any) -> Any:
    function = task[0]
    if hasattr(function, "__dict__"):
        vars(function)[_MARK] = True
    return task
