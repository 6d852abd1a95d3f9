"""``warm_start`` loops: an estimator that is fitted on, on the same data, goes on with its run.

``forest.set_params(n_estimators=forest.n_estimators + 10).fit(X, y)`` again and again, with ``warm_start=True``, is one
run: each fit is a step of its metrics, params and model are those of the last one. The run is FINISHED between the
fits, because nobody can know whether another one comes. With other data, or ``warm_start=False``, a new run begins.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from autotrack.capture import scope
from autotrack.capture.links import Links
from autotrack.capture.recorder import RunRecorder, Session
from autotrack.entities import Dataset
from autotrack.integrations.base import Call
from autotrack.integrations.sklearn.estimators import attribute, last_step
from autotrack.integrations.sklearn.evaluating.evaluation import data_of

_PATIENCE: Final = 5.0
"""So many seconds a fit waits for what is still being worked out of the fit before, whose step it must get."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The fit before: its run, whether that was the fit's own, where it was made, and on which data."""

    run: RunRecorder
    is_own: bool
    active: RunRecorder | None
    X: Callable[[], Any]
    y: Callable[[], Any]
    dataset: Dataset | None
    target: str


class WarmStarts:
    """Which run a further fit of an estimator goes on with."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._earlier = Links()

    def goes_on(self, call: Call) -> Earlier | None:
        """What a fit that is about to begin goes on with; the run is open then, one step further."""
        if not is_warm(call.instance):
            return None
        earlier: Earlier | None = self._earlier.get(call.instance)
        if earlier is None or not earlier.run.is_ours or earlier.run.ended != earlier.is_own:
            return None
        if earlier.active is not _active() or not self._is_same_data(earlier, call):
            return None
        self._session.flush(_PATIENCE)
        earlier.run.step += 1
        if earlier.is_own:
            earlier.run.reopen()
        earlier.run.tags({"fit_loop": "warm_start"})
        return earlier

    def remember(self, call: Call, run: RunRecorder, is_own: bool, dataset: Dataset | None) -> None:
        """Take note of a fit, should there be another one."""
        if is_warm(call.instance):
            X, y = _weakly(data_of(call)), _weakly(call.argument("y"))
            target = _digest(run, call.argument("y")) if dataset is not None else ""
            self._earlier.set(call.instance, Earlier(run, is_own, _active(), X, y, dataset, target))

    def clear(self) -> None:
        """Forget everything."""
        self._earlier.clear()

    def _is_same_data(self, earlier: Earlier, call: Call) -> bool:
        X, y = data_of(call), call.argument("y")
        known = earlier.dataset
        if known is None or not known.digest:
            return earlier.X() is X and earlier.y() is y
        # The same object may have been changed since.
        data = earlier.run.describe(X, y, name=known.name, context=known.context)
        return data is not None and data.digest == known.digest and _digest(earlier.run, y) == earlier.target


def is_warm(estimator: Any) -> bool:
    """Whether a further fit goes on from where the estimator is."""
    return attribute(last_step(estimator), "warm_start") is True


def _digest(run: RunRecorder, y: Any) -> str:
    data = run.describe(y, None, name="y", context="train") if y is not None else None
    return data.digest if data is not None else ""


def _active() -> RunRecorder | None:
    active = scope.active_run.get()
    return None if active is None or active.ended else active


def _weakly(thing: Any) -> Callable[[], Any]:
    if thing is None:
        return lambda: None
    try:
        return weakref.ref(thing)
    except TypeError:  # a list: never the same again
        return object
