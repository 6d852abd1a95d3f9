"""Runs as tables in files that other tools read: Parquet, CSV, JSON lines.

A folder with one file for each table of `TABLES`, and ``export.json`` that tells what was left out of them. ``runs``
has one row for each run with columns ``params.KEY``, ``metrics.KEY`` (the last value) and ``tags.KEY``; the other
tables are long, and whole. Of each kind the `MAX_COLUMNS` keys that most runs have get a column, the first by name
where as many have them; ``export.json`` counts the others.

NaN is a value and differs from a missing one: in Parquet NaN and null, in CSV ``NaN`` and nothing, in JSON ``"NaN"``
and no entry. Lone surrogates, which UTF-8 does not have, become their escape (``\\udc80``) in Parquet and CSV.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from autotrack import __version__
from autotrack.entities import Run
from autotrack.errors import StoreError
from autotrack.events import dataset_to_json
from autotrack.moving.reading import Selection
from autotrack.moving.tables import ATTRIBUTES, KINDS, TABLES, Column, Table, escaped, writer
from autotrack.query.sources import StoreLike, reading
from autotrack.stores.base import Store, histories

MANIFEST: Final = "export.json"
MAX_COLUMNS: Final = 1000
_PAGE: Final = 200


@dataclass(slots=True)
class Exported:
    """What was written. ``remarks`` tell what the tables do not show."""

    folder: Path
    runs: int = 0
    points: int = 0
    remarks: list[str] = field(default_factory=list)


def export_runs(
    store: StoreLike,
    folder: Path,
    format: str = "parquet",
    filter: str | None = None,
    *,
    experiment: str | None = None,
    deleted: bool = False,
    max_columns: int = MAX_COLUMNS,
    progress: Callable[[int], None] | None = None,
) -> Exported:
    """Write the runs of a store into a folder of tables; whole or not at all.

    Parameters
    ----------
    folder : is made, or holds an earlier export, which is replaced.
    format : ``"parquet"``, ``"csv"`` or ``"json"``.
    max_columns : so many params, so many metrics and so many tags get a column in the table of runs.
    progress : called with the number of runs written.

    Raises
    ------
    FilterError
        When the filter cannot be understood.
    StoreError
        When the folder holds something else, cannot be written, or the library for the format is not installed.
    """
    selection = Selection(filter, experiment, deleted)
    folder = Path(os.path.abspath(os.path.expanduser(folder)))
    _check(folder)
    partial = folder.with_name(f"{folder.name}.tmp-{os.urandom(4).hex()}")
    try:
        with reading(store) as opened:
            partial.mkdir(parents=True)
            exported = _write(opened, partial, format, selection, max_columns, progress)
        exported.folder = folder
        _put(partial, folder)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return exported


def _check(folder: Path) -> None:
    """Never replace anything but an export."""
    if folder.is_dir() and (not os.listdir(folder) or (folder / MANIFEST).is_file()):
        return
    if os.path.lexists(folder):
        raise StoreError(f"{folder} is there and is no export; name a folder that is new or empty")


def _put(partial: Path, folder: Path) -> None:
    _check(folder)
    aside = folder.with_name(f"{folder.name}.tmp-{os.urandom(4).hex()}")
    if folder.is_dir():
        os.rename(folder, aside)
    try:
        os.rename(partial, folder)
    except OSError:
        if aside.is_dir():
            os.rename(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _write(
    store: Store,
    folder: Path,
    format: str,
    selection: Selection,
    max_columns: int,
    progress: Callable[[int], None] | None,
) -> Exported:
    exported = Exported(folder)
    chosen, left_out = _columns(store, selection, max_columns)
    wide = [
        Column(f"{kind}.{key}", "number" if kind == "metrics" else "text") for kind in KINDS for key in chosen[kind]
    ]
    columns = {**TABLES, "runs": [*ATTRIBUTES, *_unequal(wide, exported)]}
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        tables = {
            name: Table(stack.enter_context(writer(format, folder / name, columns[name])), columns[name])
            for name in columns
        }
        for page in selection.pages(store, _PAGE):
            for run in page:
                _add(tables, run, chosen)
                points = 0
                for key, history in sorted(histories(store, run).items()):
                    for point in history:
                        tables["metrics"].add((run.run_id, key, point.step, point.timestamp, point.value))
                    points += len(history)
                exported.runs += 1
                exported.points += points
                if progress is not None:
                    progress(exported.runs)
        for name, table in tables.items():
            table.flush()
            counts[name] = table.rows
    for kind in KINDS:
        if left_out[kind]:
            exported.remarks.append(
                f"{left_out[kind]:,} {kind} of fewest runs have no column in the table of runs; "
                f"the table {kind} has them all"
            )
    if any(table.escaped for table in tables.values()):
        exported.remarks.append("texts with lone surrogates, which UTF-8 does not have, stand there escaped (\\udc80)")
    manifest = {
        "autotrack": __version__,
        "format": format,
        "store": store.uri,
        "filter": selection.filter,
        "experiment": selection.experiment,
        "deleted": selection.deleted,
        "rows": dict(counts),
        "keys_without_column": left_out,
        "remarks": exported.remarks,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return exported


def _columns(store: Store, selection: Selection, most: int) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Which keys get a column in the table of runs, and how many do not, by kind. A pass of its own over the runs."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for page in selection.pages(store):
        for run in page:
            for kind in KINDS:
                counts[kind].update(getattr(run, kind).keys())
    chosen, left_out = {}, {}
    for kind in KINDS:
        ranked = sorted(counts[kind], key=lambda key: (-counts[kind][key], key))
        chosen[kind], left_out[kind] = sorted(ranked[:most]), max(0, len(ranked) - most)
    return chosen, left_out


def _unequal(columns: Sequence[Column], exported: Exported) -> Iterator[Column]:
    """Columns whose names are still different when they are escaped."""
    seen: set[str] = set()
    for column in columns:
        name = escaped(column.name)
        if name in seen:
            exported.remarks.append(f"two keys look alike when escaped; the column {name} is of the first")
        else:
            seen.add(name)
            yield column


def _add(tables: dict[str, Table], run: Run, chosen: dict[str, list[str]]) -> None:
    values = [
        *(run.run_id, run.name, run.experiment, run.experiment_id, run.status, run.start_time, run.end_time),
        *(run.duration, run.parent_run_id, run.error, run.broken, run.deleted_time, run.process_id),
        _json(run.process),
    ]
    row: dict[str, Any] = dict(zip((column.name for column in ATTRIBUTES), values))
    for kind in KINDS:
        had = getattr(run, kind)
        row |= {f"{kind}.{key}": had[key] for key in chosen[kind] if key in had}
    tables["runs"].add_mapping(row)
    for kind in ("params", "tags"):
        for key, text in getattr(run, kind).items():
            tables[kind].add((run.run_id, key, text))
    for dataset in run.datasets:
        shape = [*dataset.shape, None, None]
        told = dataset_to_json(dataset)
        tables["datasets"].add(
            (run.run_id, dataset.name, dataset.context, dataset.kind, dataset.digest, shape[0], shape[1])
            + (_json(told["shape"]), _json(told["columns"]), _json(told["target"]), _json(dict(dataset.source)))
        )
    for model in run.models:
        tables["models"].add(
            (run.run_id, model.path, model.estimator_class, model.serialization_format, model.size)
            + (model.registered_model_name, model.digest, model.model_id or None, _json(dict(model.details)))
        )
    for note in run.notes:
        tables["notes"].add((run.run_id, note.kind, note.subject, note.message, note.count))


def _json(value: Any) -> str:
    return json.dumps(value, default=repr)
