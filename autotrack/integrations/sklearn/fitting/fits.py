"""One outermost fit: a run, what is looked at before it, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autotrack.capture.recorder import RunRecorder
from autotrack.capture.trace import Trace
from autotrack.entities import Dataset
from autotrack.integrations.base import Call, Watching, along
from autotrack.integrations.sklearn import estimators, runs
from autotrack.integrations.sklearn.evaluating.evaluation import FittedRun, data_of, input_name, target_of
from autotrack.integrations.sklearn.evaluating.predictions import Origin
from autotrack.integrations.sklearn.fitting import leavings
from autotrack.integrations.sklearn.fitting.warm_start import Earlier, WarmStarts
from autotrack.integrations.sklearn.memory import Memory
from autotrack.integrations.sklearn.preparing.data_checks import DataChecks, note_folds
from autotrack.integrations.sklearn.searching import searches
from autotrack.integrations.sklearn.searching.underway import Underway


class Fits:
    """Observers of ``fit`` and of the methods that fit on their way."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._session = memory.session
        self._warm = WarmStarts(memory.session)

    def fit(self, call: Call) -> Watching:
        """One outermost fit: a run, or the active run's own where it is the first in it."""
        estimator = call.instance
        if runs.is_excluded(self._session):
            yield None
            return
        if estimators.only_prepares(estimator):
            yield from self._memory.preparation.fit(call)
            return
        name = input_name(call) or "X"
        earlier = self._warm.goes_on(call)
        if earlier is not None:
            run, is_own = earlier.run, earlier.is_own
        else:
            run, is_own = runs.open_run(self._session, estimator)
        underway: Underway | None = None
        try:
            params, dataset = self._look_before(run, call, name, earlier)
            prepared = self._memory.preparation.look_at(run, estimator, data_of(call), target_of(call), name)
            if estimators.is_search(estimator) and self._session.settings.log_datasets:
                note_folds(run, prepared.made, name, supervised_only=True)
            run.flush()
            call.trace = Trace(estimator)
            call.trace.search = underway = searches.begin(estimator, self._session.settings)
            outcome = yield None
            call.trace.root.stop()
            if underway is not None:
                underway.close()
            later = leavings.look_after(run, call, outcome, params, dataset)
            if prepared.file is not None:
                later.append(lambda: prepared.write(run))
            self._warm.remember(call, run, is_own, dataset)
            if outcome.error is not None:
                self._memory.link(estimator, None)
            elif earlier is None or self._memory.fitted.get(estimator) is None:
                fitted = FittedRun(run, data_of(call), name, dataset)
                fitted.checks = DataChecks(
                    run, self._memory.preparation.lineage, estimator, data_of(call), prepared.made, dataset
                )
                self._memory.link(estimator, fitted)
                self._memory.preparation.fitted_with_run(call, run, prepared.made, name, outcome.value)
            runs.finish(run, is_own, outcome.error, later)
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
        outcome = yield from along(watching)
        fitted = self._memory.fitted.get(call.instance)
        if fitted is not None and outcome.error is None:
            self._memory.predictions.remember(outcome.value, Origin(fitted, fitted.name), X)

    def clear(self) -> None:
        """Forget everything."""
        self._warm.clear()

    def _look_before(
        self, run: RunRecorder, call: Call, name: str, earlier: Earlier | None
    ) -> tuple[Mapping[str, Any], Dataset | None]:
        """Params and data, before the fit may change them."""
        estimator = call.instance
        params: Mapping[str, Any] = {}
        with run.attempt("params", "read the params of an estimator"):
            params = estimator.get_params(deep=True)
            shown = estimator.get_params(deep=False) if estimators.is_search(estimator) else params
            run.params(estimators.printed(shown))
        if earlier is not None:
            return params, earlier.dataset
        return params, runs.training_data(run, data_of(call), target_of(call), name)
