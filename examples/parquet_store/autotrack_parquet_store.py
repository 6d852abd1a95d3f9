"""An example of a store: ``parquet:DIR`` keeps runs as a log of Parquet files that any number of processes extend.

    DIR/
      log/00000001.parquet    the entries of one `apply`, in columns that pandas, polars or DuckDB read
      artifacts/<run id>/…    files and model folders

A file of the log is written under another name and linked to its number, which only one process can have: whoever
comes second reads what the first one wrote and takes the next number. So every process sees the same entries in the
same order, and an `apply` is there whole or not at all. What entries mean is `autotrack.stores.state.State`; it is in
memory, so this suits thousands of runs, not millions.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from autotrack.entities import Artifact, Experiment, Metric, Run, experiment_id
from autotrack.errors import RunNotFound, StoreError
from autotrack.events import Entry, from_json, to_json
from autotrack.stores.artifacts import folder as artifact_files
from autotrack.stores.base import ACTIVE_RUNS, View, in_view
from autotrack.stores.filters import matches, parse_filter, parse_orders, sort_runs
from autotrack.stores.state import RunState, State

SCHEME = "parquet:"
SCHEMA = pa.schema(
    # JSON escapes what UTF-8 does not have; an id of a journal or a run may be any text.
    [(name, pa.int64() if name == "number" else pa.string()) for name in ("journal", "number", "type", "run", "event")]
)


def open_uri(uri: str) -> ParquetStore:
    """The store of a URI: the entry point."""
    if not uri[len(SCHEME) :].strip():
        raise StoreError(f"{uri!r} names no folder; write parquet:DIR")
    return ParquetStore(Path(uri[len(SCHEME) :]))


class ParquetStore:
    """Runs in a folder of Parquet files. The methods are those of `autotrack.stores.base.Store`, which documents them.

    Parameters
    ----------
    folder : is made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.abspath(folder))
        self._log, self._artifacts = self._folder / "log", self._folder / "artifacts"
        self._lock = threading.RLock()
        self._state = State()
        self._read = 0
        self._problems: list[str] = []

    @property
    def uri(self) -> str:
        return SCHEME + str(self._folder)

    # Writing

    def apply(self, entries: Sequence[Entry]) -> None:
        try:
            with self._lock:
                self._log.mkdir(parents=True, exist_ok=True)
                while True:
                    self._catch_up()
                    new = self._unknown(entries)
                    if not new or self._append(new):
                        break
                self._catch_up()
        except (OSError, ValueError, TypeError, OverflowError, pa.ArrowException) as error:
            raise StoreError(f"cannot write to {self._folder}: {error}") from error

    def _unknown(self, entries: Sequence[Entry]) -> list[Entry]:
        """The entries that are not in the log: those with a number greater than the last one of their journal."""
        last, new = dict(self._state.last), []
        for entry in entries:
            if entry.number > last.get(entry.journal_id, 0):
                last[entry.journal_id] = entry.number
                new.append(entry)
        return new

    def _append(self, entries: Sequence[Entry]) -> bool:
        """Write the next file of the log; false when another process was faster."""
        rows = []
        for entry in entries:
            run_id = getattr(entry.event, "run_id", "")
            event = json.dumps(to_json(entry.event), allow_nan=False)
            rows.append((json.dumps(entry.journal_id), entry.number, entry.event.type, json.dumps(run_id), event))
        table = pa.table([list(column) for column in zip(*rows)], schema=SCHEMA)
        partial = self._log / f".{os.urandom(8).hex()}.tmp"
        try:
            pq.write_table(table, partial)
            os.link(partial, self._file(self._read + 1))
        except FileExistsError:
            return False
        finally:
            partial.unlink(missing_ok=True)
        return True

    def put_artifact(self, run_id: str, path: str, source: Path) -> None:
        artifact_files.put(self._artifacts, run_id, path, source)

    # Reading

    def get_run(self, run_id: str) -> Run:
        with self._lock:
            return self._state.run(self._find(run_id))

    def find_runs(self, reference: str) -> list[Run]:
        found = self._newest_first(ACTIVE_RUNS) if reference else []
        return [run for run in found if run.run_id.startswith(reference) or run.name == reference]

    def search_runs(
        self,
        filter: str | None = None,
        order_by: Sequence[str] = (),
        limit: int | None = None,
        *,
        experiment: str | None = None,
        view: View = ACTIVE_RUNS,
    ) -> list[Run]:
        expression, orders = parse_filter(filter), parse_orders(order_by)
        runs = [run for run in self._newest_first(view) if experiment in (None, run.experiment)]
        found = sort_runs((run for run in runs if matches(expression, run)), orders)
        return found if limit is None else found[: max(0, limit)]

    def metric_history(self, run_id: str, key: str) -> list[Metric]:
        with self._lock:
            return self._find(run_id).history(key)

    def experiments(self) -> list[Experiment]:
        counts = Counter(run.experiment for run in self._newest_first(ACTIVE_RUNS))
        with self._lock:
            facts = {name: told.sorted_by_key() for name, told in self._state.experiments.items()}
        names = sorted({*counts, *facts})
        return [Experiment(experiment_id(name), name, counts[name], facts.get(name, {})) for name in names]

    def artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        return artifact_files.listing(self._artifacts, run_id, path, self._logged(run_id))

    def artifact_path(self, run_id: str, path: str) -> Path:
        return artifact_files.find(self._artifacts, run_id, path, self._logged(run_id))

    def problems(self) -> list[str]:
        with self._lock:
            self._catch_up()
            return list(self._problems)

    def close(self) -> None:
        """Nothing is open between two calls."""

    # Inside

    def _file(self, number: int) -> Path:
        return self._log / f"{number:08}.parquet"

    def _catch_up(self) -> None:
        """Fold the files that the log gained, from whichever process; one that cannot be read is named."""
        while (path := self._file(self._read + 1)).exists():
            self._read += 1
            try:
                rows: list[dict[str, Any]] = pq.ParquetFile(path).read(["journal", "number", "event"]).to_pylist()
                entries = [
                    Entry(json.loads(row["journal"]), row["number"], from_json(json.loads(row["event"])))
                    for row in rows
                ]
            except (OSError, ValueError, TypeError, pa.ArrowException) as error:
                self._problems.append(f"{path.name} cannot be read: {error}")
            else:
                self._state.apply(entries)

    def _find(self, run_id: str) -> RunState:
        self._catch_up()
        if run_id not in self._state.runs:
            raise RunNotFound(f"no run {run_id!r} in {self.uri}")
        return self._state.runs[run_id]

    def _logged(self, run_id: str) -> list[Artifact]:
        with self._lock:
            return self._find(run_id).logged()

    def _newest_first(self, view: View) -> list[Run]:
        with self._lock:
            self._catch_up()
            runs = [self._state.run(state) for state in self._state.newest_first()]
        return [run for run in runs if in_view(run, view)]
