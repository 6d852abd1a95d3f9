"""Evaluation without a fit of one's own: ``cross_val_score`` and its kin are one run each.

The run is named after the call, ``cross_val_score(SVC)``, and holds the estimator's params, the data's fingerprint and
what was measured; the fits inside are timed (``fit_trace.json``) and make no runs, and there is no model. Tags:
``evaluation`` (the function), ``cv``, ``scoring``, ``n_splits``, ``groups`` (the variable), and every other option that
was given, under its own name. Metrics:

- ``cross_val_score``, ``cross_validate``: ``test_score`` (``test_<scorer>`` for several), ``train_…`` where asked for,
  ``fit_time``, ``score_time``, a step per fold; ``mean_…`` and ``std_…`` of each. ``cross_val_score`` gives back no
  times: those of the fits are known where they ran one after the other in this process.
- ``cross_val_predict``: none of its own; those computed from what it returns join the run, as if it were a model's.
- ``learning_curve``, ``validation_curve``: ``mean_…`` and ``std_…`` of ``test_score`` and ``train_score``, a step per
  training size (the size) or per value of the param (its place); each fold's in ``scores.csv``; a plot.
- ``permutation_test_score``: ``score``, ``pvalue``, mean and std of ``permutation_score``; a plot.
- ``permutation_importance``: ``importance_<feature>``; all of it in ``importances.csv``; a plot. The model is one that
  was fitted before: where its run is known, ``model_run_id`` names it, and the plot stands on that run too, because
  that is where one looks for what a model relies on. The rest is a run of its own, so that importances on several
  data sets do not mix.

What the data went through before is told as for fits, and a transformer that learnt from all the rows before they were
split into folds is a finding in the run's report.

Nothing is asked of a splitter that could change what it gives: a generator given as ``cv`` is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np

from autotrack.capture.guard import shield
from autotrack.capture.names import argument_name
from autotrack.capture.recorder import RunRecorder, text
from autotrack.capture.trace import Trace
from autotrack.entities import WARNING, Dataset
from autotrack.integrations.base import Call, Outcome, Watching
from autotrack.integrations.sklearn import estimators, runs
from autotrack.integrations.sklearn.evaluating.evaluation import FittedRun
from autotrack.integrations.sklearn.evaluating.predictions import Origin
from autotrack.integrations.sklearn.fitting import inside
from autotrack.integrations.sklearn.folds import results
from autotrack.integrations.sklearn.folds.results import Found
from autotrack.integrations.sklearn.memory import Memory
from autotrack.integrations.sklearn.preparing.data_checks import note_folds

FUNCTIONS: Final = (
    "cross_val_predict",
    "cross_val_score",
    "cross_validate",
    "learning_curve",
    "permutation_test_score",
    "validation_curve",
)

_NO_OPTIONS: Final = frozenset(
    {"estimator", "X", "y", "groups", "params", "fit_params", "sample_weight", "n_jobs", "verbose", "pre_dispatch"}
)
"""Arguments that are data, or change nothing but how fast and loud it goes."""

_MOST_ITEMS: Final = 50
_MOST_REASONS: Final = 3
_DEFAULT_SPLITS: Final = 5


class CrossValidations:
    """Observer of functions that fit clones of an estimator, or try a fitted one, to measure it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._session = memory.session

    def observe(self, call: Call) -> Watching:
        """One call: a run, or the active run's own where it is the first in it."""
        estimator = call.argument("estimator")
        if not hasattr(estimator, "get_params") or isinstance(estimator, type) or runs.is_excluded(self._session):
            yield None
            return
        function = call.wrapped.__name__
        run, is_own = runs.open_run(
            self._session, estimator, f"{function}({estimators.run_name(estimator)})", {"evaluation": function}
        )
        try:
            name = argument_name(call.frame, "X", call.position("X"), call.argument("X")) or "X"
            dataset = self._look_before(run, call, name)
            prepared = self._memory.preparation.look_at(run, None, call.argument("X"), call.argument("y"), name)
            if dataset is not None and function in FUNCTIONS:
                note_folds(run, prepared.made, name)
            run.flush()
            call.trace = Trace(estimator, function)
            outcome = yield None
            call.trace.root.stop()
            later = self._look_after(run, call, outcome, call.trace, name)
            if prepared.file is not None:
                later.append(partial(prepared.write, run))
            if outcome.error is None and function == "cross_val_predict":
                self._remember(run, call, outcome.value, name, dataset)
            runs.finish(run, is_own, outcome.error, later)
        finally:
            # Only where the call was left by a way not foreseen above, such as Ctrl-C in our own part.
            if is_own and not run.ended:
                run.end_by(GeneratorExit())

    def _look_before(self, run: RunRecorder, call: Call, name: str) -> Dataset | None:
        estimator = call.argument("estimator")
        with run.attempt("params", "read the params of an estimator"):
            params = estimator.get_params(deep=not estimators.is_search(estimator))
            run.params(estimators.printed(params))
        with run.attempt("options", "read how the evaluation is done"):
            run.tags(_options(call))
        if call.wrapped.__name__ == "permutation_importance":
            fitted = self._memory.fitted.get(estimator)
            if fitted is not None:
                run.tags({"model_run_id": fitted.run.run_id})
        X, y = call.argument("X"), call.argument("y")
        if not self._session.settings.log_datasets:
            return None
        context = "train" if call.wrapped.__name__ in FUNCTIONS else "eval"
        dataset = run.describe(X, y, name=name, context=context)
        if dataset is not None:
            target = argument_name(call.frame, "y", call.position("y"), y) if y is not None else None
            if target is not None:
                dataset = replace(dataset, target={"name": target, **dataset.target})
            run.dataset(dataset)
        return dataset

    def _look_after(
        self, run: RunRecorder, call: Call, outcome: Outcome, trace: Trace, name: str
    ) -> list[Callable[[], None]]:
        """Gather what the call gave, before the user may change it; gives back what can be done later."""
        later: list[Callable[[], None]] = []
        inside.note_warnings(run, trace)
        if trace.root.children:
            later.append(partial(inside.write_trace, run, trace))
        if outcome.error is not None:
            return later
        found = Found()
        with run.attempt("scores", "read what an evaluation gave"):
            found = results.read(call, outcome.value, trace)
            run.add(found.logged(run.run_id))
            _note_failures(run, found, trace)
        n_splits = found.n_splits or _told_splits(call)
        if n_splits:
            run.tags({"n_splits": n_splits})
        for path, content in found.files.items():
            later.append(partial(_write, run, path, content))
        if found.plot is not None and self._session.settings.log_plots:
            plot, on = found.plot, [(run, call.wrapped.__name__)]
            if call.wrapped.__name__ == "permutation_importance":
                fitted = self._memory.fitted.get(call.argument("estimator"))
                if fitted is not None:
                    on.append((fitted.run, f"permutation_importance_{name}"))
            later.append(lambda: _write_plot(plot, on))
        return later

    def _remember(self, run: RunRecorder, call: Call, prediction: Any, name: str, dataset: Dataset | None) -> None:
        """Metrics that are computed from these predictions belong to this run."""
        if self._session.settings.log_post_training_metrics:
            X = call.argument("X")
            self._memory.predictions.remember(prediction, Origin(FittedRun(run, X, name, dataset), name), X)


def _options(call: Call) -> dict[str, str]:
    """What the caller chose, as tags; ``cv`` and ``scoring`` in any case."""
    given = {**dict(zip(call.names, call.args, strict=False)), **call.kwargs}
    tags = {name: _shown(value) for name, value in given.items() if name not in _NO_OPTIONS}
    if call.wrapped.__name__ in FUNCTIONS:
        tags["cv"] = _splitter(call, given.get("cv"))
        if given.get("groups") is not None:
            name = argument_name(call.frame, "groups", call.position("groups"), given["groups"])
            tags["groups"] = name or _shown(given["groups"])
    if call.wrapped.__name__ != "cross_val_predict":
        scoring = given.get("scoring")
        estimator = call.argument("estimator")
        tags["scoring"] = estimators.score_metric(estimator) or "score" if scoring is None else _shown(scoring)
    for name in ("params", "fit_params", "sample_weight"):
        value = given.get(name)
        if value is not None:
            tags[name] = ", ".join(map(str, value)) if isinstance(value, Mapping) else _shown(value)
    return tags


def _splitter(call: Call, cv: Any) -> str:
    """The splitter; that for a number of folds as scikit-learn chooses it."""
    if cv is not None and type(cv) is not int:
        return _shown(cv)
    y = call.argument("y")
    if isinstance(y, (list, tuple)):  # not all of it, which takes long
        y = np.asarray(y[:1])
    shape: tuple[int, ...] = getattr(y, "shape", ())
    is_column = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    stratified = is_column and estimators.task(call.argument("estimator")) == "classifier"
    return f"{'StratifiedKFold' if stratified else 'KFold'}(n_splits={_DEFAULT_SPLITS if cv is None else cv})"


def _told_splits(call: Call) -> int | None:
    """The number of folds, where the result does not tell it and the splitter does without any work."""
    cv = call.argument("cv")
    if call.wrapped.__name__ not in FUNCTIONS:
        return None
    if cv is None or type(cv) is int:
        return _DEFAULT_SPLITS if cv is None else cv
    if isinstance(cv, (list, tuple)):
        return len(cv)
    if type(cv).__module__.startswith("sklearn."):
        with shield("ask a splitter for the number of folds"):
            return int(cv.get_n_splits(call.argument("X"), call.argument("y"), call.argument("groups")))
    return None


def _shown(value: Any) -> str:
    """An option's value, short: never the content of large data, and nothing of an iterator is taken."""
    if value is None or isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, Mapping):
        return ", ".join(map(str, value))
    if isinstance(value, np.ndarray) and value.size <= _MOST_ITEMS:
        return str(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        if len(value) <= _MOST_ITEMS and all(
            item is None or isinstance(item, (str, int, float, np.generic)) for item in value
        ):
            return str([item.item() if isinstance(item, np.generic) else item for item in value])
        return f"<{type(value).__name__} of {len(value)}>"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"<{type(value).__name__} of shape {shape}>"
    if hasattr(value, "__next__"):
        return f"<{type(value).__name__}>"
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else text(value)


def _note_failures(run: RunRecorder, found: Found, trace: Trace) -> None:
    """Say how many folds have no score, and why, as far as their fits ran in this process."""
    if not found.n_failed:
        return
    reasons = dict.fromkeys(node.error for node in trace.nodes() if node.error is not None)
    told = "; ".join(list(reasons)[:_MOST_REASONS]) or "the reason is in the warnings, if they were shown"
    run.note(WARNING, "failed folds", f"{found.n_failed} of {found.n_scores} test scores are not a number: {told}")


def _write(run: RunRecorder, path: str, content: Callable[[], bytes]) -> None:
    run.artifact(path, content())


def _write_plot(make: Callable[[], dict[str, Any]], on: list[tuple[RunRecorder, str]]) -> None:
    from autotrack.plots.files import path_of, to_json

    plot = make()
    for run, name in on:
        run.artifact(path_of(name), to_json({name: plot}))
        run.flush()
