"""After the fit: which run a model, its predictions and the metrics computed from them belong to."""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from autotrack.capture.calling_importlib_bootstrap import Call
from autotrack.capture.guard import shield
from autotrack.capture.names import argument_name
from autotrack.capture.recorder import RunRecorder
from autotrack.entities import Dataset

UNKNOWN: Final = "unknown_dataset"
_MOST_DATASETS: Final = 16


class _Known(NamedTuple):
    """Data that a run knows: a way to the object while it lives, and its digest where it was taken."""

    reference: Callable[[], Any]
    digest: str


class FittedRun:
    """The run of one fitted model, and what was evaluated with it since.

    Parameters
    ----------
    run : its recorder.
    X : the training data, to know it again; not kept alive.
    name : what the script called it.
    data : its fingerprint, where it was taken.
    """

    def __init__(self, run: RunRecorder, X: Any, name: str, data: Dataset | None = None) -> None:
        self.run = run
        self.name = name
        self._lock = threading.RLock()
        self._datasets: dict[str, list[_Known]] = {name: [_Known(_weakly(X), data.digest if data is not None else "")]}
        self._calls: dict[str, list[tuple[str, str]]] = {}
        self._told = False

    def dataset(self, X: Any, y: Any, name: str | None) -> str:
        """The name of evaluation data: the variable's, with ``-2`` … for other data of the same name (as MLflow).

        Data not seen before is fingerprinted, for the first few names of a run; the same content is the same data.
        """
        base = name or UNKNOWN
        with self._lock:
            seen = self._datasets.setdefault(base, [])
            for index, known in enumerate(seen):
                if known.reference() is X:
                    return _indexed(base, index)
            if sum(map(len, self._datasets.values())) >= _MOST_DATASETS:
                return _indexed(base, len(seen) - 1)
            data = None
            if self.run.session.settings.log_datasets:
                data = self.run.describe(X, y, name=_indexed(base, len(seen)), context="eval")
            if data is not None and data.digest:
                for index, known in enumerate(seen):
                    if known.digest == data.digest:
                        return _indexed(base, index)
            if base == UNKNOWN and seen:
                return base
            seen.append(_Known(_weakly(X), data.digest if data is not None else ""))
        if data is not None:
            self.run.dataset(data)
            self.run.flush()
        return _indexed(base, len(seen) - 1)

    def metric(self, name: str, dataset: str, value: float, command: str) -> None:
        """Record a metric as ``{name}[-{n}]_{dataset}``, and how it was called in ``metric_info.json``."""
        with self._lock:
            calls = self._calls.setdefault(name, [])
            key = f"{_indexed(name, len(calls))}_{dataset}"
            calls.append((key, command))
            tell, self._told = not self._told, True
        self.run.metrics({key: value})
        self.run.flush()
        if tell:
            self.run.session.worker.submit(self._tell_calls)

    def _tell_calls(self) -> None:
        with self._lock:
            self._told = False
            calls = dict(sorted(call for calls in self._calls.values() for call in calls))
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
    given = {**dict(zip(call.names, call.args, strict=False)), **call.kwargs}
    parts = []
    for name, value in given.items():
        if value is None or np.isscalar(value):
            shown = repr(value[:32] + "…") if isinstance(value, str) and len(value) > 32 else repr(value)
        else:
            shown = argument_name(call.frame, name, call.position(name), value) or f"<{type(value).__name__}>"
        parts.append(f"{name}={shown}")
    return f"{function}({', '.join(parts)})"


def is_number(value: Any) -> bool:
    """Whether a result is a metric: a number and no bool."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def metric_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """The arguments among which a prediction may be."""
    return [value for value in (*args, *kwargs.values()) if value is not None and not np.isscalar(value)]


def _indexed(name: str, index: int) -> str:
    return name if index <= 0 else f"{name}-{index + 1}"


def _weakly(thing: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(thing)
    except TypeError:  # a list or a number: never recognised again
        return lambda: None
