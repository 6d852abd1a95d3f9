"""One outermost fit: what is looked at before it, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from autotrack.capture import scope
from autotrack.capture.guard import shield, warn
from autotrack.capture.recorder import RunRecorder
from autotrack.capture.sinks import now
from autotrack.capture.trace import Trace
from autotrack.entities import SKIPPED, Dataset
from autotrack.integrations.base import Call, Outcome, Watching
from autotrack.integrations.sklearn import estimators, inside, searches, unsupervised
from autotrack.integrations.sklearn.evaluation import FittedRun, data_of, input_name, target_of
from autotrack.integrations.sklearn.memory import Memory
from autotrack.integrations.sklearn.plotting import TrainingPlots
from autotrack.integrations.sklearn.predictions import Origin
from autotrack.integrations.sklearn.training import TrainingPass, predict_training_data
from autotrack.integrations.sklearn.underway import Underway

MODEL: Final = "model"


class Fits:
    """Observers of ``fit`` and of the methods that fit on their way."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._session = memory.session

    def fit(self, call: Call) -> Watching:
        """One outermost fit: a run, or the active run's own where it is the first in it."""
        estimator = call.instance
        if estimators.only_prepares(estimator) or self._is_excluded():
            yield None
            return
        name = input_name(call) or "X"
        run, is_own = self._open_run(estimator)
        underway: Underway | None = None
        try:
            params, dataset = self._look_before(run, call, name)
            run.flush()
            call.trace = Trace(estimator)
            call.trace.search = underway = searches.begin(estimator, self._session.settings)
            outcome = yield None
            call.trace.root.stop()
            if underway is not None:
                underway.close()
            later = self._look_after(run, call, outcome, params, dataset)
            if outcome.error is None:
                self._memory.link(estimator, FittedRun(run, data_of(call), name, dataset))
            else:
                self._memory.link(estimator, None)
            if outcome.error is not None and not is_own:
                run.tags({"fit_error": f"{type(outcome.error).__name__}: {outcome.error}"})
            if is_own:
                run.end_by(outcome.error)
            else:
                run.flush()
            if later:
                self._session.worker.submit(_one_by_one(run, later))
        finally:
            # Only where the fit was left by a way not foreseen above, such as Ctrl-C in our own part.
            if underway is not None:
                underway.close()
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
        tags = estimators.class_tags(estimator)
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
        dataset = run.describe(data_of(call), target_of(call), name=name, context="train")
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
        search = searches.finished(call.instance)
        if search is not None:
            with run.attempt("search", "look at the results of a search"):
                found = trace.search if trace is not None and isinstance(trace.search, Underway) else None
                later.append(searches.look_after(run, search, found, dataset, settings.max_tuning_runs))
        X, taken = data_of(call), None
        with run.attempt("training metrics", "predict the training data for the training metrics"):
            taken = predict_training_data(
                call.instance, X, target_of(call), call.argument("sample_weight"), params, settings.max_metric_rows
            )
        with run.attempt("training metrics", "measure the fitted model"):
            labels = outcome.value if getattr(call.wrapped, "__name__", "") == "fit_predict" else None
            later.extend(_measure(run, unsupervised.measure(call.instance, X, labels, params)))
        if taken is not None:
            for subject, reason in taken.skipped.items():
                run.note(SKIPPED, subject, reason)
        if taken is not None and taken.rows < taken.total:
            run.tags({"training_metrics_rows": f"{taken.rows} of {taken.total}, evenly spaced"})
        if settings.log_models:
            models = {MODEL: call.instance}
            if search is not None and search is call.instance:
                models |= searches.best_model(run, search)
            self._write_models(run, models, X, taken, dataset)
        plots = TrainingPlots(run, call.instance, X, settings.pos_label) if settings.log_plots else None
        if taken is None or taken.is_small:
            _work_out(run, taken, plots, settings.pos_label)
        else:
            later.append(lambda: _work_out(run, taken, plots, settings.pos_label))
        return later

    def _write_models(
        self,
        run: RunRecorder,
        models: Mapping[str, Any],
        X: Any,
        taken: TrainingPass | None,
        dataset: Dataset | None,
    ) -> None:
        """Write models that predict the same from the same X; ``models`` maps their paths to them."""
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
        example = X[:5] if settings.log_input_examples else None
        for path, model in models.items():
            with run.attempt(path, "write the fitted model"):
                written = write_model(
                    run.artifact_path(path),
                    model,
                    run_id=run.run_id,
                    signature=signature,
                    input_example=example,
                    created=now(),
                    artifact_path=path,
                    serialization_format=settings.serialization_format,
                    remark=partial(_remark, run, path),
                )
                if path == MODEL and settings.registered_model_name is not None:
                    written = replace(written, registered_model_name=settings.registered_model_name)
                run.model(written)


def _remark(run: RunRecorder, path: str, message: str) -> None:
    run.note(SKIPPED, path, message)
    warn(f"says of the {path}: {message}")


def _measure(run: RunRecorder, found: unsupervised.Measured) -> list[Callable[[], None]]:
    run.metrics(found.metrics)
    run.tags(found.tags)
    for name, values in found.steps.items():
        for step, value in enumerate(values):
            run.metrics({name: value}, step=step)
    later = found.later
    return [] if later is None else [lambda: run.metrics(later())]


def _work_out(run: RunRecorder, taken: TrainingPass | None, plots: TrainingPlots | None, pos_label: Any) -> None:
    metrics: dict[str, float] = {}
    if taken is not None:
        with run.attempt("training metrics", "work out the training metrics"):
            metrics = taken.metrics(pos_label)
            run.metrics(metrics)
            run.tags(taken.tags(pos_label))
    if plots is not None:
        with run.attempt("training plots", "write the training plots"):
            plots.write(taken, metrics)


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
