"""MLflow's own SQLite store with the runs of `benchmarks.stores.data`, asked as ours are.

Its API takes in some runs only, for the time this takes; the rest is inserted into its tables in bulk, which it would
take many minutes for otherwise.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from autotrack.entities import ACTIVE, DELETED
from autotrack.events import (
    DatasetLogged,
    Entry,
    LifecycleSet,
    MetricsLogged,
    ParamsLogged,
    RunEnded,
    RunStarted,
    TagsSet,
)
from benchmarks.stores import data
from benchmarks.stores.searches import LIMIT, SEARCHES

_THROUGH_API: Final = 200


def measure(database: Path, n_runs: int, rounds: int) -> dict[str, Any]:
    """Load and ask it."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    artifacts = str(database.parent / "artifacts")
    store = SqlAlchemyStore(f"sqlite:///{database}", artifacts)
    experiments = {"Default": 0}
    for name in data.EXPERIMENTS[1:]:
        experiments[name] = int(store.create_experiment(name))
    in_bulk(store, experiments, n_runs)
    found = ask(store, experiments, n_runs, rounds)
    other = SqlAlchemyStore(f"sqlite:///{database.with_name('api.db')}", artifacts)
    seconds, n_events = through_api(other, min(n_runs, _THROUGH_API))
    return {"events": n_events, "apply": [seconds / n_events], **found}


def ask(store: Any, experiments: dict[str, int], n_runs: int, rounds: int) -> dict[str, Any]:
    """Every question that it understands."""
    from mlflow.entities import ViewType

    from benchmarks.children.stores import timed

    searches: dict[str, list[float]] = {}
    rows: dict[str, int] = {}
    for search in SEARCHES:
        if not search.in_mlflow:
            continue
        names = experiments if search.experiment is None else [search.experiment]
        ids = [str(experiments[name]) for name in names]

        def once(search: Any = search, ids: list[str] = ids) -> Any:
            found = store.search_runs(ids, search.filter or "", ViewType.ACTIVE_ONLY, LIMIT, list(search.order_by))
            return [run.to_dictionary() for run in found]

        rows[search.name] = len(once())
        searches[search.name] = timed(once, rounds)
    numbers = iter(range(0, n_runs, max(1, n_runs // (rounds + 2))))
    other = {
        "get_run": timed(lambda: store.get_run(data.run_id(next(numbers))).to_dictionary(), rounds),
        "metric_history": timed(lambda: store.get_metric_history(data.run_id(n_runs // 3), "n_iter"), rounds),
    }
    return {"searches": searches, "found": rows, "other": other}


def in_bulk(store: Any, experiments: dict[str, int], n_runs: int) -> None:
    """Insert the runs into its tables."""
    import sqlalchemy
    from mlflow.store.tracking.dbmodels import models

    engine = sqlalchemy.create_engine(store.db_uri)
    datasets: dict[tuple[int, str], str] = {}
    with engine.begin() as connection:
        for entries in data.journals(n_runs):
            rows = _rows(entries, experiments, datasets)
            for name, found in rows.items():
                if found:
                    connection.execute(getattr(models, name).__table__.insert(), found)
    engine.dispose()


def through_api(store: Any, n_runs: int) -> tuple[float, int]:
    """Create, log and end runs as MLflow's client does: seconds, and how many of our entries these stand for."""
    from mlflow.entities import Metric, Param, RunStatus, RunTag

    seconds, n_events = 0.0, 0
    for entries in data.journals(n_runs):
        n_events += len(entries)
        run_ids: dict[str, str] = {}
        began = time.perf_counter()
        for event in (entry.event for entry in entries):
            match event:
                case RunStarted():
                    run = store.create_run("0", "me", event.start_time, [], event.name)
                    run_ids[event.run_id] = run.info.run_id
                case ParamsLogged():
                    params = [Param(key, value) for key, value in event.params.items()]
                    store.log_batch(run_ids[event.run_id], [], params, [])
                case TagsSet():
                    store.log_batch(run_ids[event.run_id], [], [], [RunTag(*tag) for tag in event.tags.items()])
                case MetricsLogged():
                    metrics = [Metric(m.key, m.value, m.timestamp, m.step) for m in event.metrics]
                    store.log_batch(run_ids[event.run_id], metrics, [], [])
                case RunEnded():
                    status = RunStatus.from_string(event.status)
                    store.update_run_info(run_ids[event.run_id], status, event.end_time, None)
        seconds += time.perf_counter() - began
    return seconds, n_events


def _rows(
    entries: list[Entry], experiments: dict[str, int], datasets: dict[tuple[int, str], str]
) -> dict[str, list[dict[str, Any]]]:
    """What stands in MLflow's tables for the runs of one journal, by the name of the table's class."""
    runs: dict[str, dict[str, Any]] = {}
    names = ("SqlTag", "SqlParam", "SqlMetric", "SqlLatestMetric", "SqlDataset", "SqlInput")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for event in (entry.event for entry in entries):
        match event:
            case RunStarted(run, name, time, experiment):
                runs[run] = {
                    "run_uuid": run,
                    "name": name,
                    "source_type": "LOCAL",
                    "user_id": "me",
                    "status": "RUNNING",
                }
                runs[run] |= {"start_time": time, "lifecycle_stage": ACTIVE, "experiment_id": experiments[experiment]}
                runs[run] |= {"end_time": None, "deleted_time": None, "artifact_uri": f"artifacts/{run}/artifacts"}
                rows["SqlTag"].append({"run_uuid": run, "key": "mlflow.runName", "value": name})
            case ParamsLogged(run, params):
                rows["SqlParam"] += [{"run_uuid": run, "key": key, "value": value} for key, value in params.items()]
            case TagsSet(run, tags):
                rows["SqlTag"] += [{"run_uuid": run, "key": key, "value": value} for key, value in tags.items()]
            case MetricsLogged(run, metrics):
                for m in metrics:
                    row = {"run_uuid": run, "key": m.key, "value": m.value, "timestamp": m.timestamp, "step": m.step}
                    rows["SqlMetric"].append({**row, "is_nan": False})
                    rows["SqlLatestMetric"].append({**row, "is_nan": False})
            case DatasetLogged(run, dataset):
                place = runs[run]["experiment_id"], dataset.digest
                if place not in datasets:
                    datasets[place] = f"{len(datasets):032x}"
                    row = {"dataset_uuid": datasets[place], "experiment_id": place[0], "name": dataset.name}
                    row |= {"digest": dataset.digest[-36:], "dataset_source_type": "code", "dataset_source": "{}"}
                    rows["SqlDataset"].append({**row, "dataset_schema": "{}", "dataset_profile": "{}"})
                row = {"input_uuid": run, "source_type": "DATASET", "source_id": datasets[place]}
                rows["SqlInput"].append({**row, "destination_type": "RUN", "destination_id": run, "step": 0})
            case RunEnded(run, status, time):
                runs[run] |= {"status": status, "end_time": time}
            case LifecycleSet(run, _, time):
                runs[run] |= {"lifecycle_stage": DELETED, "deleted_time": time}
    return {"SqlRun": list(runs.values()), **rows}
