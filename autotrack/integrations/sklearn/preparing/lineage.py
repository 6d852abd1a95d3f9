"""Where data came from: what an array, frame or sparse matrix was made of, by identity or as a view, never guessed.

Nothing of the user's is kept alive: objects are known by weak references, views by the place in their owner's memory.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from autotrack.capture.links import Links

SAME: Final = "same"
"""All rows of what it was made of, in their order."""
PART: Final = "part"
"""Some of the rows."""
UNKNOWN: Final = "unknown"

_DEEPEST: Final = 32
_MOST_BLOCKS: Final = 8
_MOST_LISTS: Final = 64
_LONGEST_LIST: Final = 100_000

Array = np.ndarray[Any, Any]


class Made:
    """One object of the user's, and what it was made of.

    Parameters
    ----------
    of : the object it was made of; ``None`` where that is not known, or this is the beginning.
    by : what made it: a transformer's fit, a split; ``None`` for a view.
    how : the method: ``"transform"``, ``"fit_transform"``, ``"train"``, ``"test"``, ``"view"``.
    shape : its shape; empty where it has none.
    name : what the script calls it, where that was asked.
    rows : which rows of ``of`` it holds.
    """

    __slots__ = ("by", "depth", "how", "name", "of", "probe", "rows", "shape")

    def __init__(
        self,
        of: Made | None = None,
        by: Any = None,
        how: str = "",
        shape: tuple[int | None, ...] = (),
        name: str = "",
        rows: str = UNKNOWN,
    ) -> None:
        depth: int = 0
        if of is not None:
            depth = of.depth + 1
            if depth > _DEEPEST:  # a loop that transforms its own output: its beginning is forgotten
                of, depth, rows = None, 0, UNKNOWN
        self.of = of
        self.by = by
        self.how = how
        self.shape = shape
        self.name = name
        self.rows = rows
        self.depth: int = depth
        self.probe: Any = None

    def __iter__(self) -> Iterator[Made]:
        """What it was made of, step by step, itself last."""
        steps: list[Made] = []
        step: Made | None = self
        while step is not None:
            steps.append(step)
            step = step.of
        return reversed(steps)

    def table(self) -> Made:
        """The first of its ancestors that holds the very same rows."""
        step = self
        while step.of is not None and step.rows is SAME:
            step = step.of
        return step

    def within(self, other: Made) -> bool:
        """Whether every row of it is provably one of the other's, before they were transformed."""
        wanted, step = other.table(), self.table()
        while step is not wanted:
            if step.of is None or step.rows is UNKNOWN:
                return False
            step = step.of.table()
        return True


class Lineage:
    """What is known of the objects that were split or transformed lately, while they live."""

    def __init__(self) -> None:
        self._objects = Links()
        self._views: dict[int, list[tuple[weakref.ref[Any], Layout, Made]]] = {}
        self._lists: OrderedDict[int, tuple[int, Made]] = OrderedDict()
        self._lock = threading.RLock()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._objects.clear()
            self._views.clear()
            self._lists.clear()

    def of(self, thing: Any) -> Made | None:
        """What is known of an object, or of the one that it is a view of; ``None`` where that is nothing."""
        found: Made | None = self._objects.get(thing)
        if found is not None:
            if _equal(found.probe, _probe(thing)):
                return found
            # It was written to since: it may hold other rows now.
            found = Made(found, None, "changed", shape_of(thing))
            self.put(thing, found)
            return found
        if type(thing) is list:
            return self._listed(thing) if id(thing) in self._lists else None
        found = self._viewed(thing)
        if found is not None:
            # The next time it is the same object: two views of the same rows are not known to be that.
            self._set(thing, found)
        return found

    def source(self, thing: Any, name: str = "") -> Made:
        """What is known of an object; from now on at least that it is this one."""
        found = self.of(thing)
        if found is None or found.depth >= _DEEPEST:
            found = Made(shape=shape_of(thing), name=name)
            self.put(thing, found)
        elif not found.name:
            found.name = name
        return found

    def put(self, thing: Any, made: Made, of: Any = None) -> None:
        """Remember what an object is. Memory that it shares with the object ``of`` is not taken for its own."""
        self._set(thing, made)
        if isinstance(thing, np.ndarray):
            if thing.base is not None and thing is not of:
                self._put_views((thing,), made, of)
        elif type(thing) is list:
            key = _list_key(thing)
            if key is not None:
                with self._lock:
                    self._lists.pop(id(thing), None)
                    self._lists[id(thing)] = key, made
                    while len(self._lists) > _MOST_LISTS:
                        self._lists.popitem(last=False)
        elif thing is not of and (blocks := _blocks(thing)):
            self._put_views(blocks, made, of)

    def _set(self, thing: Any, made: Made) -> None:
        made.probe = _probe(thing)
        self._objects.set(thing, made)

    def _put_views(self, arrays: tuple[Array, ...], made: Made, of: Any) -> None:
        taken = {id(owner_of(array)) for array in _arrays(of)} if of is not None else ()
        for array in arrays:
            owner = owner_of(array)
            if id(owner) not in taken:
                self._put_view(owner, Layout(array), made)

    def _put_view(self, owner: Array, layout: Layout, made: Made) -> None:
        key = id(owner)

        def gone(reference: weakref.ref[Any]) -> None:
            entries = self._views.get(key)
            if entries is not None:
                left = [entry for entry in entries if entry[0] is not reference]
                if left:
                    self._views[key] = left
                else:
                    self._views.pop(key, None)

        entry = (weakref.ref(owner, gone), layout, made)
        with self._lock:
            # The newest first. The rest is bounded: one buffer may be cut into any number of pieces.
            self._views[key] = [entry, *(e for e in self._views.get(key, ())[:15] if e[1] != layout)]

    def _viewed(self, thing: Any) -> Made | None:
        """What is known of an object by the memory that all of it lies in."""
        arrays = _arrays(thing)
        made: Made | None = None
        rows = ""
        for array in arrays:
            found = self._in_memory(array, thing)
            if found is None or (made is not None and (found[0] is not made or found[1] != rows)):
                return None
            made, rows = found
        if made is None:
            return None
        return Made(made, None, "view", shape_of(thing), rows=rows)

    def _in_memory(self, array: Array, thing: Any) -> tuple[Made, str] | None:
        owner = owner_of(array)
        if owner is not thing:
            known: Made | None = self._objects.get(owner)
            if known is not None and owner.ndim and _equal(known.probe, _probe(owner)):
                rows = Layout(owner).rows(array)
                if rows:
                    return known, rows
        for reference, layout, made in self._views.get(id(owner), ()):
            if reference() is owner:
                rows = layout.rows(array)
                if rows:
                    return made, rows
        return None

    def _listed(self, thing: list[Any]) -> Made | None:
        held = self._lists.get(id(thing))
        # A list takes no weak reference and its id is used again: it is known by its content.
        return held[1] if held is not None and held[0] == _list_key(thing) else None


class Layout:
    """Where an array of one or two dimensions lies in memory; rows first. Holds numbers only."""

    __slots__ = ("address", "dtype", "shape", "strides")

    def __init__(self, array: Array) -> None:
        self.address: int = array.__array_interface__["data"][0]
        self.shape = array.shape
        self.strides = array.strides
        self.dtype = array.dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and (self.address, self.shape, self.strides) == (
            other.address,
            other.shape,
            other.strides,
        )

    __hash__ = None  # type: ignore[assignment]

    def rows(self, view: Array) -> str:
        """Which of its rows a view of the same memory holds; empty where it holds anything else."""
        inner = Layout(view)
        if inner.dtype != self.dtype or 0 in inner.shape or 0 in self.shape:
            return ""
        if inner == self:
            return SAME
        if len(self.shape) not in (1, 2) or len(inner.shape) not in (1, 2) or len(inner.shape) > len(self.shape):
            return ""
        n_rows, row = self.shape[0], self.strides[0]
        n_columns, column = (self.shape[1], self.strides[1]) if len(self.shape) == 2 else (1, 0)
        if row <= 0 or column < 0 or (column == 0 and n_columns > 1):
            return ""
        if n_rows == 1 or (n_columns > 1 and row == column):
            return ""  # rows and columns cannot be told apart
        offset = inner.address - self.address
        if column == 0 or n_columns == 1:
            first_row, rest = divmod(offset, row)
            first_column = 0
        elif row > column:
            first_row, rest = divmod(offset, row)
            first_column, rest = divmod(rest, column)
        else:
            first_column, rest = divmod(offset, column)
            first_row, rest = divmod(rest, row)
        if rest or not 0 <= first_row < n_rows or not 0 <= first_column < n_columns:
            return ""
        step, rest = divmod(inner.strides[0], row) if inner.shape[0] > 1 else (1, 0)
        if rest or not 0 <= first_row + (inner.shape[0] - 1) * step < n_rows:
            return ""
        if len(inner.shape) == 2 and inner.shape[1] > 1:
            across, rest = divmod(inner.strides[1], column) if column else (0, 1)
            if rest or not 0 <= first_column + (inner.shape[1] - 1) * across < n_columns:
                return ""
        return SAME if step == 1 and inner.shape[0] == n_rows else PART


def shape_of(thing: Any) -> tuple[int | None, ...]:
    """The shape of data, its length where it has only that, else empty."""
    shape = getattr(thing, "shape", None)
    if type(shape) is tuple:
        return shape
    try:
        return (len(thing),)
    except Exception:  # noqa: BLE001 - a generator, a lazy frame, a __len__ of the user's
        return ()


def owner_of(array: Array) -> Array:
    """The array that an array is a view of, itself where it is none."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _arrays(thing: Any) -> tuple[Array, ...]:
    """The arrays that hold all of an object's values, rows first; none where they cannot be told without a copy."""
    return (thing,) if isinstance(thing, np.ndarray) else _blocks(thing)


def _blocks(thing: Any) -> tuple[Array, ...]:
    """The arrays in a pandas object, rows first. Its block manager is pandas' own business, so it is feature-tested."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(thing, (pandas.DataFrame, pandas.Series)):
        return ()
    blocks = getattr(getattr(thing, "_mgr", None), "blocks", ())
    if not 0 < len(blocks) <= _MOST_BLOCKS:
        return ()
    arrays = []
    for block in blocks:
        values = getattr(block, "values", None)
        if not isinstance(values, np.ndarray):
            values = getattr(values, "_ndarray", None)  # strings and dates of pandas' own
            if type(values) is not np.ndarray:
                return ()
        arrays.append(values.T)
    return tuple(arrays)


def _probe(thing: Any) -> Any:
    """What stands in a few places of an object, to see later that it was not overwritten with other data."""
    array = thing
    if type(thing) is not np.ndarray:
        blocks = _blocks(thing)
        if not blocks:
            return thing.shape if isinstance(thing, np.ndarray) else getattr(thing, "shape", None)
        array = blocks[0]
    item, last = array.item, array.size - 1
    if last < 0:
        return array.shape
    if array.dtype.hasobject:  # a hash keeps nothing alive
        return array.shape, *(hash(value) if isinstance(value, str) else 0 for value in (item(0), item(last)))
    return array.shape, item(0), item(last), item(last >> 1), item(last // 3)


def _equal(a: Any, b: Any) -> bool:
    """Whether two probes are equal, NaN being equal to itself."""
    if a == b:
        return True
    if a is None or b is None or len(a) != len(b):
        return False
    return all(x == y or (x != x and y != y) for x, y in zip(a, b, strict=True))


def _list_key(thing: list[Any]) -> int | None:
    """A hash of all that a list holds, where that is texts."""
    if not thing or len(thing) > _LONGEST_LIST or not isinstance(thing[0], (str, bytes)):
        return None
    try:
        return hash(tuple(thing))
    except TypeError:
        return None
