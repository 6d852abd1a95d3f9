"""Both tracking servers: how they are started over a database, and filled with the same runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import Trouble
from benchmarks.processes import HttpServer, Reply, free_port
from benchmarks.stores import data, mlflow_store

API: Final = "/api/2.0/mlflow"
JSON: Final = {"Content-Type": "application/json"}
_DEFAULT: Final = "0"


@dataclass(frozen=True, slots=True)
class Kind:
    """A tracking server: its name, the arguments that start it, and what puts the runs of `benchmarks.stores.data` into
    its database."""

    name: str
    arguments: tuple[str, ...]
    fill: Callable[[str, int], None]


def _fill_ours(database: str, n_runs: int) -> None:
    from autotrack.stores import open_store

    is_folder = "://" not in database
    if is_folder:
        data.write_journals(Path(database), n_runs)
    store = open_store(database)
    try:
        if is_folder:
            store.search_runs(limit=1)  # folds the journals
        else:
            for entries in data.journals(n_runs):
                store.apply(entries)
    finally:
        store.close()


def _fill_mlflow(database: str, n_runs: int) -> None:
    import tempfile

    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with tempfile.TemporaryDirectory(prefix="autotrack-bench-") as artifacts:
        store = SqlAlchemyStore(_for_mlflow(database), artifacts)
        experiments = {"Default": 0}
        for name in data.EXPERIMENTS[1:]:
            experiments[name] = int(store.create_experiment(name))
        if n_runs:
            mlflow_store.in_bulk(store, experiments, n_runs)


def _for_mlflow(database: str) -> str:
    """MLflow takes a URI as SQLAlchemy does, with the driver that is installed."""
    return database.replace("postgresql://", "postgresql+psycopg://", 1)


AUTOTRACK: Final = Kind(
    "autotrack",
    ("-m", "autotrack", "server", "--store", "DATABASE", "--port", "PORT", "--workers", "WORKERS"),
    _fill_ours,
)
MLFLOW: Final = Kind(
    "mlflow",
    (
        *("-m", "mlflow", "server", "--backend-store-uri", "DATABASE", "--artifacts-destination", "ARTIFACTS"),
        *("--port", "PORT", "--workers", "WORKERS"),
    ),
    _fill_mlflow,
)
KINDS: Final = (AUTOTRACK, MLFLOW)


class TrackingServer(HttpServer):
    """A tracking server over a database.

    Parameters
    ----------
    kind : which one.
    database : its URI.
    folder : where it runs and leaves its log.
    workers : processes that answer.
    """

    def __init__(self, kind: Kind, database: str, folder: Path, *, workers: int, options: Sequence[str] = ()) -> None:
        self.kind = kind
        port = free_port()
        given = {
            "DATABASE": _for_mlflow(database) if kind == MLFLOW else database,
            "PORT": str(port),
            "WORKERS": str(workers),
            "ARTIFACTS": str(folder / "artifacts"),
        }
        arguments = [given.get(argument, argument) for argument in kind.arguments]
        super().__init__(kind.name, [sys.executable, *arguments, *options], port, folder, ready="/health")

    def start(self) -> float:
        """Start it; seconds until the experiments are told."""
        return self.start_until(lambda: self.post(f"{API}/experiments/search", {"max_results": 10}))

    def post(self, path: str, body: Mapping[str, Any], timeout: float = 120.0) -> Reply:
        """Send JSON."""
        return self.request("POST", path, json.dumps(body).encode(), JSON, timeout)

    def told(self, path: str, body: Mapping[str, Any]) -> Any:
        """What it answers, parsed.

        Raises
        ------
        Trouble
            For anything but 200.
        """
        reply = self.post(path, body)
        if reply.status != 200:
            raise Trouble(f"{self.name}: {path} gave {reply.status}: {reply.body[:500]!r}")
        return json.loads(reply.body)

    def experiments(self) -> dict[str, str]:
        """Their ids by name."""
        found = self.told(f"{API}/experiments/search", {"max_results": 1000})
        return {one["name"]: one["experiment_id"] for one in found.get("experiments", [])}

    def new_runs(self, count: int) -> list[str]:
        """So many runs that have nothing yet; their ids."""
        return [
            self.told(f"{API}/runs/create", {"experiment_id": _DEFAULT, "start_time": 1_700_000_000_000 + number})[
                "run"
            ]["info"]["run_id"]
            for number in range(count)
        ]
