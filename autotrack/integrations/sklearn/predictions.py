"""Which fitted model a prediction came from, recognised but never guessed."""

from __future__ import annotations

import sys
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

try:
    from numpy.lib.array_utils import byte_bounds
except ImportError:  # numpy 1
    from numpy import byte_bounds  # type: ignore[attr-defined,no-redef]

_HELD_ARRAYS: Final = 32
_HELD_BYTES: Final = 32 << 20


Bounds = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a prediction came from: ``fitted`` is the model's `FittedRun`, ``dataset`` the name of the data."""

    fitted: Any
    dataset: str


class Predictions:
    """Predictions seen lately.

    One is recognised by identity, as a view of the array that was returned, inside a pandas object, or as an equal
    copy of one that only one model made. A few recent arrays are held for the last, of 32 MB together at the most;
    the rest only weakly.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._by_owner: dict[int, list[tuple[weakref.ref[Any], Bounds | None, Origin]]] = {}
        self._held: deque[tuple[np.ndarray[Any, Any], Origin]] = deque()
        self._held_bytes = 0

    def remember(self, prediction: Any, origin: Origin, X: Any) -> None:
        """Take note of what a model returned for ``X``."""
        self._link(prediction, prediction, origin)
        array = _as_array(prediction)
        if array is None or array.ndim == 0:
            return
        owner = _owner(array)
        # An identity-like model returns its input: views of that are data, not predictions.
        if owner is not prediction and not _shares(array, X):
            self._link(owner, array, origin)
        self._hold(array, origin)

    def origin(self, arguments: Sequence[Any]) -> Origin | None:
        """Where the first recognised prediction among a metric's arguments came from (``y_true`` first, if given)."""
        with self._lock:
            for argument in arguments:
                found = self._identified(argument)
                if found is not None:
                    return found
            for argument in arguments[1:]:
                found = self._equal_copy(argument)
                if found is not None:
                    return found
        return None

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._by_owner.clear()
            self._held.clear()
            self._held_bytes = 0

    def _link(self, owner: Any, prediction: Any, origin: Origin) -> None:
        key = id(owner)

        def gone(reference: weakref.ref[Any]) -> None:
            entries = self._by_owner.get(key)
            if entries is not None:
                entries[:] = [entry for entry in entries if entry[0] is not reference]
                if not entries:
                    self._by_owner.pop(key, None)

        try:
            reference = weakref.ref(owner, gone)
        except TypeError:
            return
        bounds = None if prediction is owner else byte_bounds(prediction)
        with self._lock:
            entries = self._by_owner.setdefault(key, [])
            entries[:] = [entry for entry in entries if entry[1] != bounds]
            entries.append((reference, bounds, origin))

    def _hold(self, array: np.ndarray[Any, Any], origin: Origin) -> None:
        if array.nbytes > _HELD_BYTES // 4:
            return
        with self._lock:
            self._held.append((array, origin))
            self._held_bytes += array.nbytes
            while len(self._held) > _HELD_ARRAYS or self._held_bytes > _HELD_BYTES:
                self._held_bytes -= self._held.popleft()[0].nbytes

    def _identified(self, argument: Any) -> Origin | None:
        for reference, bounds, origin in self._by_owner.get(id(argument), []):
            if bounds is None and reference() is argument:
                return origin
        array = _as_array(argument)
        if array is None or array.size == 0:
            return None
        owner = _owner(array)
        low, high = byte_bounds(array)
        entries: list[tuple[weakref.ref[Any], Bounds | None, Origin]] = self._by_owner.get(id(owner), [])
        for reference, bounds, origin in entries[::-1]:
            if reference() is owner and (bounds is None or (bounds[0] <= low and high <= bounds[1])):
                return origin
        return None

    def _equal_copy(self, argument: Any) -> Origin | None:
        array = _as_array(argument)
        if array is None and isinstance(argument, (list, tuple)):
            try:
                array = np.asarray(argument)
            except ValueError:
                return None
        if array is None or array.size < 2:
            return None
        origins: dict[tuple[int, str], Origin] = {
            (id(origin.fitted), origin.dataset): origin
            for held, origin in self._held
            if held.shape == array.shape and _equal(held, array)
        }
        return next(iter(origins.values())) if len(origins) == 1 else None


def _equal(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    try:
        return bool(np.array_equal(a, b))
    except (TypeError, ValueError):
        return False


def _as_array(value: Any) -> np.ndarray[Any, Any] | None:
    """The numpy array that a prediction is or wraps, without copying."""
    if isinstance(value, np.ndarray):
        return value
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return None
    if isinstance(value, pandas.DataFrame) and value.shape[1] == 1:
        value = value.iloc[:, 0]
    if isinstance(value, (pandas.Series, pandas.Index)):
        array = value.to_numpy()
        return array if isinstance(array, np.ndarray) else None
    return None


def _owner(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _shares(array: np.ndarray[Any, Any], X: Any) -> bool:
    data = _as_array(X)
    return data is not None and np.may_share_memory(array, data)
