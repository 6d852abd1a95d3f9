"""What a user of MLflow does, written for MLflow's own client, 2.x and 3.x alike: run as a program by the tests.

It talks to the server that ``MLFLOW_TRACKING_URI`` names and prints, as one line of JSON, what it saw: names, numbers
and texts that do not hang on ids and times, so that two servers can be compared.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow  # noqa: E402
import mlflow.sklearn  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric, Param, RunTag, ViewType  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import accuracy_score  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402

NEW = int(mlflow.__version__.split(".")[0]) >= 3
OWN = os.environ.get("CLIENT_SESSION", "own")
"""Begins the names that are seen by everybody, so that sessions on one server do not meet."""
IRIS = f"{OWN}iris"
SEEN: dict[str, object] = {}
X, Y = load_iris(return_X_y=True, as_frame=True)


def see(name, value):
    SEEN[name] = value


def refused(action):
    """The error code that a call is refused with."""
    try:
        action()
    except MlflowException as error:
        return error.error_code
    return None


def described(run):
    """What a run tells that is the same on every server."""
    own = ("mlflow.source", "mlflow.user", "mlflow.log-model.history", "mlflow.parentRunId", "mlflow.loggedModel")
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith(own)}
    inputs = getattr(run, "inputs", None)
    datasets = inputs.dataset_inputs if inputs is not None else []
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "stage": run.info.lifecycle_stage,
        "params": dict(sorted(run.data.params.items())),
        "metrics": sorted(run.data.metrics),
        "tags": dict(sorted(tags.items())),
        # Which contexts is seen by itself: MLflow's server keeps the first that a run names for a data set.
        "datasets": sorted({(one.dataset.name, one.dataset.source_type, one.dataset.schema) for one in datasets}),
        "profiles": sorted({one.dataset.profile for one in datasets}),
        "has_end": run.info.end_time is not None,
    }


def files(client, run_id, path=None):
    found = []
    for one in client.list_artifacts(run_id, path):
        found += files(client, run_id, one.path) if one.is_dir else [one.path]
    return sorted(found)


def autologging(client):
    mlflow.sklearn.autolog(max_tuning_runs=3)
    with mlflow.start_run(run_name="plain") as run:
        model = LogisticRegression(max_iter=200).fit(X, Y)
        accuracy_score(Y, model.predict(X))
    see("autolog", described(client.get_run(run.info.run_id)))
    see("autolog files", [path for path in files(client, run.info.run_id) if not path.startswith("model/")])
    loaded = mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    see("autolog model", bool((loaded.predict(X) == model.predict(X)).all()))
    with mlflow.start_run(run_name="search") as parent:
        GridSearchCV(LogisticRegression(max_iter=200), {"C": [0.1, 1.0, 10.0]}, cv=2).fit(X, Y)
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'", order_by=["params.C"]
    )
    see("search", described(client.get_run(parent.info.run_id)))
    see("candidates", [[child.data.params["C"], sorted(child.data.metrics), child.info.status] for child in children])
    best = mlflow.sklearn.load_model(f"runs:/{parent.info.run_id}/best_estimator")
    see("best estimator", float(best.C) if hasattr(best, "C") else None)
    mlflow.sklearn.autolog(disable=True)


def logging(client):
    with mlflow.start_run(run_name="outer", tags={"team": "a"}, description="words about it") as outer:
        mlflow.log_params({"depth": 3, "kind": "x" * 300, "empty": ""})
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"nan": float("nan"), "inf": float("inf"), "small": 1e-300})
        mlflow.set_tags({"a": "1", "b": "ü\n"})
        mlflow.log_dict({"k": [1, 2]}, "config/settings.json")
        mlflow.log_text("a,b\n1,2\n", "table.csv")
        mlflow.log_input(mlflow.data.from_pandas(pd.DataFrame({"x": [1.0, 2.0]}), name="small"), context="training")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "deep").mkdir()
            (Path(folder) / "deep" / "bytes.bin").write_bytes(bytes(range(256)) * 1000)
            mlflow.log_artifacts(folder, "files")
        with mlflow.start_run(run_name="inner", nested=True) as inner:
            mlflow.log_param("depth", 4)
    run_id = outer.info.run_id
    client.delete_tag(run_id, "a")
    see("outer", described(client.get_run(run_id)))
    see("contexts", [[tag.value for tag in one.tags] for one in client.get_run(run_id).inputs.dataset_inputs])
    see("outer files", files(client, run_id))
    with tempfile.TemporaryDirectory() as folder:
        place = mlflow.artifacts.download_artifacts(
            run_id=run_id, artifact_path="files/deep/bytes.bin", dst_path=folder
        )
        see("bytes", Path(place).read_bytes() == bytes(range(256)) * 1000)
    see("text", mlflow.artifacts.load_text(f"runs:/{run_id}/table.csv"))
    see("history", [[point.step, point.value] for point in client.get_metric_history(run_id, "loss")])
    metrics = client.get_run(run_id).data.metrics
    see("odd numbers", [str(metrics["nan"]), metrics["inf"] > 1e308, metrics["small"], metrics["loss"]])
    see("inner's parent", client.get_run(inner.info.run_id).data.tags["mlflow.parentRunId"] == run_id)
    see("param again", refused(lambda: client.log_param(run_id, "depth", 9)))
    client.log_param(run_id, "depth", 3)
    client.log_batch(
        run_id,
        metrics=[Metric("many", float(number), 1000 + number, number) for number in range(300)],
        params=[Param(f"p{number}", str(number)) for number in range(50)],
        tags=[RunTag("last", "x")],
    )
    see("many", len(client.get_metric_history(run_id, "many")))
    with mlflow.start_run(run_id=run_id):
        see("resumed", client.get_run(run_id).info.status)
        mlflow.log_metric("late", 1.0)
    see("ended again", described(client.get_run(run_id))["status"])
    client.update_run(run_id, status="FAILED", name="renamed")
    see("renamed", [client.get_run(run_id).info.run_name, client.get_run(run_id).info.status])


def searching(client):
    experiment = client.create_experiment(f"{OWN}searching", tags={"purpose": "test"})
    for number in range(7):
        run = client.create_run(
            experiment, start_time=1000 * (number + 1), tags={"parity": str(number % 2)}, run_name=f"r{number}"
        )
        client.log_metric(run.info.run_id, "m", number / 10)
        client.log_param(run.info.run_id, "p", f"v{number % 3}")
        client.set_terminated(
            run.info.run_id, "FAILED" if number == 3 else "FINISHED", end_time=1000 * (number + 1) + 500
        )

    def names(filter_string="", order_by=None, view=ViewType.ACTIVE_ONLY):
        return [run.info.run_name for run in client.search_runs([experiment], filter_string, view, order_by=order_by)]

    for filter_string in (
        "metrics.m > 0.25",
        "metrics.`m` <= 0.3 and params.p = 'v0'",
        'tags."parity" = "1"',
        "params.p != 'v1'",
        "attributes.status = 'FAILED'",
        "status = 'FINISHED' AND metrics.m < 0.2",
        "run_name LIKE 'r%'",
        "run_name ILIKE 'R1'",
        "attributes.start_time >= 5000",
        "tags.mlflow.runName = 'r5'",
        "params.p LIKE '%2'",
    ):
        see(f"filter {filter_string}", sorted(names(filter_string)))
    see("order metric", names(order_by=["metrics.m DESC"]))
    see("order param", names(order_by=["params.p ASC", "metrics.m DESC"]))
    see("order start", names(order_by=["attributes.start_time ASC"]))
    see("bad filter", refused(lambda: names("metrics.m >")))
    pages, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=3, order_by=["metrics.m ASC"], page_token=token)
        pages.append([run.info.run_name for run in page])
        token = page.token
        if not token:
            break
    see("pages", [page for page in pages if page])
    gone = client.search_runs([experiment], "run_name = 'r2'")[0].info.run_id
    client.delete_run(gone)
    see("after delete", [sorted(names()), names(view=ViewType.DELETED_ONLY), len(names(view=ViewType.ALL))])
    see("write to deleted", refused(lambda: client.set_tag(gone, "x", "y")))
    client.restore_run(gone)
    see("after restore", len(names()))
    client.rename_experiment(experiment, f"{OWN}searched")
    client.set_experiment_tag(experiment, "owner", "me")
    found = client.get_experiment_by_name(f"{OWN}searched")
    tags = {key: value for key, value in found.tags.items() if not key.startswith("mlflow.")}
    see("experiment", [found.name, found.experiment_id == experiment, tags, found.lifecycle_stage])
    see("old name", client.get_experiment_by_name(f"{OWN}searching"))
    see("taken", refused(lambda: client.create_experiment(f"{OWN}searched")))
    client.delete_experiment(experiment)
    see("deleted experiment", client.get_experiment(experiment).lifecycle_stage)
    see("experiments", sorted(one.name for one in client.search_experiments() if one.name.startswith(OWN)))
    see("run in deleted", refused(lambda: client.create_run(experiment)))
    client.restore_experiment(experiment)
    see(
        "by filter",
        [one.name for one in client.search_experiments(filter_string=f"tags.owner = 'me' and name LIKE '{OWN}%'")],
    )
    see("nothing there", [refused(lambda: client.get_run("0" * 32)), refused(lambda: client.get_experiment("99"))])
    frame = mlflow.search_runs(experiment_ids=[experiment], filter_string="metrics.m > 0.4", order_by=["metrics.m"])
    see("frame", [list(frame["metrics.m"]), list(frame["params.p"]), list(frame["tags.parity"])])


def registering(client):
    model = LogisticRegression(max_iter=200).fit(X, Y)
    how = {"name": "classifier"} if NEW else {"artifact_path": "classifier"}
    with mlflow.start_run(run_name="logs a model") as run:
        logged = mlflow.sklearn.log_model(model, input_example=X.head(2), registered_model_name=IRIS, **how)
    see("logged files", "MLmodel" in {re.sub(".*/", "", path) for path in files(client, run.info.run_id, "classifier")})
    second = mlflow.register_model(f"runs:/{run.info.run_id}/classifier", IRIS)
    see("second", [second.name, str(second.version), second.run_id == run.info.run_id])
    client.set_registered_model_alias(IRIS, "champion", "1")
    client.update_model_version(IRIS, "1", description="the first")
    client.set_model_version_tag(IRIS, "1", "checked", "yes")
    client.update_registered_model(IRIS, description="flowers")
    client.set_registered_model_tag(IRIS, "team", "a")
    for uri in (
        f"models:/{IRIS}/1",
        f"models:/{IRIS}/2",
        f"models:/{IRIS}@champion",
        f"runs:/{run.info.run_id}/classifier",
    ):
        loaded = mlflow.sklearn.load_model(uri)
        pyfunc = mlflow.pyfunc.load_model(uri)
        same = bool(
            (loaded.predict(X) == model.predict(X)).all() and (np.asarray(pyfunc.predict(X)) == model.predict(X)).all()
        )
        see(f"loads {uri.split(':/')[0]} {uri.rpartition('/')[2]}", same)
    see("logged uri", bool((mlflow.sklearn.load_model(logged.model_uri).predict(X) == model.predict(X)).all()))
    version = client.get_model_version(IRIS, "1")
    see(
        "version",
        [
            version.description,
            dict(version.tags),
            version.status,
            list(version.aliases),
            version.run_id == run.info.run_id,
        ],
    )
    registered = client.get_registered_model(IRIS)
    see(
        "registered",
        [registered.description, dict(registered.tags), {k: str(v) for k, v in registered.aliases.items()}],
    )
    see("alias", str(client.get_model_version_by_alias(IRIS, "champion").version))
    see("versions", sorted(str(one.version) for one in client.search_model_versions(f"name = '{IRIS}'")))
    see("of run", len(client.search_model_versions(f"run_id = '{run.info.run_id}'")))
    client.create_registered_model(f"{OWN}empty", tags={"k": "v"}, description="nothing yet")
    see("models", sorted(one.name for one in client.search_registered_models() if one.name.startswith(OWN)))
    see("like", [one.name for one in client.search_registered_models(f"name LIKE '{OWN}ir%'")])
    see("exists", refused(lambda: client.create_registered_model(f"{OWN}empty")))
    client.rename_registered_model(f"{OWN}empty", f"{OWN}void")
    see("after rename", sorted(one.name for one in client.search_registered_models() if one.name.startswith(OWN)))
    client.delete_registered_model(f"{OWN}void")
    client.delete_registered_model_alias(IRIS, "champion")
    client.delete_model_version(IRIS, "2")
    see("left", sorted(str(one.version) for one in client.search_model_versions(f"name = '{IRIS}'")))
    see("no version", refused(lambda: client.get_model_version(IRIS, "7")))
    if NEW:
        found = mlflow.search_logged_models(
            experiment_ids=[run.info.experiment_id],
            filter_string=f"source_run_id = '{run.info.run_id}'",
            output_format="list",
        )
        see("logged models", [[one.name, one.status.value, one.model_type] for one in found])
        one = mlflow.get_logged_model(found[0].model_id)
        client.set_logged_model_tags(one.model_id, {"grade": "a"})
        see(
            "logged model",
            [one.name, one.source_run_id == run.info.run_id, client.get_logged_model(one.model_id).tags.get("grade")],
        )
    else:
        client.transition_model_version_stage(IRIS, "1", "Production")
        see("stage", client.get_model_version(IRIS, "1").current_stage)
        see("latest", [str(one.version) for one in client.get_latest_versions(IRIS, ["Production"])])


def main():
    client = MlflowClient()
    mlflow.set_experiment(f"{OWN}client")
    for part in (autologging, logging, searching, registering):
        part(client)
    print("SEEN " + json.dumps(SEEN, sort_keys=True, allow_nan=False, default=str).replace(OWN, ""))


if __name__ == "__main__":
    sys.exit(main())
