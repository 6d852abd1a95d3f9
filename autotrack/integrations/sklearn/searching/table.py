"""``cv_results_`` as a copy of ours, and as the CSV that pandas would write of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from autotrack.capture.recorder import text

_PLAIN: Final = frozenset({int, float, str, bool, complex, bytes, type(None)})


class Shown:
    """Stands for an object of the user's, which may change: prints as that one did."""

    __slots__ = ("_repr", "_str")

    def __init__(self, value: Any) -> None:
        self._str = text(value)
        self._repr = self._str if hasattr(value, "get_params") else _repr(value)

    def __str__(self) -> str:
        return self._str

    def __repr__(self) -> str:
        return self._repr


def _shown(values: Iterable[Any], known: dict[int, Shown]) -> list[Any]:
    """The values that never change themselves, and for others what they print as. One met twice is printed once."""
    found = []
    for value in values:
        if type(value) in _PLAIN or isinstance(value, np.generic) or value is np.ma.masked:
            found.append(value)
            continue
        key = id(value)
        if key not in known:
            known[key] = Shown(value)
        found.append(known[key])
    return found


class Table:
    """A search's results; every column has ``rows`` values, others are left out.

    Attributes
    ----------
    columns : in the order of ``cv_results_``, as arrays, masked arrays and lists.
    numeric : those of them that hold numbers, without gaps.
    params : each candidate's.
    identities : equal for rows whose params were one and the same object.
    scorers : the names behind ``mean_test_``.
    """

    def __init__(self, columns: Mapping[str, Any], params: Sequence[Mapping[str, Any]], identities: list[int]) -> None:
        self.columns = columns
        self.params = params
        self.identities = identities
        self.rows = len(params)
        self.numeric = {
            name: column
            for name, column in columns.items()
            if type(column) is np.ndarray and column.dtype.kind in "iuf"
        }
        self.scorers = [name.removeprefix("mean_test_") for name in self.numeric if name.startswith("mean_test_")]

    @classmethod
    def copied(cls, results: Mapping[str, Any]) -> Table:
        """A copy that nothing of the user's can change any more."""
        given = list(results["params"])
        known: dict[int, Shown] = {}
        flat = iter(_shown((value for params in given for value in params.values()), known))
        params = [{name: next(flat) for name in candidate} for candidate in given]
        columns: dict[str, Any] = {}
        for name, column in results.items():
            if name == "params":
                columns[name] = params
            elif isinstance(column, (np.ndarray, list, tuple)) and len(column) == len(given) and np.ndim(column) == 1:
                if isinstance(column, np.ndarray) and column.dtype.kind != "O":
                    columns[str(name)] = column.copy()
                else:
                    columns[str(name)] = _shown(_objects(column), known)
        return cls(columns, params, [id(candidate) for candidate in given])

    def floats(self, name: str) -> np.ndarray[Any, Any] | None:
        """A column of numbers as floats; ``None`` where there is none of this name."""
        column = self.numeric.get(name)
        return None if column is None else column.astype(np.float64)

    def to_csv(self) -> str:
        """As ``pandas.DataFrame(cv_results_).to_csv(index=False)``."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(zip(*(_cells(column) for column in self.columns.values()), strict=True))
        return buffer.getvalue()


def _objects(column: Any) -> Any:
    """Item by item a masked array takes microseconds each."""
    if not isinstance(column, np.ma.MaskedArray):
        return column
    return [np.ma.masked if gap else value for gap, value in zip(np.ma.getmaskarray(column), column.data)]


def _cells(column: Any) -> list[Any]:
    cells: list[Any]
    if isinstance(column, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(column)
        values = column.data
        if mask.any() and values.dtype.kind in "iu":  # a gap makes them floats
            values = values.astype(np.float64)
        return ["" if gap else cell for gap, cell in zip(mask, _cells(values))]
    if isinstance(column, np.ndarray):
        if column.dtype.kind == "f":
            return ["" if gap else cell for gap, cell in zip(np.isnan(column), column.astype(str).tolist())]
        cells = (column.astype(str) if column.dtype.kind in "iub" else column).tolist()
        return cells
    return ["" if _is_missing(value) else value for value in column]


def _is_missing(value: Any) -> bool:
    return value is None or value is np.ma.masked or (isinstance(value, (float, np.floating)) and bool(value != value))


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a __repr__ of the user's
        return f"<{type(value).__name__} that cannot be printed: {type(error).__name__}>"
