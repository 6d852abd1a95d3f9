"""No answer of the server says where on its disk the store is, whatever is missing or cannot be read there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from asking import Client

from autotrack.entities import Artifact, Dataset, LoggedModel
from autotrack.errors import AutotrackError, StoreError
from autotrack.events import ArtifactLogged, DatasetLogged, Event, ModelLogged, RunEnded, RunStarted
from autotrack.query.editing import apply
from autotrack.server.app import ROOMS
from autotrack.server.pages import views
from autotrack.server.places import told, without_places
from autotrack.stores import open_store
from autotrack.stores.base import Store

RUN = "a" * 32
OTHER = "b" * 32
LOST = ("lost.txt", "plots/lost.json", "model/MLmodel", "search/cv_results.csv", "source/lost.py")
FILE = "/api/2.0/autotrack/artifacts/file"


@pytest.fixture(params=["{}/store", "sqlite:///{}/runs.db", "sqlite:///{0}/runs.db?artifacts={0}/files"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    """Two runs with files that were recorded, of which none is there."""
    store = open_store(request.param.format(tmp_path))
    for run_id in (RUN, OTHER):
        events: list[Event] = [RunStarted(run_id, "run", 1_000)]
        events += [ArtifactLogged(run_id, Artifact(path, 3, f"sha256:{run_id}")) for path in LOST]
        events += [
            ModelLogged(run_id, LoggedModel("model")),
            DatasetLogged(run_id, Dataset("X", "train", "array", "sha256:x")),
        ]
        apply(store, [*events, RunEnded(run_id, "FINISHED", 2_000)])
    client = Client(store, rooms=ROOMS, error_page=views.error_page)
    client.site.registry.create_model_version("registered", RUN, "model")
    client.site.registry.create_model_version("registered", OTHER, "model")
    yield client
    client.close()
    store.close()


def test_no_answer_about_a_file_that_is_not_there_tells_where_it_was_looked_for(
    client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "autotrack.server")
    paths = [quote(path, safe="") for path in (*LOST, "never", "../up", "model", "/absolute")]
    asked = [("GET", f"/get-artifact?run_id={RUN}&path={path}", None) for path in paths]
    asked += [("GET", f"{FILE}?run_id={RUN}&path={path}", None) for path in paths]
    asked += [("GET", f"/runs/{RUN}/raw?path={path}", None) for path in paths]
    asked += [("GET", f"/runs/{RUN}/archive?path={path}", None) for path in paths]
    asked += [("GET", f"/runs/{RUN}/files{twin}?path={path}", None) for path in paths for twin in ("", ".json")]
    asked += [("GET", f"/api/2.0/mlflow/artifacts/list?run_id={RUN}&path={path}", None) for path in paths]
    asked += [("GET", f"/api/2.0/mlflow-artifacts/artifacts/0/{RUN}/artifacts/{path}", None) for path in paths]
    asked += [("GET", f"/api/2.0/mlflow-artifacts/artifacts/0/{'c' * 32}/artifacts/x", None)]
    asked += [("PUT", f"{FILE}?run_id={RUN}&path=..%2Fup", b"content")]
    asked += [("GET", f"/runs/{RUN}{twin}", None) for twin in ("", ".json", "/search", "/plots.json")]
    asked += [("GET", f"/compare{twin}?runs={RUN},{OTHER},nobody", None) for twin in ("", ".json")]
    asked += [
        ("GET", "/about.json", None),
        ("GET", f"/runs/{'c' * 32}", None),
        ("GET", "/models/nobody", None),
        ("GET", "/models", None),
    ]
    asked += [("GET", f"/models/registered/{version}", None) for version in ("1", "2", "3", "1.json", "2.json")]
    api = "/api/2.0/mlflow/"
    asked += [
        ("GET", f"{api}model-versions/get-download-uri?name=registered&version={number}", None) for number in "19"
    ]
    asked += [("GET", f"{api}runs/get?run_id={'c' * 32}", None), ("GET", f"{api}logged-models/m-{RUN}", None)]
    statuses = set()
    for method, path, content in asked:
        answer = client.ask(method, path, content=content, headers={"accept": "text/html"})
        statuses.add(answer.status_code)
        assert str(tmp_path) not in answer.text, (method, path)
    for call, arguments in (
        ("artifacts/about", {"run_id": RUN, "path": "lost.txt"}),
        ("artifacts/list", {"run_id": "nobody", "path": ""}),
        ("artifacts/put-staged", {"run_id": RUN, "path": "../up", "upload": "c" * 32}),
        ("runs/get", {"run_id": "nobody"}),
        ("registry/version", {"name": "nobody", "version": 1}),
    ):
        answer = client.ask("POST", f"/api/2.0/autotrack/{call}", json=arguments)
        assert answer.status_code >= 400
        assert str(tmp_path) not in answer.text, call
    assert {200, 404} <= statuses
    answer = client.ask("GET", f"/get-artifact?run_id={RUN}&path=lost.txt")
    assert answer.json()["message"].startswith(
        f"artifact 'lost.txt' of run {RUN!r} was recorded, and is no longer there"
    )
    if "looked in" in _error_of(client.store):
        assert str(tmp_path) in caplog.text


def _error_of(store: Store) -> str:
    with pytest.raises(AutotrackError) as raised:
        store.artifact_path(RUN, "lost.txt")
    return str(raised.value)


def test_a_store_that_fails_is_told_without_its_folder(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "with space" / "store"))
    client = Client(store, rooms=ROOMS)
    (tmp_path / "with space").write_text("in the way")
    try:
        for path in (f"/runs/{RUN}", "/runs", "/api/2.0/mlflow/runs/get?run_id=x", "/api/2.0/mlflow/experiments/get"):
            assert "with space" not in client.ask("GET", path).text
        written = client.ask("POST", "/api/2.0/mlflow/runs/create", json={"experiment_id": "0"})
        assert written.status_code == 503
        assert "with space" not in written.text
    finally:
        client.close()
        store.close()


def test_a_store_that_is_damaged_is_told_without_its_folder(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    client = Client(store, rooms=ROOMS)
    (tmp_path / "store" / "registry.jsonl").mkdir(parents=True)
    try:
        assert str(tmp_path) in str(store.problems())
        answer = client.ask("POST", "/api/2.0/autotrack/problems", json={})
        assert answer.json()["problems"]
        assert str(tmp_path) not in answer.text
        made = client.ask("POST", "/api/2.0/mlflow/registered-models/create", json={"name": "second"})
        assert made.status_code == 503
        assert "…/registry.jsonl" in made.json()["message"]
        assert str(tmp_path) not in made.text
    finally:
        client.close()
        store.close()


def test_a_message_keeps_the_name_of_a_file_and_loses_its_folder(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "sto're"))
    place = tmp_path / "sto're" / "artifacts" / "r" / "model" / "MLmodel"
    error = FileNotFoundError(2, "No such file or directory", str(place))
    assert without_places(f"{place} cannot be read: {error}", store) == (
        f"…/MLmodel cannot be read: [Errno 2] No such file or directory: {'…/MLmodel'!r}".replace("'", '"')
    )
    assert without_places(f"no run 'x' in {store.uri}", store) == "no run 'x' in the server's store"
    assert without_places("'/etc/passwd' is not a path inside", store) == "'/etc/passwd' is not a path inside"
    store.close()


def test_what_the_library_of_a_database_says_is_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Driver(Exception):
        """As a package of another defines it."""

    store = open_store(f"sqlite:///{tmp_path}/runs.db")
    Driver.__module__ = "psycopg"
    with pytest.raises(StoreError) as raised:
        raise StoreError("the database cannot be read: user tracker at db.internal") from Driver()
    assert "db.internal" not in told(raised.value, store)
    assert "db.internal" in caplog.text
    store.close()
