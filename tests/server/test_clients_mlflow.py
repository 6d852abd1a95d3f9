"""A real MLflow client, the newest and one of 2.x, does its work against our server as against MLflow's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import services
from services import Mlflow, Postgres, Server, free_port, port_answers

HERE = Path(__file__).parent
SESSION = HERE / "client_session.py"
ROOT = HERE.parent.parent
OLD = Path(os.environ.get("AUTOTRACK_MLFLOW2", ROOT / ".venv-mlflow2")) / "bin" / "python"
"""A Python that has a client of 2.x: ``make .venv-mlflow2/.done``."""

Start = Callable[[str, int], str]


def session(python: str | Path, address: str, folder: Path, own: str) -> dict[str, Any]:
    """What a session saw."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AUTOTRACK_"))}
    environment |= {"MLFLOW_TRACKING_URI": address, "MLFLOW_DISABLE_TELEMETRY": "true", "CLIENT_SESSION": own}
    done = subprocess.run(
        [str(python), str(SESSION)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("SEEN ")]
    assert lines, f"{done.stdout[-1000:]}\n{done.stderr[-4000:]}"
    seen: dict[str, Any] = json.loads(lines[-1][5:])
    return seen


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts our server over a database, once for each database and number of workers."""
    running: dict[tuple[str, int], tuple[Server, str]] = {}

    def of(database: str, workers: int) -> str:
        if (database, workers) not in running:
            folder, port = tmp_path_factory.mktemp("server"), free_port()
            command = [sys.executable, "-m", "autotrack", "server", "--store", database]
            command += ["--port", str(port), "--workers", str(workers)]
            server = Server(command, lambda: port_answers(port), folder / "log", start_new_session=True, cwd=folder)
            server.start()
            running[database, workers] = server, f"http://127.0.0.1:{port}"
        return running[database, workers][1]

    try:
        yield of
    finally:
        for server, _ in running.values():
            server.stop()


@pytest.fixture(scope="module")
def expected(mlflow_server: Mlflow, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a session with MLflow's own server sees."""
    mlflow_server.empty()
    return session(sys.executable, mlflow_server.url, tmp_path_factory.mktemp("session"), "zq0")


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (found.get(name, "not seen"), expected.get(name, "not seen"))
        for name in {*found, *expected}
        if found.get(name) != expected.get(name)
    }


@pytest.mark.parametrize("workers", [1, 4])
def test_the_newest_client_sees_over_sqlite_what_mlflows_server_shows(
    start: Start, expected: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, workers: int
) -> None:
    database = f"sqlite:///{tmp_path_factory.getbasetemp() / f'clients-{workers}.db'}"
    found = session(sys.executable, start(database, workers), tmp_path, f"zq{workers}")
    assert differences(found, expected) == {}


@pytest.mark.parametrize("workers", [1, 4])
def test_the_newest_client_sees_over_postgresql_what_mlflows_server_shows(
    start: Start, expected: dict[str, Any], postgres: Postgres, tmp_path: Path, workers: int
) -> None:
    database = postgres.create(f"clients_{workers}")
    found = session(sys.executable, start(database, workers), tmp_path, f"zq{workers}")
    assert differences(found, expected) == {}


def test_a_client_of_2_x_does_all_that_it_did(
    start: Start, expected: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    if not OLD.exists():
        services.missing("an MLflow client of 2.x", f"there is no {OLD}: make .venv-mlflow2/.done")
    database = f"sqlite:///{tmp_path_factory.getbasetemp() / 'clients-old.db'}"
    found = session(OLD, start(database, 2), tmp_path, "zq9")
    only_old = {"stage": "Production", "latest": ["1"]}
    only_new = {"logged model", "logged models"}
    # Params are those of the scikit-learn that this client has beside it.
    assert {name: found[name] for name in only_old} == only_old
    of_its_library = {"autolog", "search", "candidates"}
    found = {name: value for name, value in found.items() if name not in {*only_old, *of_its_library}}
    wanted = {name: value for name, value in expected.items() if name not in {*only_new, *of_its_library}}
    assert differences(found, wanted) == {}
