"""``python -m benchmarks.children.stores URI RUNS ROUNDS``: load one store and ask it, told as JSON.

``URI`` is ``local`` for a folder of its own, whose journals are written first and folded then; ``mlflow`` for MLflow's
own SQLite store; else that of any store, which must be empty and is loaded by ``apply``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.children.answers import open_answers
from benchmarks.children.peak import peak_bytes
from benchmarks.stores import data
from benchmarks.stores.searches import LIMIT, SEARCHES


def main() -> None:
    answer = open_answers()
    uri, n_runs, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    match uri:
        case "local":
            found = of_folder(Path("local").absolute(), n_runs, rounds)
        case "mlflow":
            from benchmarks.stores import mlflow_store

            found = mlflow_store.measure(Path("mlflow.db").absolute(), n_runs, rounds)
        case _:
            found = of_uri(uri, n_runs, rounds)
    answer({**found, "peak_bytes": peak_bytes()})


def of_folder(folder: Path, n_runs: int, rounds: int) -> dict[str, Any]:
    """Fold journals, ask, and open again and again; then `apply` on a folder of its own."""
    from autotrack.stores import open_store

    n_events = data.write_journals(folder, n_runs)
    store = open_store(str(folder))
    began = time.perf_counter()
    store.search_runs(limit=1)
    seconds = time.perf_counter() - began
    found: dict[str, Any] = {"events": n_events, "fold": [seconds / n_events]}
    found["bytes"] = sum(path.stat().st_size for path in folder.glob("runs.db*"))
    found |= ask(store, n_runs, rounds)
    store.close()

    def opened() -> None:
        again = open_store(str(folder))
        again.search_runs(limit=1)
        again.close()

    found["other"]["open, first read"] = timed(opened, rounds)
    applied = open_store(str(folder.with_name("applied")))
    found["apply"] = [load(applied, min(n_runs, 5000))[0]]
    applied.close()
    return found


def of_uri(uri: str, n_runs: int, rounds: int) -> dict[str, Any]:
    """Load a store by `apply`, and ask it."""
    from autotrack.stores import open_store

    store = open_store(uri)
    per_event, n_events = load(store, n_runs)
    if uri.startswith("postgresql"):
        vacuum(uri)
    found = {"events": n_events, "apply": [per_event], **ask(store, n_runs, rounds)}
    store.close()
    return found


def vacuum(uri: str) -> None:
    """What the server itself does within a minute or so of so many new rows."""
    import psycopg

    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def load(store: Any, n_runs: int) -> tuple[float, int]:
    """Apply all runs, journal by journal: seconds per event, and how many events. Making the events is not timed."""
    seconds, n_events = 0.0, 0
    for entries in data.journals(n_runs):
        began = time.perf_counter()
        store.apply(entries)
        seconds += time.perf_counter() - began
        n_events += len(entries)
    return seconds / n_events, n_events


def ask(store: Any, n_runs: int, rounds: int) -> dict[str, Any]:
    """Every question, so many times, in turn."""
    searches: dict[str, list[float]] = {}
    rows: dict[str, int] = {}
    for search in SEARCHES:

        def once(search: Any = search) -> Any:
            return store.search_runs(search.filter, search.order_by, LIMIT, experiment=search.experiment)

        rows[search.name] = len(once())
        searches[search.name] = timed(once, rounds)
    numbers = iter(range(0, n_runs, max(1, n_runs // (rounds + 2))))
    other = {
        "get_run": timed(lambda: store.get_run(data.run_id(next(numbers))), rounds),
        "find_runs": timed(lambda: store.find_runs(data.run_id(n_runs // 2)[:10]), rounds),
        "experiments": timed(store.experiments, rounds),
        "metric_history": timed(lambda: store.metric_history(data.run_id(n_runs // 3), "n_iter"), rounds),
    }
    return {"searches": searches, "found": rows, "other": other}


def timed(call: Callable[[], Any], rounds: int) -> list[float]:
    """Seconds of each call."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return found


if __name__ == "__main__":
    main()
