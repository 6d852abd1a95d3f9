"""``partial_fit`` loops: one run per estimator, one step per call.

The run is opened by the first call, with params and data as they are then, and is RUNNING as long as the loop goes on.
Every call writes its step to the journal before it returns, so a killed process leaves all of them: ``fit_seconds`` and
``rows_seen``, ``loss`` or ``inertia`` where the model keeps one, and the training metrics on that call's batch for the
first 100 calls and ever fewer later (every call would double what a short one takes). Metrics computed from the model's
predictions get the step of the call before.

The loop is over when ``fit`` is called on the same estimator, when the estimator is garbage, when the active run that
it writes to ends, when autologging is switched off, or when the interpreter exits. Then the model is written, once, and
the run ends: FINISHED, or FAILED where the last call raised, or as the process ends. A process that is killed leaves a
KILLED run without a model.

For a model that is garbage by then, we hold on to its attributes (never to itself): the very objects that it holds,
which live no longer for it than until the model is written. Where one of them leads back to the estimator we do not,
because it would never become garbage, and the run then says that its model was gone.
"""

from __future__ import annotations

import gc
import math
import os
import threading
import types
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from autotrack.capture import guard, scope
from autotrack.capture.recorder import RunRecorder, error_text, number, text
from autotrack.capture.trace import Trace
from autotrack.entities import FAILED, FINISHED, KILLED, SKIPPED, WARNING, Dataset
from autotrack.integrations.base import Call, Outcome, Watching
from autotrack.integrations.sklearn import estimators, runs
from autotrack.integrations.sklearn.evaluating.evaluation import FittedRun, data_of, input_name
from autotrack.integrations.sklearn.fitting.model_writing import MODEL, write_models
from autotrack.integrations.sklearn.fitting.training import TrainingPass, predict_training_data
from autotrack.integrations.sklearn.memory import Memory
from autotrack.integrations.sklearn.rows import count_rows, first

_EVERY_UP_TO: Final = 100
_SPREAD: Final = 1.02
"""Training metrics for each of the first calls, then for those whose number is so many times that of the last one."""

_MOST_ROWS: Final = 10_000
"""So many rows of one batch are predicted at the most."""

_SAMPLE: Final = 5
"""Rows of the first batch of which the model's signature (and input example) is made in the end."""

_VALUES: Final = {"loss_": "loss", "inertia_": "inertia", "reconstruction_err_": "reconstruction_err"}
"""Attribute that holds one number after each step → the metric that it becomes."""

_MOST_LOOKED_AT: Final = 1_000


class Loop:
    """One estimator that is fitted in steps, and its run."""

    def __init__(self, run: RunRecorder, is_own: bool, estimator: Any, dataset: Dataset | None) -> None:
        self.run = run
        self.is_own = is_own
        self.dataset = dataset
        self.lock = threading.RLock()
        self.steps = 0
        self.rows = 0
        self.is_closed = False
        self.verdict: tuple[str, str | None] | None = None
        self.estimator: Callable[[], Any] = lambda: None
        self.kind = type(estimator)
        self.state: dict[str, Any] | None = None
        self.is_free = True
        self.sample: tuple[Any, TrainingPass | None] = (None, None)
        self.next_metrics = 1
        self.warnings: dict[tuple[str, str], int] = {}

    def model(self) -> Any:
        """The estimator; where it is garbage, another one with its attributes; ``None`` where they are not known."""
        estimator = self.estimator()
        if estimator is None and self.state is not None:
            estimator = object.__new__(self.kind)
            vars(estimator).update(self.state)
        return estimator


class Incremental:
    """Observer of ``partial_fit``."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._session = memory.session
        self._begin()

    def partial_fit(self, call: Call) -> Watching:
        """One step of the estimator's run, which the first one opens."""
        estimator = call.instance
        if estimators.only_prepares(estimator) or runs.is_excluded(self._session):
            yield None
            return
        loop = self._loop_of(estimator)
        if loop is None:
            loop = self._open(call)
        call.trace = Trace(estimator, "partial_fit")
        outcome = yield None
        call.trace.root.stop()
        with loop.lock:
            if not loop.is_closed:
                self._step(loop, call, outcome, call.trace)
        self._session.run_touched(loop.run)

    def close(self, estimator: Any) -> None:
        """The estimator's loop is over, if it has one."""
        with guard.shield("end the run of a partial_fit loop"):
            loop = self._loop_of(estimator)
            if loop is not None:
                self._end(loop)

    def close_all(self) -> None:
        """Every loop is over."""
        for loop in list(self._loops.values()):
            with guard.shield("end the run of a partial_fit loop"):
                self._end(loop)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._loops: dict[int, Loop] = {}
        self._gone: deque[Loop] = deque()
        self._is_told = False

    def _loop_of(self, estimator: Any) -> Loop | None:
        if self._pid != os.getpid():  # loops of the parent are the parent's
            self._begin()
        loop = self._loops.get(id(estimator))
        return loop if loop is not None and loop.estimator() is estimator and not loop.is_closed else None

    def _open(self, call: Call) -> Loop:
        estimator = call.instance
        with self._lock:
            loop = self._loop_of(estimator)
            if loop is not None:  # another thread was faster
                return loop
            run, is_own = runs.open_run(self._session, estimator, tags={"fit_loop": "partial_fit"})
            name = input_name(call) or "X"
            with run.attempt("params", "read the params of an estimator"):
                run.params(estimators.printed(estimator.get_params(deep=True)))
            X = data_of(call)
            dataset = runs.training_data(run, X, call.argument("y"), name)
            prepared = self._memory.preparation.look_at(run, estimator, X, call.argument("y"), name)
            if prepared.file is not None:
                with run.attempt("preprocessing", "write what the data went through"):
                    prepared.write(run)
            run.flush()
            loop = Loop(run, is_own, estimator, dataset)
            loop.estimator = weakref.ref(estimator, self._when_gone(id(estimator), loop))
            run.before_end = lambda: self._finish(loop)
            self._loops[id(estimator)] = loop
            self._memory.fitted.set(estimator, FittedRun(run, X, name, dataset))
        if is_own:
            self._session.watch_end()
        return loop

    def _step(self, loop: Loop, call: Call, outcome: Outcome, trace: Trace) -> None:
        """Record one call, before it returns."""
        run, estimator = loop.run, call.instance
        run.step = loop.steps
        loop.steps += 1
        metrics: dict[str, Any] = {"fit_seconds": trace.root.seconds}
        for key, count in trace.warnings.items():
            loop.warnings[key] = loop.warnings.get(key, 0) + count
            if loop.warnings[key] == count:
                run.note(WARNING, *key, count)
        if outcome.error is not None:
            error = outcome.error
            loop.verdict = (FAILED if isinstance(error, Exception) else KILLED, error_text(error))
            run.note(WARNING, "partial_fit", f"step {run.step} raised {type(error).__name__}: {text(error)}")
        else:
            loop.verdict = None
            loop.rows += count_rows(data_of(call)) or 0
            metrics["rows_seen"] = loop.rows
            with run.attempt("training metrics", "work out the training metrics of a batch"):
                self._look(loop, call, metrics)
            with run.attempt("model", "take note of the state of an estimator"):
                self._hold(loop, estimator)
        run.metrics(metrics)
        run.flush()

    def _look(self, loop: Loop, call: Call, metrics: dict[str, Any]) -> None:
        estimator = call.instance
        attributes = vars(estimator)
        for name, key in _VALUES.items():
            value = attributes.get(name)
            if isinstance(value, (float, np.floating)):
                metrics[key] = number(value)
        if loop.steps < loop.next_metrics:
            return
        loop.next_metrics = loop.steps + 1 if loop.steps < _EVERY_UP_TO else math.ceil(loop.steps * _SPREAD)
        settings = self._session.settings
        X, limit = data_of(call), min(settings.max_metric_rows, _MOST_ROWS)
        taken = predict_training_data(
            estimator,
            X,
            call.argument("y"),
            call.argument("sample_weight"),
            estimator.get_params(deep=True),
            limit,
        )
        if taken is not None:
            metrics |= taken.metrics(settings.pos_label)
            if taken.rows < taken.total and loop.steps == 1:
                loop.run.tags({"training_metrics_rows": f"{taken.rows} of {taken.total}, evenly spaced"})
        if loop.steps == 1 and settings.log_models:
            loop.sample = _sample(X, taken)

    def _hold(self, loop: Loop, estimator: Any) -> None:
        # Of a class that is not scikit-learn's, any step may put the estimator into one of its attributes.
        if loop.is_free:
            loop.is_free = self._session.settings.log_models and _is_free(estimator)
        loop.state = dict(vars(estimator)) if loop.is_free else None

    def _end(self, loop: Loop) -> None:
        if loop.is_own and not loop.run.ended:
            loop.run.end(FINISHED)  # which finishes it first
            self._session.watch_end()
        else:
            self._finish(loop)
            loop.run.flush()

    def _finish(self, loop: Loop) -> tuple[str, str | None] | None:
        """Write the model, and give back the status and reason of a run whose last step failed."""
        with loop.lock, scope.quietly(scope.OURS):
            if loop.is_closed or not loop.run.is_ours:
                return None
            loop.is_closed = True
            for key, count in loop.warnings.items():
                loop.run.note(WARNING, *key, count)
            if self._session.settings.log_models and (loop.rows or loop.verdict is None):
                estimator = loop.model()
                if estimator is not None:
                    write_models(loop.run, {MODEL: estimator}, *loop.sample, loop.dataset)
                else:
                    loop.run.note(
                        SKIPPED, "model", "the estimator was gone before its partial_fit loop was known to be over"
                    )
            loop.state, loop.sample = None, (None, None)
        for place, other in list(self._loops.items()):
            if other is loop:
                self._loops.pop(place, None)
        if loop.is_own:
            return loop.verdict
        if loop.verdict is not None:  # as for a fit, the run that a person opened is theirs to fail
            loop.run.tags({"fit_error": (loop.verdict[1] or "").rpartition("\n")[2]})
        return None

    def _when_gone(self, key: int, loop: Loop) -> Callable[[Any], None]:
        """What happens when the estimator is garbage, in whatever thread and whatever code that may be."""
        kept = weakref.ref(loop)

        def gone(_: Any) -> None:
            loop = kept()
            if loop is None or loop.is_closed or self._pid != os.getpid():
                return
            if self._loops.get(key) is loop:
                self._loops.pop(key, None)
            # Locks may be held here: the background thread does the rest. One task ends all that are gone by then.
            self._gone.append(loop)
            if not self._is_told:
                self._is_told = True
                self._session.worker.later(self._end_gone)

        return gone

    def _end_gone(self) -> None:
        self._is_told = False
        while self._gone:
            with guard.shield("end the run of a partial_fit loop"):
                self._end(self._gone.popleft())


def _sample(X: Any, taken: TrainingPass | None) -> tuple[Any, TrainingPass | None]:
    """A few rows of a batch, and the predictions for them, as copies of ours."""
    rows = first(_SAMPLE, X)
    if taken is None or taken.y_pred is None:
        return rows, None
    predicted = taken.y_pred[:_SAMPLE].copy()
    few = replace(taken, y_true=None, y_pred=predicted, probabilities=None, decisions=None, sample_weight=None)
    return rows, few


def _is_free(estimator: Any) -> bool:
    """Whether its attributes can be held without holding the estimator itself, as far as a short look can tell."""
    cls: Any = type(estimator)
    if hasattr(cls, "__del__") or not hasattr(estimator, "__dict__"):
        return False
    if any(getattr(part, "__slots__", ()) for part in cls.__mro__):
        return False
    if cls.__module__.startswith("sklearn."):
        return True
    seen: set[int] = set()
    waiting: list[Any] = list(vars(estimator).values())
    while waiting:
        thing = waiting.pop()
        if thing is estimator:
            return False
        if id(thing) in seen or isinstance(thing, (type, types.ModuleType)):
            continue
        seen.add(id(thing))
        if len(seen) > _MOST_LOOKED_AT:
            return False
        # A function's globals are a whole module; what it holds besides stands in its closure.
        held = thing.__closure__ or () if isinstance(thing, types.FunctionType) else gc.get_referents(thing)
        waiting.extend(held)
    return True
