"""What a fit leaves behind: times, warnings, iterations, training metrics, plots and models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from autotrack.capture.recorder import RunRecorder
from autotrack.capture.sinks import now
from autotrack.entities import SKIPPED, Dataset
from autotrack.integrations.base import Call, Outcome
from autotrack.integrations.sklearn.evaluating.evaluation import data_of, target_of
from autotrack.integrations.sklearn.fitting import inside, scores, unsupervised
from autotrack.integrations.sklearn.fitting.model_writing import MODEL, write_models
from autotrack.integrations.sklearn.fitting.training import TrainingPass, predict_training_data
from autotrack.integrations.sklearn.plotting.training_plots import TrainingPlots
from autotrack.integrations.sklearn.searching import searches
from autotrack.integrations.sklearn.searching.underway import Underway

Task = Callable[[], None]


def look_after(
    run: RunRecorder, call: Call, outcome: Outcome, params: Mapping[str, Any], dataset: Dataset | None
) -> list[Task]:
    """Gather what a fit left behind, before the user may change it; gives back what can be done later.

    Parameters
    ----------
    run : the fit's run.
    call, outcome : the fit, and how it ended.
    params : the estimator's, as they were before it.
    dataset : the fingerprint of the training data, where it was taken.
    """
    later: list[Task] = []
    trace = call.trace
    if trace is not None:
        run.metrics({"fit_seconds": trace.root.seconds, **inside.step_seconds(call.instance, trace)})
        inside.note_warnings(run, trace)
        if trace.root.children:
            later.append(partial(inside.write_trace, run, trace))
    if outcome.error is not None:
        return later
    with run.attempt("iterations", "read the iterations of the fitted estimator"):
        inside.look_inside(run, call.instance, trace, now())
    settings = run.session.settings
    search = searches.finished(call.instance)
    if search is not None:
        with run.attempt("search", "look at the results of a search"):
            underway = trace.search if trace is not None and isinstance(trace.search, Underway) else None
            later.append(searches.look_after(run, search, underway, dataset, settings.max_tuning_runs))
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
        sampled = f"{taken.rows} of {taken.total}, evenly spaced"
        run.tags({"training_metrics_rows": sampled})
        run.note(SKIPPED, "rows", f"training metrics and plots are those of {sampled} (option max_metric_rows)")
    if settings.log_models:
        models = {MODEL: call.instance}
        if search is not None and search is call.instance:
            models |= searches.best_model(run, search)
        write_models(run, models, X, taken, dataset)
    if taken is not None:
        _note_unknown_label(run, taken, settings.pos_label)
    scored = _Scored(run, taken, settings.pos_label)
    if taken is not None:
        if taken.is_small:
            scored.measure()
        else:
            later.append(scored.measure)
    if settings.log_plots:
        plots = TrainingPlots(run, call.instance, X, settings.pos_label)
        later.append(lambda: scored.draw(plots))
    return later


def _note_unknown_label(run: RunRecorder, taken: TrainingPass, wanted: Any) -> None:
    """Say that the option ``pos_label`` names no class of the target, where it does not."""
    if wanted is None or taken.task != "classifier" or taken.classes is None:
        return
    if scores.label_meant(taken.classes, wanted) is None:
        shown = ", ".join(repr(label) for label in taken.classes[:5].tolist())
        message = f"pos_label={wanted!r} is no class of the target ({shown}{', …' if len(taken.classes) > 5 else ''})"
        run.note(SKIPPED, "pos_label", message)


def _measure(run: RunRecorder, found: unsupervised.Measured) -> list[Task]:
    run.metrics(found.metrics)
    run.tags(found.tags)
    for name, values in found.steps.items():
        for step, value in enumerate(values):
            run.metrics({name: value}, step=step)
    later = found.later
    return [] if later is None else [lambda: run.metrics(later())]


class _Scored:
    """Predictions already taken, and what is worked out from them: metrics first, then plots that name them."""

    def __init__(self, run: RunRecorder, taken: TrainingPass | None, pos_label: Any) -> None:
        self._run = run
        self._taken = taken
        self._pos_label = pos_label
        self._metrics: dict[str, float] = {}

    def measure(self) -> None:
        if self._taken is not None:
            with self._run.attempt("training metrics", "work out the training metrics"):
                self._metrics = self._taken.metrics(self._pos_label)
                self._run.metrics(self._metrics)
                self._run.tags(self._taken.tags(self._pos_label))

    def draw(self, plots: TrainingPlots) -> None:
        with self._run.attempt("training plots", "write the training plots"):
            plots.write(self._taken, self._metrics)
