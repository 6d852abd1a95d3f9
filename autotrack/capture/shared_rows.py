"""Rows that two tables have in common: counted by a hash of each row, and every row counted compared value by value.

Large tables are sampled by content, so that equal rows are in both samples or in neither; the count is a lower bound.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

_MOST_CELLS: Final = 1 << 16
_MOST_ROWS: Final = 4_096
_LEAST_ROWS: Final = 256
_MOST_ASKED: Final = 1 << 16
"""So many rows are asked whether they belong to the sample: of longer tables every other, every third …"""
_MOST_TEXT_ROWS: Final = 20_000
"""Of tables without numbers, which cannot be sampled cheaply."""
_HASHED_COLUMNS: Final = 64
_SELECTING_COLUMNS: Final = 2
_MOST_REPEATED: Final = 0.01
"""Share of the training rows that may stand there twice: above it, equal rows are a matter of course."""
_RICH_COLUMNS: Final = 16

_ALL: Final = np.uint64(2**64 - 1)
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_HALF: Final = np.uint64(32)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Shared:
    """At least ``count`` of ``total`` rows are the same as a row of the other table in all ``columns``.

    ``all_seen`` says that no row was left out, so that the count is exact.
    """

    count: int
    total: int
    columns: int
    all_seen: bool


def shared_rows(train: Any, evaluated: Any) -> Shared | None:
    """Rows of ``evaluated`` that also stand in ``train``; ``None`` where that tells nothing.

    It tells nothing where training rows repeat themselves, as rows of a few discrete columns do, where so few are
    shared that it may be chance, and where one table holds the other whole: that is meant so. Equal means the same
    bits, so that NaN equals NaN.

    Parameters
    ----------
    train, evaluated : two of a kind: arrays of numbers of shape (n_samples, n_features), or pandas objects, with the
        same columns and dtypes.
    """
    known, other = table(train), table(evaluated)
    if known is None or other is None or known.signature != other.signature:
        return None
    if not known.has_text and known.n_columns < 2:
        return None
    limit = max(_LEAST_ROWS, min(_MOST_ROWS, _MOST_CELLS // known.n_columns))
    threshold = known.threshold(limit)
    if known.n_rows == 0 or other.n_rows == 0 or threshold is None:
        return None
    telling = known.telling_columns(_SELECTING_COLUMNS) if threshold < _ALL else None
    there, here = known.sample(threshold, limit, telling), other.sample(threshold, limit, telling)
    if not len(there) or not len(here):
        return None
    hashes, hashes_here = known.hashes(there), other.hashes(here)
    # Sorted, with the places that they came from: the smaller table is looked up in the other.
    order = np.argsort(hashes, kind="stable")
    in_order = hashes[order]
    places = np.minimum(np.searchsorted(in_order, hashes_here), len(in_order) - 1)
    found = np.flatnonzero(in_order[places] == hashes_here)
    if len(found) < 2:
        return None
    repeated = int((in_order[1:] == in_order[:-1]).sum())
    if repeated > _MOST_REPEATED * len(in_order):
        return None
    pairs = there[order[places[found]]], here[found]
    equal = known.equal(pairs[0], other, pairs[1])
    count = int(equal.sum())
    met = len(np.unique(pairs[0][equal]))
    if count < 2 or met >= 0.99 * len(there) or count == len(here):
        return None
    repeated_here = len(hashes_here) - len(np.unique(hashes_here))
    if not (
        count > 2 * _by_chance(len(there), repeated, len(here), repeated_here)
        or _hangs_together(known, there, other, here, count)
    ):
        return None
    # A hash that two different rows of the training data have in common hides one of them.
    exact = bool(equal.all()) and len(here) == other.n_rows and len(there) == known.n_rows
    return Shared(count, other.n_rows, known.n_columns, exact)


def _by_chance(n: int, repeated: int, m: int, repeated_here: int) -> float:
    """So many rows at the most would be shared if rows were drawn from few enough values to repeat like this."""
    odds = min(2 * (repeated + 3) / n**2, 2 * (repeated_here + 3) / m**2)
    return odds * n * m


def _hangs_together(known: Table, there: Array, other: Table, here: Array, count: int) -> bool:
    """Whether rows that agree in some columns of many different values mostly agree in the others too.

    Where rows are equal by chance, far more agree in a half of the columns.
    """
    rich = known.rich_columns(there)
    if len(rich) < 4:
        return False
    halves = []
    for columns in (rich[::2], rich[1::2]):
        common = np.isin(other.hashes(here, columns), known.hashes(there, columns))
        halves.append(int(common.sum()))
    return 2 * count >= min(halves)


def _scattered(numbers: Array) -> Array:
    """Odd numbers of 64 bits, one for each number, that no few of them add up to another of (SplitMix64)."""
    z = numbers * _ODD
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    scattered: Array = z ^ (z >> np.uint64(31)) | np.uint64(1)
    return scattered


_KEYS: Final = _scattered(np.arange(1, 1025, dtype=np.uint64))


class Table:
    """Columns of a table: blocks of numbers of shape (columns, rows), and columns of other types one by one."""

    def __init__(
        self,
        n_rows: int,
        blocks: Sequence[tuple[Sequence[int], Array]],
        others: Sequence[tuple[int, Any]],
        names: Any,
    ) -> None:
        self.n_rows = n_rows
        self.n_columns = sum(len(places) for places, _ in blocks) + len(others)
        self.blocks = blocks
        self.others = others
        self.has_text = bool(others)
        dtypes = [(tuple(places), str(block.dtype)) for places, block in blocks]
        self.signature = (names, dtypes, [(place, str(column.dtype)) for place, column in others])

    def threshold(self, limit: int) -> np.uint64 | None:
        """Rows whose first hash is not above it are looked at; ``None`` where no rows can be chosen so."""
        if self.n_rows <= limit or (not self.blocks and self.n_rows <= _MOST_TEXT_ROWS):
            return _ALL
        asked = min(self.n_rows, _MOST_ASKED)
        return np.uint64(int(2**64 * (limit / asked))) if self.blocks else None

    def sample(self, threshold: np.uint64, limit: int, columns: Array | None) -> Array:
        """Places of the rows to look at, told by a hash of a few columns of numbers."""
        if columns is None:
            return np.arange(min(self.n_rows, 4 * limit if self.blocks else _MOST_TEXT_ROWS))
        step = max(1, -(-self.n_rows // _MOST_ASKED))
        first = self._numbers(slice(None, None, step), columns) * _ODD
        return np.flatnonzero(first <= threshold)[:limit] * step

    def telling_columns(self, count: int) -> Array:
        """Places of the columns of numbers that hold the most different values in the first rows."""
        different = [np.diff(np.sort(block[:, :64], axis=1), axis=1) != 0 for _, block in self.blocks]
        return np.sort(np.argsort(-np.concatenate([d.sum(axis=1) for d in different]), kind="stable")[:count])

    def hashes(self, rows: Array, columns: Array | None = None) -> Array:
        """A hash of each of these rows, of all columns or of some of numbers."""
        everything = rows if len(rows) < self.n_rows else None
        if columns is not None:
            return self._numbers(everything, columns)
        found = self._numbers(everything, self._spread(_HASHED_COLUMNS))
        if self.others:
            from pandas.util import hash_array

            for place, column in self.others:
                part = column if everything is None else column.take(rows)
                values = part.to_numpy() if isinstance(column.dtype, np.dtype) else part.array
                try:
                    found = (found ^ hash_array(values, categorize=False)) * (_ODD + np.uint64(2 * place))
                except (TypeError, ValueError):  # objects that have no hash
                    found = found * _ODD
        return found

    def equal(self, rows: Array, other: Table, others_rows: Array) -> Array:
        """Which rows are the same as those of another table, one by one, in every column."""
        found = np.ones(len(rows), dtype=bool)
        for (_, mine), (_, theirs) in zip(self.blocks, other.blocks, strict=True):
            found &= (_bits(mine[:, rows]) == _bits(theirs[:, others_rows])).all(axis=0)
        for (_, column), (_, theirs_column) in zip(self.others, other.others, strict=True):
            a = column.take(rows).to_numpy(dtype=object, na_value=None)
            b = theirs_column.take(others_rows).to_numpy(dtype=object, na_value=None)
            found &= np.fromiter((x is y or bool(x == y) for x, y in zip(a, b, strict=True)), bool, len(a))
        return found

    def rich_columns(self, rows: Array) -> Array:
        """Places, among the columns of numbers, of some that hold many different values in these rows."""
        wanted, found, place = self._spread(_RICH_COLUMNS), [], 0
        rows = rows[: _MOST_ROWS // 4]
        for places, block in self.blocks:
            for index in range(len(places)):
                if place in wanted and len(np.unique(block[index, rows])) > len(rows) / 10:
                    found.append(place)
                place += 1
        return np.array(found, dtype=np.int64)

    def _spread(self, most: int) -> Array:
        """Evenly spaced places among the columns of numbers."""
        count = sum(len(places) for places, _ in self.blocks)
        return np.arange(count)[:: max(1, -(-count // most))]

    def _numbers(self, rows: Array | slice | None, columns: Array) -> Array:
        """A hash of each row's values in these columns of numbers, counted through the blocks."""
        rows = slice(None) if rows is None else rows
        count = len(range(self.n_rows)[rows]) if isinstance(rows, slice) else len(rows)
        found: Array = np.zeros(count, dtype=np.uint64)
        start = 0
        for places, block in self.blocks:
            wanted = columns[(columns >= start) & (columns < start + len(places))] - start
            start += len(places)
            if not len(wanted):
                continue
            if len(wanted) == len(places):
                part = block
            else:
                step = int(wanted[1] - wanted[0]) if len(wanted) > 1 else 1
                part = block[int(wanted[0]) : int(wanted[-1]) + 1 : step] if _is_even(wanted, step) else block[wanted]
            bits = _bits(part[:, rows])
            mixed = bits ^ (bits >> _HALF)
            found += _KEYS[(wanted + (start - len(places))) % len(_KEYS)] @ mixed
        found ^= found >> _HALF
        return found


def _is_even(places: Array, step: int) -> bool:
    return int(places[-1] - places[0]) == step * (len(places) - 1) and bool((np.diff(places) == step).all())


def table(X: Any) -> Table | None:
    """The columns of data; ``None`` where its rows cannot be compared bit by bit."""
    if isinstance(X, np.ndarray):
        if X.ndim != 2 or not _is_plain(X.dtype) or not X.shape[1]:
            return None
        return Table(len(X), [(range(X.shape[1]), X.T)], (), X.shape[1])
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return None
    if isinstance(X, pandas.Series):
        X = X.to_frame()
    if not isinstance(X, pandas.DataFrame) or not X.shape[1]:
        return None
    blocks, taken = [], set()
    for block in getattr(getattr(X, "_mgr", None), "blocks", ()):  # pandas' own business, so feature-tested
        values = getattr(block, "values", None)
        if type(values) is np.ndarray and values.ndim == 2 and _is_plain(values.dtype):
            places = list(block.mgr_locs)
            blocks.append((places, values))
            taken.update(places)
    blocks.sort(key=lambda block: block[0])
    others = [(place, X.iloc[:, place]) for place in range(X.shape[1]) if place not in taken]
    if not all(_is_comparable(column) for _, column in others):
        return None
    return Table(len(X), blocks, others, list(X.columns))


def _is_comparable(column: Any) -> bool:
    """Whether a column's values can be asked for equality: objects of the user's might answer anything."""
    if column.dtype != object:
        return True
    from pandas.api.types import infer_dtype

    some = column.iloc[:: max(1, len(column) // _MOST_ROWS)]
    return infer_dtype(some, skipna=True) in ("string", "integer", "floating", "boolean", "mixed-integer-float")


def _is_plain(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuf" and dtype.itemsize in (1, 2, 4, 8)


def _bits(values: Array) -> Array:
    """The bits of numbers as unsigned ones of 64 bits."""
    whole = values if values.flags.c_contiguous else np.ascontiguousarray(values)
    bits: Array = whole.view(f"u{values.dtype.itemsize}").astype(np.uint64, copy=False)
    return bits
