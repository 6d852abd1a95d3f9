"""One outermost fit: what is looked at before it, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from autotrack.capture import scope
from autotrack.capture.guard import shield
from autotrack.capture.recorder import RunRecorder
from autotrack.capture.sinks import now
from autotrack.capture.trace import Trace
from autotrack.entities import Dataset
from autotrack.integrations.base import Call, Outcome, Watching
from autotrack.integrations.sklearn import estimators, inside
from autotrack.integrations.sklearn.data_checks import DataChecks, note_folds
from autotrack.integrations.sklearn.evaluation import FittedRun, data_of, input_name
from autotrack.integrations.sklearn.memory import Memory
from autotrack.integrations.sklearn.predictions import Origin
from autotrack.integrations.sklearn.training import TrainingPass, predict_training_data

MODEL: Final = "model"


class Fits:
    """Observers of ``fit`` and of the methods that fit on their way."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._session = memory.session

    def fit(self, call: Call) -> Watching:
        """One outermost fit: a run, or the active run's own where it is the first in it."""
        estimator = call.instance
        if self._is_excluded():
            yield None
            return
        if estimators.only_prepares(estimator):
            yield from self._memory.preparation.fit(call)
            return
        name = input_name(call) or "X"
        run, is_own = self._open_run(estimator)
        try:
            params, dataset = self._look_before(run, call, name)
            prepared = self._memory.preparation.look_at(run, estimator, data_of(call), call.argument("y"), name)
            if estimators.is_search(estimator) and self._session.settings.log_datasets:
                note_folds(run, prepared.made, name, supervised_only=True)
            run.flush()
            call.trace = Trace(estimator)
            outcome = yield None
            call.trace.root.stop()
            later = self._look_after(run, call, outcome, params, dataset)
            if prepared.file is not None:
                later.append(lambda: prepared.write(run))
            if outcome.error is None:
                fitted = FittedRun(run, data_of(call), name, dataset)
                fitted.checks = DataChecks(run, self._memory.preparation.lineage, data_of(call), prepared.made, dataset)
                self._memory.fitted.set(estimator, fitted)
                self._memory.preparation.fitted_with_run(call, outcome.value)
            elif not is_own:
                run.tags({"fit_error": f"{type(outcome.error).__name__}: {outcome.error}"})
            if is_own:
                run.end_by(outcome.error)
            else:
                run.flush()
            if later:
                self._session.worker.submit(_one_by_one(run, later))
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
        fitted = self._memory.fitted.get(call.instance)
        if fitted is not None and outcome.error is None:
            self._memory.predictions.remember(outcome.value, Origin(fitted, fitted.name), X)

    def _is_excluded(self) -> bool:
        """Whether runs that are opened by hand are to be left alone, and we are inside one."""
        active = scope.active_run.get()
        return self._session.settings.exclusive and active is not None and not active.ended

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
        return self._session.start_run(estimators.run_name(estimator), parent=active, tags=tags), True

    def _look_before(self, run: RunRecorder, call: Call, name: str) -> tuple[Mapping[str, Any], Dataset | None]:
        """Params and data, before the fit may change them."""
        estimator = call.instance
        params: Mapping[str, Any] = {}
        with run.attempt("params", "read the params of an estimator"):
            params = estimator.get_params(deep=True)
            shown = estimator.get_params(deep=False) if estimators.is_search(estimator) else params
            run.params(estimators.printed(shown))
        if not self._session.settings.log_datasets:
            return params, None
        dataset = run.describe(data_of(call), call.argument("y"), name=name, context="train")
        if dataset is not None:
            run.dataset(dataset)
        return params, dataset

    def _look_after(
        self, run: RunRecorder, call: Call, outcome: Outcome, params: Mapping[str, Any], dataset: Dataset | None
    ) -> list[Callable[[], None]]:
        """Gather what the fit left behind, before the user may change it; gives back what can be done later."""
        later: list[Callable[[], None]] = []
        trace = call.trace
        if trace is not None:
            seconds = trace.root.seconds
            run.metrics({"fit_seconds": seconds, **inside.step_seconds(call.instance, trace)})
            inside.note_warnings(run, trace)
            if trace.root.children:
                later.append(lambda: _write_trace(run, trace))
        if outcome.error is not None:
            return later
        with run.attempt("iterations", "read the iterations of the fitted estimator"):
            inside.look_inside(run, call.instance, trace, now())
        settings = self._session.settings
        X, taken = data_of(call), None
        with run.attempt("training metrics", "predict the training data for the training metrics"):
            taken = predict_training_data(
                call.instance, X, call.argument("y"), call.argument("sample_weight"), params, settings.max_metric_rows
            )
        if taken is not None and taken.rows < taken.total:
            run.tags({"training_metrics_rows": f"{taken.rows} of {taken.total}, evenly spaced"})
        if settings.log_models:
            self._write_model(run, call.instance, X, taken, dataset)
        if taken is not None:
            if taken.is_small:
                _work_out(run, taken, settings.pos_label)
            else:
                later.append(lambda: _work_out(run, taken, settings.pos_label))
        return later

    def _write_model(
        self, run: RunRecorder, estimator: Any, X: Any, taken: TrainingPass | None, dataset: Dataset | None
    ) -> None:
        # Only now: what the first model needs would make every start-up longer.
        from autotrack.models import infer_signature, write_model

        settings = self._session.settings
        signature = None
        if settings.log_model_signatures:
            with run.attempt("model signature", "infer the model's signature"):
                missing = (
                    {c["name"]: c["missing"] for c in dataset.columns if "missing" in c}
                    if dataset is not None
                    else None
                )
                signature, _ = infer_signature(X, None if taken is None else taken.y_pred, missing=missing)
        with run.attempt("model", "write the fitted model"):
            example = X[:5] if settings.log_input_examples else None
            run.model(
                write_model(
                    run.artifact_path(MODEL),
                    estimator,
                    run_id=run.run_id,
                    signature=signature,
                    input_example=example,
                    created=now(),
                )
            )


def _work_out(run: RunRecorder, taken: TrainingPass, pos_label: Any) -> None:
    with run.attempt("training metrics", "work out the training metrics"):
        run.metrics(taken.metrics(pos_label))


def _write_trace(run: RunRecorder, trace: Trace) -> None:
    data = inside.trace_file(trace)
    if data is not None:
        run.artifact(inside.TRACE_FILE, data)


def _one_by_one(run: RunRecorder, tasks: list[Callable[[], None]]) -> Callable[[], None]:
    def do() -> None:
        for task in tasks:
            with shield("finish recording a run in the background"):
                task()
        run.flush()

    return do
