"""Both libraries' stores, read through their own public functions."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from benchmarks.side_by_side.records import Record, numbered

_PARENT: Final = "mlflow.parentRunId"
_CONTEXT: Final = "mlflow.data.context"

Raw = TypeVar("Raw")


def read_mlflow(tracking_uri: str, experiment: str) -> list[Record]:
    """The runs of an experiment in MLflow's store, oldest first, children inside their parents."""
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    client: Any = MlflowClient(tracking_uri=tracking_uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    runs = list(client.search_runs([found.experiment_id], max_results=50_000))
    runs.sort(key=lambda run: (run.info.start_time, run.info.end_time or 0))

    def files(run_id: str, folder: str | None = None) -> Iterator[str]:
        for artifact in client.list_artifacts(run_id, folder):
            if artifact.is_dir:
                yield from files(run_id, artifact.path)
            else:
                yield artifact.path

    def contents(run_id: str) -> dict[str, Any]:
        def fetch(path: str) -> Path:
            return Path(download_artifacts(run_id=run_id, artifact_path=path, tracking_uri=tracking_uri))

        return _contents(list(files(run_id)), fetch)

    def rows(dataset: Any) -> int | None:
        profile = json.loads(dataset.profile or "{}")
        shape = profile.get("features_shape")
        count = shape[0] if isinstance(shape, list) and shape else profile.get("num_rows")
        return int(count) if count is not None else None

    def record(run: Any, name: str, children: tuple[Record, ...]) -> Record:
        outputs = run.outputs.model_outputs if run.outputs is not None else []
        return Record(
            name=name,
            estimator_class=run.data.tags.get("estimator_class", ""),
            status=run.info.status,
            params=dict(run.data.params),
            metrics=dict(run.data.metrics),
            tags=dict(run.data.tags),
            **contents(run.info.run_id),
            datasets=tuple(
                (next((tag.value for tag in given.tags if tag.key == _CONTEXT), ""), rows(given.dataset))
                for given in run.inputs.dataset_inputs
            ),
            models=tuple(sorted(client.get_logged_model(output.model_id).name for output in outputs)),
            children=children,
        )

    return _tree(
        runs,
        lambda run: run.info.run_id,
        lambda run: run.data.tags.get(_PARENT),
        lambda run: run.data.tags.get("estimator_name", run.info.run_name),
        record,
    )


def read_autotrack(store: Path, experiment: str) -> list[Record]:
    """The runs of an experiment in autotrack's store, oldest first, children inside their parents."""
    import autotrack

    if not store.exists():
        return []
    found = autotrack.search_runs(experiment=experiment, store=store)
    runs = [autotrack.get_run(run_id, store=store) for run_id in found["run_id"]]
    runs.reverse()

    def record(run: Any, name: str, children: tuple[Record, ...]) -> Record:
        models = {model.path for model in run.models}
        paths = [path for path in run.artifacts if path.partition("/")[0] not in models]
        return Record(
            name=name,
            estimator_class=run.tags.get("estimator_class", ""),
            status=run.status,
            params=run.params,
            metrics=run.metrics,
            tags=run.tags,
            **_contents(paths, run.artifact_path),
            datasets=tuple((dataset.context, dataset.shape[0] if dataset.shape else None) for dataset in run.datasets),
            models=tuple(sorted(models)),
            children=children,
        )

    return _tree(
        runs,
        lambda run: run.run_id,
        lambda run: run.parent_run_id,
        lambda run: run.tags.get("estimator_name", run.name),
        record,
    )


def _tree(
    runs: list[Raw],
    own_id: Callable[[Raw], str],
    parent_id: Callable[[Raw], str | None],
    name_of: Callable[[Raw], str],
    record: Callable[[Raw, str, tuple[Record, ...]], Record],
) -> list[Record]:
    known = {own_id(run) for run in runs}

    def below(parent: str | None) -> list[Record]:
        mine = [run for run in runs if (found if (found := parent_id(run)) in known else None) == parent]
        names = numbered([name_of(run) for run in mine])
        return [record(run, name, tuple(below(own_id(run)))) for run, name in zip(mine, names, strict=True)]

    return below(None)


def _contents(paths: list[str], fetch: Callable[[str], Path]) -> dict[str, Any]:
    """What is compared of a run's files: their names, and what stands in those that have a form of their own."""

    def loaded(path: str) -> Any:
        return json.loads(fetch(path).read_text(encoding="utf-8")) if path in paths else {}

    plots = [path for path in paths if path.startswith("plots/") and path.endswith(".json")]
    return {
        "files": frozenset(paths),
        "calls": loaded("metric_info.json"),
        "columns": _columns(fetch("cv_results.csv")) if "cv_results.csv" in paths else {},
        "plots": frozenset(name for path in plots for name in loaded(path).get("plots", {})),
    }


def _columns(table: Path) -> dict[str, tuple[str, ...]]:
    with table.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return {name: tuple(row[place] for row in rows) for place, name in enumerate(header)}
