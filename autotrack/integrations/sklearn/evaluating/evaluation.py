"""After the fit: which run a model, its predictions and the metrics computed from them belong to."""

from __future__ import annotations

import json
import numbers
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from autotrack.capture.guard import shield
from autotrack.capture.names import argument_name
from autotrack.capture.recorder import RunRecorder
from autotrack.entities import Dataset
from autotrack.integrations.base import Call

if TYPE_CHECKING:
    from autotrack.integrations.sklearn.preparing.data_checks import DataChecks

UNKNOWN: Final = "unknown_dataset"
_MOST_DATASETS: Final = 16
"""So many data sets of one run are fingerprinted; later ones are told apart by identity alone."""

_TELL_AFTER: Final = 0.5
"""Seconds until ``metric_info.json`` is written: many metrics in a row cost one file. The longer it is, the later."""

_STRING: Final = 32


class _Known(NamedTuple):
    """Data that a run knows: a way to the object while it lives, its digest where it was taken, its number."""

    reference: Callable[[], Any]
    digest: str
    number: int


class FittedRun:
    """The run of one fitted model, and what was evaluated with it since.

    Parameters
    ----------
    run : its recorder.
    X : the training data, to know it again; not kept alive.
    name : what the script called it.
    data : its fingerprint, where it was taken.

    Attributes
    ----------
    checks : what looks at evaluation data that is new; `None` for nothing.
    """

    def __init__(self, run: RunRecorder, X: Any, name: str, data: Dataset | None = None) -> None:
        self.run = run
        self.name = name
        self._lock = threading.RLock()
        digest = data.digest if data is not None else ""
        self._datasets: dict[str, list[_Known]] = {name: [_Known(_weakly(X), digest, 0)]}
        self._numbers = Counter({name: 1})
        self._described = 1
        self._uses: Counter[tuple[str, str]] = Counter()
        self._calls: dict[str, str] = {}
        self._step = run.step
        self._told = False
        self.checks: DataChecks | None = None

    def dataset(self, X: Any, y: Any, name: str | None, *, check: bool = True) -> str:
        """The name of evaluation data: the variable's, with ``-2`` … for other data of the same name (as MLflow).

        Data not seen before is fingerprinted, for the first few data sets of a run; the same content is the same data.
        It is checked too, unless it is no evaluation.
        """
        base = name or UNKNOWN
        with self._lock:
            seen = self._datasets.setdefault(base, [])
            for known in seen:
                if known.reference() is X:
                    return _indexed(base, known.number)
            index, data = self._numbers[base], None
            if self._described < _MOST_DATASETS and self.run.session.settings.log_datasets:
                data = self.run.describe(X, y, name=_indexed(base, index), context="eval")
            digest = data.digest if data is not None else ""
            if digest:
                for known in seen:
                    if known.digest == digest:
                        return _indexed(base, known.number)
            # What is gone and has no digest is never recognised again.
            seen[:] = [known for known in seen if known.digest or known.reference() is not None]
            seen.append(_Known(_weakly(X), digest, index))
            self._numbers[base] += 1
            self._described += data is not None
        if data is not None:
            self.run.dataset(data)
            if check and self.checks is not None:
                self.checks.look_at(X, data)
            self.run.flush()
        return _indexed(base, index)

    def key(self, name: str, dataset: str, kind: str = "") -> str:
        """``{name}[-{n}]_{dataset}``, where ``n`` counts the uses of the name on this run, over all data sets.

        Each ``kind`` is counted by itself: what MLflow does not record must not shift the numbers of what it does. Of
        a model that is fitted on and on, the same use after a further fit has the same key: it is a further step.
        """
        with self._lock:
            if self._step != self.run.step:
                self._step = self.run.step
                self._uses.clear()
            index = self._uses[kind, name]
            self._uses[kind, name] += 1
        return f"{_indexed(name, index)}_{dataset}"

    def metric(self, name: str, dataset: str, value: float, command: str, *, part: bool = False) -> None:
        """Record a metric, and how it was called in ``metric_info.json``; ``part`` for one of some rows only."""
        key = self.key(name, f"{dataset}-part", "part") if part else self.key(name, dataset)
        with self._lock:
            is_news = self._calls.get(key) != command
            self._calls[key] = command
            tell = is_news and not self._told
            self._told = self._told or is_news
        self.run.metrics({key: value})
        self.run.flush()
        if tell:
            self.run.session.worker.submit(self._tell_calls, delay=_TELL_AFTER * (1 + len(self._calls) / 1_000))

    def _tell_calls(self) -> None:
        with self._lock:
            self._told = False
            calls = dict(sorted(self._calls.items()))
        with shield("write metric_info.json"):
            self.run.artifact("metric_info.json", json.dumps(calls, indent=2).encode())
            self.run.flush()


def data_of(call: Call) -> Any:
    """The data that a method of an estimator was given: its first argument, whatever the parameter's name."""
    if not call.names:  # of a method that takes anything, as bad decorators make it
        return call.args[0] if call.args else call.kwargs.get("X")
    return call.argument(call.first())


_TARGETS: Final = ("y", "Y", "target", "targets", "y_true", "labels")


def target_of(call: Call) -> Any:
    """The target that a method of an estimator was given; chains call it ``Y``."""
    if not call.names and len(call.args) > 1:
        return call.args[1]
    return next((value for name in _TARGETS if (value := call.argument(name)) is not None), None)


def input_name(call: Call) -> str | None:
    """What the caller calls that data."""
    return argument_name(call.frame, call.first(), 0, data_of(call))


def command(call: Call, function: str) -> str:
    """The call as a line of code, with the caller's names for arrays: ``r2_score(y_true=test_y, y_pred=pred)``."""
    parts = []
    for name, value in given(call):
        variable = None
        if isinstance(value, np.ndarray) or not (value is None or np.isscalar(value)):
            variable = argument_name(call.frame, name, call.position(name), value)
        parts.append(f"{name}={variable or shown(value)}")
    return f"{function}({', '.join(parts)})"


def shown(value: Any) -> str:
    """A value that has no name: scalars as they are, of others the type."""
    if isinstance(value, str) and len(value) > _STRING:
        return repr(value[:_STRING] + "...")
    return repr(value) if value is None or np.isscalar(value) else f"<{type(value).__name__}>"


def given(call: Call) -> list[tuple[str, Any]]:
    """The arguments that were given, with their parameters' names, positional ones first."""
    return [*zip(call.names, call.args, strict=False), *call.kwargs.items()]


def is_number(value: Any) -> bool:
    """Whether a result is a metric: a real number and no bool, or an array of no dimensions that holds one."""
    if isinstance(value, (int, float, np.number)):
        return not isinstance(value, (bool, np.complexfloating))
    if isinstance(value, numbers.Number):  # Decimal, Fraction
        return not isinstance(value, complex)
    return getattr(value, "shape", None) == () and getattr(value, "ndim", None) == 0 and not _is_bool(value)


def _is_bool(value: Any) -> bool:
    return "bool" in str(getattr(value, "dtype", ""))


def _indexed(name: str, index: int) -> str:
    return name if index <= 0 else f"{name}-{index + 1}"


def _weakly(thing: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(thing)
    except TypeError:  # a list or a number: never recognised again
        return lambda: None
