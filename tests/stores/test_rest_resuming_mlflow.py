"""Killed between any two requests, and begun again: the same runs, once, for us and for MLflow's own client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from services import Mlflow

from autotrack.digests import of_file, of_folder
from autotrack.entities import FINISHED, Artifact, Dataset, LoggedModel, Metric, Note
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    TagsSet,
)
from autotrack.stores.base import Store
from autotrack.stores.memory import MemoryStore
from autotrack.stores.mlflow.rest.store import MlflowServerStore
from autotrack.stores.mlflow.rest.transport import Transport
from autotrack.testing.samples import Journal, started

PARENT, CHILD, TRASH = "a" * 32, "b" * 32, "c" * 32


class Killed(BaseException):
    """The process is gone."""


@contextmanager
def killed_after(number: int) -> Iterator[list[str]]:
    """Let the n-th request through, and nothing behind it, not even its answer."""
    send = Transport._send
    made: list[str] = []

    @contextmanager
    def counted(self: Transport, method: str, path: str, *args: Any) -> Iterator[Any]:
        if len(made) >= number:
            raise Killed
        made.append(f"{method} {path}")
        with send(self, method, path, *args) as response:
            if len(made) >= number:
                raise Killed
            yield response

    patch = pytest.MonkeyPatch()
    patch.setattr(Transport, "_send", counted)
    try:
        yield made
    finally:
        patch.undo()


def ship(store: Store, model: Path, plot: Path) -> None:
    """What a shipper does with one journal: starts, files, and the rest."""
    journal = Journal("20260101T000000-a")
    store.apply(
        journal.entries(
            ProcessDescribed("p", {"user": "me", "script": "train.py"}),
            started(CHILD, name="child", start_time=2000, parent_run_id=PARENT, process_id="p"),
            started(PARENT, name="parent", start_time=1000, process_id="p"),
            ParamsLogged(PARENT, {"alpha": "1", "long": "x" * 7000}),
        )
    )
    store.put_artifact(PARENT, "model", model)
    store.put_artifact(PARENT, "plots/roc.json", plot)
    logged = LoggedModel("model", "k.E", "cloudpickle", 4, "Registered", of_folder(model))
    store.apply(
        journal.entries(
            ParamsLogged(PARENT, {"alpha": "2"}),
            MetricsLogged(PARENT, (Metric("m", 1.0, 0, 5), Metric("m", 2.0, 1, 6), Metric("n", 0.5, 0, 5))),
            TagsSet(PARENT, {"t": "1"}),
            DatasetLogged(PARENT, Dataset("X", "train", "DataFrame", "sha256:1", (3, 2), ({"name": "c"},))),
            ArtifactLogged(PARENT, Artifact("plots/roc.json", 2, of_file(plot))),
            ModelLogged(PARENT, logged),
            NoteLogged(PARENT, Note("warning", "W", "w")),
            RunEnded(PARENT, FINISHED, 3000),
            started(TRASH, name="trash", start_time=500),
            LifecycleSet(TRASH, "deleted", 4000),
        )
    )


def told(store: Store) -> list[Any]:
    """What a store tells of the runs."""
    runs = store.search_runs(view="all")
    files = [store.artifacts(PARENT, path) for path in ("plots", "model")]
    histories = [store.metric_history(PARENT, key) for key in "mn"]
    return [runs, store.experiments(), histories, [[(f.path, f.digest) for f in found] for found in files]]


def seen_by_mlflow(uri: str) -> list[Any]:
    """What MLflow's client sees, without the ids and times that the server gives."""
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    client = MlflowClient(uri)
    runs = client.search_runs(["0"], run_view_type=ViewType.ALL)
    names = {run.info.run_id: run.info.run_name for run in runs}
    seen = []
    for run in sorted(runs, key=lambda run: str(run.info.run_name)):
        metrics = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
        seen.append(
            (run.info.run_name, run.info.status, run.info.lifecycle_stage, run.info.start_time, run.info.end_time)
            + (dict(run.data.params), {key: [(p.step, p.value) for p in metrics[key]] for key in metrics})
            + (names.get(run.data.tags.get("mlflow.parentRunId", "")), run.data.tags.get("t"))
            + ([d.dataset.name for d in run.inputs.dataset_inputs], len(run.outputs.model_outputs))
        )
    models = [(m.name, str(m.status)) for m in client.search_logged_models(["0"])]
    versions = [(v.name, v.version) for v in client.search_model_versions()]
    return [seen, sorted(models), sorted(versions)]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    model, plot = tmp_path / "model", tmp_path / "roc.json"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {sklearn: {pickled_model: model.pkl}}\n")
    (model / "model.pkl").write_bytes(b"1234")
    plot.write_text("{}")
    return model, plot


def test_a_writer_killed_after_every_other_request_and_started_anew_comes_to_the_same(
    mlflow_server: Mlflow, files: tuple[Path, Path]
) -> None:
    memory = MemoryStore("resuming")
    ship(memory, *files)
    mlflow_server.empty()
    with killed_after(10**6) as made:
        store = MlflowServerStore(mlflow_server.url)
        ship(store, *files)
    assert told(store) == told(memory)
    store.close()
    expected = seen_by_mlflow(mlflow_server.url)
    assert len(expected[0]) == 3
    assert expected[1:] == [[("model", "READY")], [("Registered", "1")]]
    for number in range(1, len(made), 2):
        mlflow_server.empty()
        store = MlflowServerStore(mlflow_server.url)
        with killed_after(number), pytest.raises(Killed):
            ship(store, *files)
        fresh = MlflowServerStore(mlflow_server.url)
        for run in fresh.search_runs(view="all"):
            assert run.run_id in (PARENT, CHILD, TRASH)
        ship(fresh, *files)
        assert told(fresh) == told(memory), f"killed after request {number}, {made[number - 1]}"
        assert seen_by_mlflow(mlflow_server.url) == expected, f"killed after request {number}, {made[number - 1]}"
        store.close()
        fresh.close()
    MemoryStore.forget("memory:resuming")
