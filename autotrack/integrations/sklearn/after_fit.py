"""What happens to a model after its fit: predictions, scores, and metrics computed from them."""

from __future__ import annotations

from autotrack.capture.guard import shield
from autotrack.integrations.base import Call, Watching
from autotrack.integrations.sklearn.evaluation import (
    command,
    data_of,
    input_name,
    is_number,
    metric_arguments,
    target_of,
)
from autotrack.integrations.sklearn.memory import Memory
from autotrack.integrations.sklearn.predictions import Origin


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

    def metric(self, call: Call) -> Watching:
        """A function of ``sklearn.metrics`` called on a prediction that is recognised."""
        origin = None
        called = ""
        if self._memory.session.settings.log_post_training_metrics:
            origin = self._memory.predictions.origin(metric_arguments(call.args, call.kwargs))
            if origin is not None:
                called = command(call, call.wrapped.__name__)
        outcome = yield None
        if origin is not None and outcome.error is None and is_number(outcome.value):
            origin.fitted.metric(call.wrapped.__name__, origin.dataset, outcome.value, called)
