"""What data looks like, and a digest of all of it: columns, dtypes, shape, missing values, target.

Nothing is copied but chunks that fit a processor's cache. The digest is SHA-256 over every column's dtype and content,
so it depends on names, types and values but not on how the memory is laid out; MLflow's covers the first 10,000 rows.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from functools import lru_cache
from typing import Any, Final

import numpy as np

from autotrack.capture.columnar import describe_columns
from autotrack.capture.contents import digest_of_objects
from autotrack.entities import Dataset
from autotrack.events import number_to_json

_CHUNK: Final = 1 << 18
"""Bytes hashed at a time where columns have to be gathered from rows: a part of a processor's cache."""

_MOST_COLUMNS: Final = 1_000
_MOST_CLASSES: Final = 100
_MOST_LABELS: Final = 1_000_000


def describe(X: Any, y: Any = None, *, name: str, context: str) -> Dataset:
    """Fingerprint data.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features), pandas, polars or pyarrow data, list.
    y : target of shape (n_samples,) or (n_samples, n_outputs), or None.
    name : what the script calls it.
    context : ``"train"`` or ``"eval"``.

    Returns
    -------
    Dataset
        With an empty digest where the type of the data is not known.
    """
    pandas = sys.modules.get("pandas")
    columns: tuple[dict[str, Any], ...] = ()
    kind = _kind(X)
    if pandas is not None and isinstance(X, pandas.DataFrame):
        columns, digest, shape = _frame(X)
    elif pandas is not None and isinstance(X, pandas.Series):
        columns, digest, shape = _frame(X.to_frame())
        shape = shape[:1]
    elif _is_sparse(X):
        digest, shape = _sparse(X), tuple(X.shape)
        columns = ({"name": None, "dtype": str(X.dtype), "count": int(X.shape[1]), "nonzero": int(X.nnz)},)
    elif (described := describe_columns(X)) is not None:
        columns, digest, shape = described
    elif _is_list_of_objects(X):
        digest, shape = digest_of_objects(X).hex(), (len(X),)
        columns = ({"name": None, "dtype": type(X[0]).__name__},)
    else:
        array = _array(X)
        if array is None:
            return Dataset(name, context, kind, "", _length(X), (), _target(y))
        digest, shape, missing = _matrix(array)
        column: dict[str, Any] = {"name": None, "dtype": _dtype_name(array.dtype)}
        if array.ndim == 2:
            column["count"] = int(array.shape[1])
        if missing is not None:
            column["missing"] = missing
        columns = (column,)
    return Dataset(name, context, kind, f"sha256:{digest}", shape, columns[:_MOST_COLUMNS], _target(y))


def _kind(X: Any) -> str:
    cls = type(X)
    module = cls.__module__.partition(".")[0]
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"


def _is_sparse(X: Any) -> bool:
    # Without importing scipy, which takes long where only pandas is used.
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(X))


def _length(X: Any) -> tuple[int | None, ...]:
    try:
        return (len(X),)
    except TypeError:
        return ()


def _is_list_of_objects(X: Any) -> bool:
    """Whether it is a list that no array should be made of: texts would all take as much as the longest, in UTF-32."""
    if not isinstance(X, (list, tuple)) or not X:
        return False
    first = X[0]
    if isinstance(first, (str, bytes, Mapping, Set)):
        return True
    if not isinstance(first, (list, tuple, np.ndarray)):
        return False
    # Rows that differ in length, or hold texts.
    try:
        return len({len(row) for row in X}) > 1 or any(isinstance(value, (str, bytes)) for value in first)
    except TypeError:
        return True


def _array(X: Any) -> np.ndarray[Any, Any] | None:
    if isinstance(X, np.ndarray):
        return X
    if isinstance(X, (list, tuple)):
        try:
            return np.asarray(X)
        except ValueError:  # ragged
            return None
    if hasattr(type(X), "__array_namespace__") or type(X).__module__ == "torch":
        try:
            return np.asarray(X)
        except Exception:  # noqa: BLE001 - on a device that only its own library reads
            return None
    return None


def _frame(frame: Any) -> tuple[tuple[dict[str, Any], ...], str, tuple[int, ...]]:
    """Columns, digest and shape of a DataFrame."""
    n_rows, n_columns = frame.shape
    digests: list[str] = [""] * n_columns
    missing: list[int] = [0] * n_columns
    dtypes: list[str] = [""] * n_columns
    for places, block in _numeric_blocks(frame):
        dtype = _dtype_name(block.dtype)
        for place, (digest, count) in zip(places, _columns_of(block), strict=True):
            digests[place], missing[place], dtypes[place] = digest, count, dtype
    for place in range(n_columns):
        if not dtypes[place]:
            column = frame.iloc[:, place]
            digests[place], missing[place] = _other_column(column)
            dtypes[place] = str(column.dtype)
    names = [column if isinstance(column, (str, int)) else str(column) for column in frame.columns]
    whole = hashlib.sha256(repr((n_rows, names, dtypes)).encode("utf-8", "surrogatepass"))
    whole.update("".join(digests).encode())
    columns = tuple(
        {"name": name, "dtype": dtype, "missing": count}
        for name, dtype, count in zip(names, dtypes, missing, strict=True)
    )
    return columns, whole.hexdigest(), (int(n_rows), int(n_columns))


def _numeric_blocks(frame: Any) -> Iterator[tuple[list[int], np.ndarray[Any, Any]]]:
    """The frame's numpy blocks as arrays of shape (columns, rows), with the places of their columns.

    The block manager is pandas' own business, so it is feature-tested; without it columns are taken one by one, which
    is slower and gives the same digests.
    """
    try:
        blocks = [(list(block.mgr_locs), block.values) for block in frame._mgr.blocks]
    except AttributeError:
        blocks = [([i], np.atleast_2d(frame.iloc[:, i].to_numpy())) for i in range(frame.shape[1])]
    for places, values in blocks:
        if isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "biuf":
            yield places, values


@lru_cache(maxsize=256)
def _dtype_name(dtype: np.dtype[Any]) -> str:
    # numpy works the name out anew each time, in Python.
    return str(dtype)


def _columns_of(block: np.ndarray[Any, Any]) -> Iterator[tuple[str, int]]:
    """Digest and missing count of each row of a (columns, rows) block."""
    n_columns, n_rows = block.shape
    floating = block.dtype.kind == "f"
    if n_rows <= 1 or block.strides[1] == block.itemsize:
        any_nan = floating and _has_nan(block)
        whole = _bytes(block) if block.flags.c_contiguous else None
        width = n_rows * block.itemsize
        for place, column in enumerate(block):
            content = _bytes(column) if whole is None else whole[place * width : (place + 1) * width]
            yield hashlib.sha256(content).hexdigest(), _count_nan(column) if any_nan else 0
        return
    # Rows lie side by side in memory: gather a few rows of all columns at a time, in the cache.
    hashes = [hashlib.sha256() for _ in range(n_columns)]
    missing = np.zeros(n_columns, dtype=np.int64)
    step = max(1, _CHUNK // max(1, n_columns * block.itemsize))
    for start in range(0, n_rows, step):
        part = np.ascontiguousarray(block[:, start : start + step])
        for digest, column in zip(hashes, part, strict=True):
            digest.update(_bytes(column))
        if floating and _has_nan(part):
            missing += np.isnan(part).sum(axis=1)
    for digest, count in zip(hashes, missing, strict=True):
        yield digest.hexdigest(), int(count)


def _other_column(column: Any) -> tuple[str, int]:
    """Digest and missing count of a column of strings, categories, dates, nullable numbers or objects."""
    from pandas.util import hash_array

    missing = int(column.isna().sum())
    if column.dtype == object:
        return digest_of_objects(column.to_numpy()).hex(), missing
    values = column.array
    try:
        hashes = hash_array(values if not isinstance(column.dtype, np.dtype) else column.to_numpy(), categorize=True)
    except (TypeError, NotImplementedError):  # columns of lists and mappings
        return digest_of_objects(values).hex(), missing
    whole = hashlib.sha256(_bytes(hashes))
    if missing:
        # Where pandas fills the holes with a value, that value is another one.
        whole.update(_bytes(np.flatnonzero(column.isna().to_numpy())))
    return whole.hexdigest(), missing


def _matrix(array: np.ndarray[Any, Any]) -> tuple[str, tuple[int, ...], int | None]:
    """Digest in C order, shape, and the count of NaN where there can be any."""
    whole = hashlib.sha256(repr((array.shape, _dtype_name(array.dtype))).encode())
    if array.dtype.hasobject:
        whole.update(digest_of_objects(array.ravel()))
        pandas = sys.modules.get("pandas")
        return whole.hexdigest(), array.shape, int(pandas.isna(array).sum()) if pandas is not None else None
    if array.dtype.kind in "mM":
        array = array.view(np.int64)
    missing = 0
    floating = array.dtype.kind in "fc"
    if array.flags.c_contiguous:
        whole.update(_bytes(array))
        missing = _count_nan(array) if floating else 0
    elif array.ndim:
        step = max(1, _CHUNK // max(1, array[:1].nbytes))
        for start in range(0, len(array), step):
            part = np.ascontiguousarray(array[start : start + step])
            whole.update(_bytes(part))
            if floating:
                missing += _count_nan(part)
    return whole.hexdigest(), array.shape, missing if floating else None


def _sparse(X: Any) -> str:
    whole = hashlib.sha256(repr((X.shape, str(X.dtype), X.format)).encode())
    for part in ("data", "indices", "indptr", "row", "col", "offsets"):
        values = getattr(X, part, None)
        if isinstance(values, np.ndarray) and not values.dtype.hasobject:
            whole.update(_bytes(values))
    if X.format in ("lil", "dok"):
        return _sparse(X.tocsr())
    return whole.hexdigest()


def _bytes(values: np.ndarray[Any, Any]) -> memoryview:
    """The content in C order; the array's own memory where it is laid out so."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def _has_nan(values: np.ndarray[Any, Any]) -> bool:
    # A sum is several times faster than looking at each value; a sum that is no number only means: look.
    with np.errstate(all="ignore"):
        total = values.sum()
    return bool(total != total)


def _count_nan(values: np.ndarray[Any, Any]) -> int:
    return int(np.isnan(values).sum()) if values.size and _has_nan(values) else 0


def _target(y: Any) -> dict[str, Any]:
    """Summary of y: classes with their counts for labels, moments for numbers, counts of yes for a label matrix."""
    if y is None:
        return {}
    if _is_sparse(y):
        return {"kind": _kind(y), "dtype": str(y.dtype), "shape": [int(n) for n in y.shape], "nonzero": int(y.nnz)}
    try:
        values = np.asarray(y)
    except Exception:  # noqa: BLE001 - ragged, or on a device
        return {"kind": _kind(y)}
    summary: dict[str, Any] = {
        "kind": _kind(y),
        "dtype": _dtype_name(values.dtype),
        "shape": [int(n) for n in values.shape],
    }
    if values.size == 0:
        return summary
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind == "f":
        with np.errstate(all="ignore"):
            for key, value in (
                ("min", values.min()),
                ("max", values.max()),
                ("mean", values.mean()),
                ("std", values.std()),
            ):
                summary[key] = number_to_json(float(value))
        summary["missing"] = _count_nan(values)
    elif values.dtype.kind in "biu":
        low, high = int(values.min()), int(values.max())
        if values.ndim == 2 and low >= 0 and high <= 1 and values.shape[1] <= _MOST_CLASSES:
            summary["positives"] = [int(count) for count in values.sum(axis=0)]
        elif values.ndim != 1:
            return summary
        elif high - low < _MOST_CLASSES:
            counts = np.bincount((values.astype(np.int64) - low), minlength=high - low + 1)
            summary["classes"] = {_label(low + i, values): int(count) for i, count in enumerate(counts) if count}
        else:
            summary |= {"min": low, "max": high, "mean": float(values.mean()), "std": float(values.std())}
    elif values.ndim == 1 and len(values) <= _MOST_LABELS and values.dtype.kind in "OUS":
        try:
            counted = Counter(values.tolist())
        except TypeError:  # labels that cannot be told apart
            return summary
        if len(counted) <= _MOST_CLASSES:
            texts: Counter[str] = Counter()
            for label, count in counted.items():
                texts[str(label)] += count
            summary["classes"] = dict(sorted(texts.items()))
    return summary


def _label(value: int, values: np.ndarray[Any, Any]) -> str:
    return str(bool(value)) if values.dtype.kind == "b" else str(value)
