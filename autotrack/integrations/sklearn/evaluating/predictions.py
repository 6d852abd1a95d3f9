"""Which fitted model a prediction came from, recognised but never guessed."""

from __future__ import annotations

import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

try:
    from numpy.lib.array_utils import byte_bounds
except ImportError:  # numpy 1
    from numpy import byte_bounds  # type: ignore[attr-defined,no-redef]

_HELD_ARRAYS: Final = 32
_HELD_BYTES: Final = 32 << 20
_MOST_COLUMNS: Final = 100
"""So many columns of probabilities are compared with a copy of one."""

TRUE: Final = frozenset({"y_true", "labels_true"})
"""The first parameter of what compares true values with predicted ones, which are the second."""

_SCALARS: Final = (str, bytes, int, float, type(None))

Array = np.ndarray[Any, Any]
Bounds = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a prediction came from.

    Parameters
    ----------
    fitted : the model's `FittedRun`.
    dataset : the name of the data.
    part : whether it is a slice with only some of the rows.
    """

    fitted: Any
    dataset: str
    part: bool = False


class Unknown(NamedTuple):
    """Why none of a call's arguments was recognised; completes "called on …"."""

    reason: str


NO_PREDICTION: Final = Unknown("arrays that are no known prediction of a model")
SEVERAL: Final = Unknown("a copy of a prediction that several models made, or one model for several data sets")


class _Link(NamedTuple):
    """``reference`` is to the array that owns the memory, or to the prediction itself; then ``bounds`` is ``None``."""

    reference: weakref.ref[Any]
    bounds: Bounds | None
    rows: int
    origin: Origin


class Predictions:
    """Predictions seen lately.

    One is recognised by identity, as a view of the array that was returned, inside a pandas or polars object, or as an
    equal copy (of it, or of one of its columns) where only one model made it. A few recent arrays are held for the
    last, of 32 MB together at the most; the rest only weakly.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._by_owner: dict[int, list[_Link]] = {}
        self._held: deque[tuple[Array, Origin]] = deque()
        self._held_bytes = 0

    def remember(self, prediction: Any, origin: Origin, X: Any) -> None:
        """Take note of what a model returned for ``X``; of several outputs' probabilities, of each."""
        if isinstance(prediction, (list, tuple)):
            if prediction and all(isinstance(output, np.ndarray) for output in prediction):
                for output in prediction:
                    self.remember(output, origin, X)
                return
            array = _from_sequence(prediction)
        else:
            array = as_array(prediction)
            self._link(prediction, prediction, array, origin)
        if array is None or array.ndim == 0:
            return
        owner = _owner(array)
        # An identity-like model returns its input: views of that are data, not predictions.
        if owner is not prediction and not _shares(array, X):
            self._link(owner, prediction, array, origin)
        self._hold(array, origin)

    def derived(self, results: Any, origin: Origin) -> None:
        """Take note of what a metric made of a prediction, such as the rates of a curve: known by identity only."""
        for result in results if isinstance(results, tuple) else (results,):
            if isinstance(result, np.ndarray):
                self._link(result, result, result, origin)

    def origin(self, arguments: Sequence[Any], copies: Sequence[Any]) -> Origin | Unknown:
        """Where the first recognised prediction among a metric's arguments came from.

        Parameters
        ----------
        arguments : all of them, in the order they were given.
        copies : those that may be equal copies of a prediction; never the true values, which a good model's equal.
        """
        with self._lock:
            for argument in arguments:
                found = self._identified(argument)
                if found is not None:
                    return found
            for argument in copies:
                equal = self._equal_copy(argument)
                if equal is not NO_PREDICTION:
                    return equal
        return NO_PREDICTION

    def recognise(self, names: Sequence[str], given: Sequence[tuple[str, Any]]) -> Origin | Unknown:
        """The origin of the prediction that a function of ``sklearn.metrics`` was called on.

        Parameters
        ----------
        names : the function's positional parameters.
        given : the arguments with their names.
        """
        arguments = [(name, value) for name, value in given if not isinstance(value, _SCALARS)]
        second = names[1] if len(names) > 1 and (names[0] in TRUE or names[0] == "X") else ""
        return self.origin(
            [value for _, value in arguments],
            [value for name, value in arguments if name == second or (name.startswith("y_") and name not in TRUE)],
        )

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._by_owner.clear()
            self._held.clear()
            self._held_bytes = 0

    def _link(self, owner: Any, prediction: Any, array: Array | None, origin: Origin) -> None:
        key = id(owner)

        def gone(reference: weakref.ref[Any]) -> None:
            # Without the lock, which another thread may hold: the id is not used again before this returns.
            entries = self._by_owner.get(key)
            if entries is not None:
                entries[:] = [entry for entry in entries if entry.reference is not reference]
                if not entries:
                    self._by_owner.pop(key, None)

        try:
            reference = weakref.ref(owner, gone)
        except TypeError:
            return
        bounds = None if prediction is owner or array is None else byte_bounds(array)
        rows = len(array) if array is not None and array.ndim else -1
        with self._lock:
            entries = self._by_owner.setdefault(key, [])
            entries[:] = [entry for entry in entries if entry.bounds != bounds]
            entries.append(_Link(reference, bounds, rows, origin))

    def _hold(self, array: Array, origin: Origin) -> None:
        if array.nbytes > _HELD_BYTES // 4:
            return
        with self._lock:
            self._held.append((array, origin))
            self._held_bytes += array.nbytes
            while len(self._held) > _HELD_ARRAYS or self._held_bytes > _HELD_BYTES:
                self._held_bytes -= self._held.popleft()[0].nbytes

    def _identified(self, argument: Any) -> Origin | None:
        for entry in self._by_owner.get(id(argument), ()):
            if entry.bounds is None and entry.reference() is argument:
                return entry.origin
        array = as_array(argument)
        if array is None or array.ndim == 0 or array.size == 0:
            return None
        owner = _owner(array)
        entries = self._by_owner.get(id(owner))
        if not entries:
            return None
        low, high = byte_bounds(array)
        for reference, bounds, rows, origin in entries[::-1]:
            if reference() is owner and (bounds is None or (bounds[0] <= low and high <= bounds[1])):
                is_part = rows >= 0 and len(array) != rows
                return Origin(origin.fitted, origin.dataset, part=True) if is_part else origin
        return None

    def _equal_copy(self, argument: Any) -> Origin | Unknown:
        array = as_array(argument)
        if array is None and isinstance(argument, (list, tuple)):
            length = len(argument)
            if any(len(held) == length for held, _ in self._held):
                array = _from_sequence(argument)
        if array is None or not 0 < array.ndim < 3 or not _tells_itself_apart(array):
            return NO_PREDICTION
        origins = {
            (id(origin.fitted), origin.dataset, origin.part): origin
            for held, origin in self._held
            if _equals_one_of(array, held)
        }
        if not origins:
            return NO_PREDICTION
        return next(iter(origins.values())) if len(origins) == 1 else SEVERAL


def as_array(value: Any) -> Array | None:
    """The numpy array that a prediction is or wraps, without copying where that can be."""
    if isinstance(value, np.ndarray):
        return value
    library = type(value).__module__.partition(".")[0]
    if library == "polars":
        return _array_of(value) if hasattr(value, "to_numpy") else None
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, (pandas.Series, pandas.Index, pandas.DataFrame)):
        return None
    if isinstance(value, pandas.DataFrame) and value.shape[1] == 1:
        value = value.iloc[:, 0]
    return _array_of(value)


def _array_of(value: Any) -> Array | None:
    array = value.to_numpy()
    return array if isinstance(array, np.ndarray) else None


def _from_sequence(values: Any) -> Array | None:
    try:
        return np.asarray(values)
    except ValueError:  # ragged
        return None


def _tells_itself_apart(array: Array) -> bool:
    """Whether there is more in it than one value again and again, which somebody else may well have made too."""
    if array.size < 2:
        return False
    try:
        return bool(np.any(array != array.flat[0]))
    except (TypeError, ValueError):
        return False


def _equals_one_of(array: Array, held: Array) -> bool:
    """Whether the array has the values of a prediction, or of one column of it."""
    if held.shape == array.shape:
        return _equal(held, array)
    if len(held) != len(array):
        return False
    if array.ndim == 1 and held.ndim == 2 and held.shape[1] <= _MOST_COLUMNS:
        return any(_equal(column, array) for column in _columns(held))
    if array.ndim == 2 and array.shape[1] == 1 and held.ndim == 1:
        return _equal(held, array[:, 0])
    return False


def _columns(array: Array) -> Iterator[Array]:
    for place in range(array.shape[1]):
        yield array[:, place]


def _equal(a: Array, b: Array) -> bool:
    try:
        # Two values are compared in a fraction of the time that all take.
        return bool(a.flat[0] == b.flat[0]) and bool(a.flat[-1] == b.flat[-1]) and bool(np.array_equal(a, b))
    except (TypeError, ValueError):
        return False


def _owner(array: Array) -> Array:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _shares(array: Array, X: Any) -> bool:
    data = as_array(X)
    return data is not None and np.may_share_memory(array, data)
