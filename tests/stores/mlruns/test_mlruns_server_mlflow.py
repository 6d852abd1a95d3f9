"""MLflow's own programs on a folder that we wrote: its server has what its UI asks for, its migration takes it all."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from services import Server, free_port, missing

from autotrack.entities import FINISHED, Artifact, Dataset, LoggedModel, Metric, experiment_id
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    ParamsLogged,
    RunEnded,
    TagsSet,
)
from autotrack.plots import files as plot_files
from autotrack.stores.mlflow.folder import MlrunsStore
from autotrack.testing.samples import ODD_STRINGS, Journal, started

RUN, CHILD = "a" * 32, "b" * 32


@pytest.fixture
def server(store: MlrunsStore, tmp_path: Path) -> Iterator[str]:
    """The URL of an MLflow server whose backend is the folder."""
    if importlib.util.find_spec("mlflow") is None:
        missing("MLflow's server", "the package mlflow is not installed")
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return bool(urllib.request.urlopen(url + "/health", timeout=1).read() == b"OK")
        except OSError:
            return False

    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.folder.as_uri()]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--no-serve-artifacts"]
    environment = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = Server(command, answers, tmp_path / "log", start_new_session=True, env=environment, cwd=tmp_path)
    process.start()
    try:
        yield url
    finally:
        process.stop()


def asked(url: str, path: str, **body: Any) -> Any:
    """What the server answers to a POST with this body, or to a GET without one."""
    request = urllib.request.Request(url + path, headers={"Content-Type": "application/json"})
    if body:
        request.data = json.dumps(body).encode()
    return json.loads(urllib.request.urlopen(request, timeout=30).read())


def test_mlflows_server_answers_from_our_folder(
    store: MlrunsStore, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    journal = Journal("20260101T000000-a")
    store.apply(
        journal.entries(started(RUN, name="parent", experiment="e"), started(CHILD, parent_run_id=RUN, experiment="e"))
    )
    line = {"kind": "lines", "series": [{"name": "loss", "x": [0, 1], "y": [1.0, 0.5]}]}
    (tmp_path / "plots.json").write_bytes(plot_files.to_json({"training_roc_curve": line}))
    store.put_artifact(RUN, "plots/training.json", tmp_path / "plots.json")
    store.apply(
        journal.entries(
            ParamsLogged(RUN, {"C": "1.0"}),
            TagsSet(RUN, {"owner": "me"}),
            MetricsLogged(RUN, tuple(Metric("loss", 1.0 / (step + 1), step, 1000 + step) for step in range(3))),
            DatasetLogged(RUN, Dataset("X", "train", "k", "sha256:" + "0" * 64, (3, 4))),
            ModelLogged(RUN, LoggedModel("model", "k.Estimator")),
            ArtifactLogged(RUN, Artifact("plots/training.json")),
            RunEnded(RUN, FINISHED, 1_700_000_001_000),
        )
    )
    url = request.getfixturevalue("server")
    api = "/api/2.0/mlflow"
    experiment = experiment_id("e")
    found = asked(url, f"{api}/experiments/search", max_results=10)["experiments"]
    assert {(e["name"], e["experiment_id"]) for e in found} == {("Default", "0"), ("e", experiment)}
    search = {"experiment_ids": [experiment], "filter": "metrics.loss < 1 and params.C = '1.0' and tags.owner = 'me'"}
    (run,) = asked(url, f"{api}/runs/search", **search)["runs"]
    assert (run["info"]["run_id"], run["info"]["status"], run["info"]["run_name"]) == (RUN, FINISHED, "parent")
    assert run["inputs"]["dataset_inputs"][0]["dataset"]["name"] == "X"
    (model_id,) = [output["model_id"] for output in run["outputs"]["model_outputs"]]
    (child,) = asked(
        url, f"{api}/runs/search", experiment_ids=[experiment], filter=f"tags.`mlflow.parentRunId` = '{RUN}'"
    )["runs"]
    assert child["info"]["run_id"] == CHILD
    query = urllib.parse.urlencode({"run_id": RUN, "metric_key": "loss"})
    history = asked(url, f"{api}/metrics/get-history?{query}")["metrics"]
    assert [(point["step"], point["value"]) for point in history] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    listed = asked(url, f"{api}/artifacts/list?run_id={RUN}")["files"]
    assert {"training_roc_curve.png", "plots"} <= {file["path"] for file in listed}
    picture = urllib.request.urlopen(f"{url}/get-artifact?run_id={RUN}&path=training_roc_curve.png", timeout=30).read()
    assert picture.startswith(b"\x89PNG")
    models = asked(url, f"{api}/logged-models/search", experiment_ids=[experiment])["models"]
    assert [(model["info"]["model_id"], model["info"]["name"]) for model in models] == [(model_id, "Estimator")]

    # While it runs: what we write it shows, and what its users do we see.
    store.apply(journal.entries(LifecycleSet(CHILD, "deleted", 5000), started("c" * 32, name="new", experiment="e")))
    now = asked(url, f"{api}/runs/search", experiment_ids=[experiment])["runs"]
    assert {run["info"]["run_name"] for run in now} == {"parent", "new"}
    deleted = asked(url, f"{api}/runs/search", experiment_ids=[experiment], run_view_type="DELETED_ONLY")["runs"]
    assert [run["info"]["run_id"] for run in deleted] == [CHILD]
    asked(url, f"{api}/runs/update", run_id=RUN, run_name="renamed")
    asked(url, f"{api}/runs/set-tag", run_id=RUN, key="mlflow.note.content", value="words")
    asked(url, f"{api}/runs/restore", run_id=CHILD)
    assert (store.get_run(RUN).name, store.get_run(RUN).tags["mlflow.note.content"]) == ("renamed", "words")
    assert store.get_run(CHILD).deleted_time is None


def test_mlflows_migration_to_a_database_takes_all_of_it(
    store: MlrunsStore, mlflow: ModuleType, tmp_path: Path
) -> None:
    for number, odd in enumerate(ODD_STRINGS):
        run_id, key = f"{number:032x}", odd or "k"
        store.apply(
            Journal().entries(
                started(run_id, name=odd, experiment=key, start_time=2**70),
                ParamsLogged(run_id, {key: odd, "a": "1", "a/b": "2", "long": "x" * 9000}),
                TagsSet(run_id, {key: odd, "long": "y" * 9000}),
                MetricsLogged(run_id, (Metric(key, math.nan), Metric("m", 1.0, 2**70, -5), Metric("i", math.inf))),
                DatasetLogged(run_id, Dataset(odd, odd, odd, odd, (1,), ({"name": odd},), {key: odd})),
                ModelLogged(run_id, LoggedModel(key, odd, odd)),
                RunEnded(run_id, FINISHED, 1_700_000_000_001),
            )
        )
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    command = [sys.executable, "-m", "mlflow", "migrate-filestore", "--source", str(store.folder), "--target", database]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr

    def told(uri: str) -> dict[str, Any]:
        client = mlflow.MlflowClient(uri)
        names = {experiment.experiment_id: experiment.name for experiment in client.search_experiments()}
        return {
            run.info.run_id: (
                (names[run.info.experiment_id], run.info.run_name, run.info.status, run.info.start_time),
                (sorted(run.data.params.items()), sorted(run.data.tags.items()), sorted(run.data.metrics)),
                [(used.dataset.name, used.dataset.digest, len(used.tags)) for used in run.inputs.dataset_inputs],
                [output.model_id for output in run.outputs.model_outputs],
            )
            for run in client.search_runs(list(names))
        }

    ours, migrated = told(store.folder.as_uri()), told(database)
    assert len(ours) == len(ODD_STRINGS)

    def with_plain_ends(run: object) -> str:
        # MLflow's migration reads files of text, where \r\n is a line's end.
        return repr(run).replace("\\r\\n", "\\n")

    assert {run_id: with_plain_ends(run) for run_id, run in migrated.items()} == {
        run_id: with_plain_ends(run) for run_id, run in ours.items()
    }
