"""Our server and a real ``mlflow models serve`` on the same folders, asked the same: answers and errors, one by one."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peer_expected import TABLES
from peer_models import Peer, dated_peer, frame_peer, tensor_peer
from peer_outcomes import Outcome, markdown, predictions, problems
from peer_payloads import DATED, FRAME, ROWS, TENSOR, as_body

from benchmarks.processes import Reply
from benchmarks.serving.servers import AUTOTRACK, MLFLOW, ModelServer


@pytest.fixture(scope="module", autouse=True)
def mlflow() -> Any:
    """Skip without MLflow; fail instead where AUTOTRACK_REQUIRE_SERVICES=1 says that it has to be there."""
    try:
        return importlib.import_module("mlflow")
    except ImportError as error:
        if os.environ.get("AUTOTRACK_REQUIRE_SERVICES") == "1":
            pytest.fail(f"mlflow is required by AUTOTRACK_REQUIRE_SERVICES=1: {error}")
        pytest.skip(f"mlflow is not installed here: {error}")


@contextmanager
def both(peer: Peer, folder: Path) -> Iterator[tuple[ModelServer, ModelServer]]:
    """MLflow's server and ours, started together."""
    servers = [ModelServer(kind, peer.folder, folder) for kind in (MLFLOW, AUTOTRACK)]
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ModelServer.start, servers))
        yield servers[0], servers[1]
    finally:
        for server in servers:
            server.stop()


def compare(
    payloads: Mapping[str, Any],
    outcomes: Mapping[str, Outcome],
    theirs: Callable[[bytes, str | None], Reply],
    ours: Callable[[bytes, str | None], Reply],
) -> dict[str, Reply]:
    """Ask both everything; all differences to what is written down fail together."""
    assert list(payloads) == list(outcomes)
    replies = {name: theirs(*as_body(given)) for name, given in payloads.items()}
    found = [
        problem
        for name, given in payloads.items()
        for problem in problems(name, outcomes[name], replies[name], ours(*as_body(given)), replies)
    ]
    assert not found, "\n".join(["", *found])
    return replies


def test_named_columns_of_every_type(tmp_path: Path) -> None:
    peer = frame_peer(tmp_path / "model")

    with both(peer, tmp_path) as (theirs, ours):
        replies = compare(FRAME, TABLES["columns"], theirs.post, ours.post)
        for path in ("/ping", "/health"):
            assert theirs.get(path).status == ours.get(path).status == 200
        assert theirs.get("/invocations").status == ours.get("/invocations").status == 405
        assert "Traceback" not in ours.log()

    np.testing.assert_allclose(predictions(replies["split"].body), peer.model.predict_proba(peer.rows(*ROWS)))


def test_a_tensor(tmp_path: Path) -> None:
    peer = tensor_peer(tmp_path / "model")

    with both(peer, tmp_path) as (theirs, ours):
        replies = compare(TENSOR, TABLES["tensor"], theirs.post, ours.post)
        assert "Traceback" not in ours.log()

    body = TENSOR["inputs"]["inputs"]
    np.testing.assert_allclose(predictions(replies["inputs"].body), peer.model.predict(np.array(body)))


def test_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own application, here in this process: a third server would only take longer to start."""
    import mlflow.pyfunc
    from mlflow.pyfunc import scoring_server

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    peer = dated_peer(tmp_path / "model")
    function = mlflow.pyfunc.load_model(str(peer.folder))
    schema = function.metadata.get_input_schema()

    def theirs(body: bytes, content_type: str | None) -> Reply:
        try:
            done = scoring_server.invocations(body, content_type, function, schema)
        except mlflow.exceptions.MlflowException as error:
            return Reply(error.get_http_status_code(), "application/json", error.serialize_as_json().encode())
        return Reply(done.status, done.mimetype, done.response.encode())

    with ModelServer(AUTOTRACK, peer.folder, tmp_path) as ours:
        compare(DATED, TABLES["times"], theirs, ours.post)


def test_every_body_is_accounted_for() -> None:
    outcomes = [outcome for table in TABLES.values() for outcome in table.values()]

    assert len(outcomes) >= 60
    for outcome in outcomes:
        explained = outcome.kind in ("the same answer", "refused by both")
        assert explained or outcome.reason, outcome
    assert markdown(TABLES).count("\n") > 40
