"""What happens to a model after its fit: predictions, scores, and metrics computed from them."""

from __future__ import annotations

from autotrack.capture.guard import shield
from autotrack.integrations.base import Call, Watching, along
from autotrack.integrations.sklearn.evaluating import results, scorers
from autotrack.integrations.sklearn.evaluating.evaluation import (
    command,
    data_of,
    given,
    input_name,
    is_number,
    target_of,
)
from autotrack.integrations.sklearn.evaluating.predictions import TRUE, Origin, Unknown
from autotrack.integrations.sklearn.memory import Memory


class AfterFit:
    """Observers of fitted models and of ``sklearn.metrics``."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def predict(self, call: Call) -> Watching:
        """A prediction of a model whose run we know."""
        fitted = self._memory.fitted_run(call.instance)
        name = input_name(call) if fitted is not None else None
        outcome = yield None
        if fitted is None or outcome.error is not None:
            return
        X = data_of(call)
        self._memory.predictions.remember(outcome.value, Origin(fitted, fitted.dataset(X, None, name)), X)

    def transform(self, call: Call, watching: Watching) -> Watching:
        """What a model made of data, such as a projection: known to metrics that are given no prediction.

        ``watching`` is what else observes the call.
        """
        fitted = self._memory.fitted_run(call.instance)
        name = input_name(call) if fitted is not None else None
        outcome = yield from along(watching)
        if fitted is not None and outcome.error is None:
            dataset = fitted.dataset(data_of(call), None, name, check=False)
            self._memory.transformed.derived(outcome.value, Origin(fitted, dataset))

    def score(self, call: Call) -> Watching:
        """``model.score(X, y)``."""
        fitted = self._memory.fitted_run(call.instance)
        name, called = None, ""
        metric = f"{type(call.instance).__name__}_score"
        if fitted is not None:
            name = input_name(call)
            with shield("describe a call of score"):
                called = command(call, f"{type(call.instance).__name__}.score")
        outcome = yield None
        if fitted is None or outcome.error is not None or not is_number(outcome.value):
            return
        dataset = fitted.dataset(data_of(call), target_of(call), name)
        fitted.metric(metric, dataset, outcome.value, called)

    def scorer(self, call: Call) -> Watching:
        """``scorer(model, X, y)``: the score functions inside are the originals, so it is observed as a whole."""
        arguments = [value for _, value in given(call)]
        estimator = arguments[0] if arguments else None
        fitted = self._memory.fitted_run(estimator)
        used = scorers.used(call) if fitted is not None or self._is_noted() else []
        name = scorers.data_name(call) if fitted is not None else None
        outcome = yield None
        if outcome.error is not None:
            return
        if fitted is None:
            for score in used:
                self._note(score.name, score.command, Unknown("a model whose fit was not recorded"))
            return
        X, y = scorers.data(call)
        dataset = fitted.dataset(X, y, name)
        for score in used:
            value = score.value(outcome.value)
            if is_number(value):
                fitted.metric(score.name, dataset, value, score.command)

    def metric(self, call: Call) -> Watching:
        """A function of ``sklearn.metrics`` called on a prediction that is recognised."""
        name, called, origin = call.wrapped.__name__, "", None
        if self._memory.session.settings.log_post_training_metrics:
            origin = self._recognise(call)
            if isinstance(origin, Origin) or self._is_noted(name):
                called = command(call, name)
        outcome = yield None
        if origin is None or outcome.error is not None:
            return
        if isinstance(origin, Unknown):
            if called and _compares(call):
                self._note(name, called, origin)
        elif is_number(outcome.value):
            origin.fitted.metric(name, origin.dataset, outcome.value, called, part=origin.part)
        elif _compares(call):
            self._memory.predictions.derived(outcome.value, origin)
            results.record(call, name, outcome.value, origin, called)

    def _recognise(self, call: Call) -> Origin | Unknown:
        arguments = given(call)
        found = self._memory.predictions.recognise(call.names, arguments)
        if isinstance(found, Unknown):
            other = self._memory.transformed.origin([value for _, value in arguments], ())
            return other if isinstance(other, Origin) else found
        return found

    def _is_noted(self, name: str = "") -> bool:
        """Whether there is a run to tell that a metric was not recorded."""
        return self._memory.session.settings.log_post_training_metrics and self._memory.reports.wants(name)

    def _note(self, name: str, called: str, why: Unknown) -> None:
        self._memory.reports.skipped(name, f"{called} was called on {why.reason}")


def _compares(call: Call) -> bool:
    """Whether the function takes predictions at all: distances and kernels take any data."""
    return bool(call.names) and (call.names[0] in TRUE or "labels" in call.names[1:2] or call.names[0] == "x")
