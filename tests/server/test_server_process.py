"""The real server, in processes of its own: workers, signals, connections, its command line."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_processes import Running, running, until
from services import free_port

from autotrack.errors import ServingError, SettingsError
from autotrack.server.guard import tokens
from autotrack.server.opening import Opener
from autotrack.server.options import ServerOptions
from autotrack.server.running import serve
from autotrack.stores import open_store

HEALTH = 'autotrack_requests_total{method="GET",route="/health",status="200"}'
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")


class Guarded:
    """A server with tokens, two workers, over an SQLite file; ``headers`` are those of one who may write."""

    def __init__(self, server: Running, store: str, secrets: list[str]) -> None:
        self.server = server
        self.store = store
        self.secrets = secrets
        self.headers = {"authorization": f"Bearer {secrets[0]}"}

    def get(self, path: str) -> httpx.Response:
        return self.server.get(path, headers=self.headers)

    def metric(self, name: str) -> float:
        return self.server.metric(name, headers=self.headers)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("server")
    store, file = f"sqlite:///{folder / 'runs.db'}", folder / "tokens.txt"
    secrets = [tokens.add(file, "writer", "write"), tokens.add(file, "reader", "read")]
    arguments = ["--store", store, "--workers", "2", "--token-file", str(file), "--access-log", "--log-format", "json"]
    with running(*arguments) as server:
        yield Guarded(server, store, secrets)


def test_the_first_line_says_what_is_served_and_where(guarded: Guarded):
    assert re.fullmatch(r"Serving sqlite:///\S+runs\.db at http://127\.0\.0\.1:\d+\n", guarded.server.line)
    assert guarded.server.get("/health").text == "OK"
    assert re.fullmatch(r"\d+\.\d+\.\d+", guarded.get("/version").text)


def test_both_workers_write_to_the_store_and_count_together(guarded: Guarded):
    until(lambda: guarded.metric("autotrack_workers") == 2)
    before = guarded.metric("autotrack_writes_total")
    with httpx.Client(headers=guarded.headers, timeout=30) as client:
        for number in range(10):
            client.headers["connection"] = "close"  # so that either worker may take it
            assert client.put(f"{guarded.server.url}/slow/runs/{number:032x}").status_code == 200
    assert guarded.metric("autotrack_writes_total") == before + 10
    store = open_store(guarded.store)
    try:
        assert len(store.search_runs("tags.written = 'yes'")) == 10
    finally:
        store.close()


def test_a_worker_that_is_killed_is_replaced_and_counters_go_on(guarded: Guarded):
    server = guarded.server
    until(lambda: guarded.metric("autotrack_workers") == 2)
    before = server.workers()
    health = guarded.metric(HEALTH)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(server.workers()) == 2 and before[0] not in server.workers())
    until(lambda: guarded.metric("autotrack_workers") == 2)
    assert before[1] in server.workers()
    assert all(server.get("/health").status_code == 200 for _ in range(6))
    assert guarded.metric(HEALTH) == health + 6
    assert guarded.metric("autotrack_worker_restarts_total") == 1
    assert f"worker {before[0]} was ended by SIGKILL; another takes its place" in server.errors()


def raw(server: Running, *pieces: bytes) -> bytes:
    """What a bare connection is answered, up to its end."""
    with server.connect() as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            answer = b""
            while data := connection.recv(65536):
                answer += data
        except ConnectionError:
            pass
        return answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000, b"431"),
        (b"GET /version HTTP/1.0\r\n\r\n", b"400"),
        (
            b"GET http://attacker.example/version HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n",
            b"403",
        ),
        (b"PUT /slow/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nConnection: close\r\n\r\nx", b"401"),
    ],
)
def test_what_is_no_request_of_ours_is_refused_in_json(guarded: Guarded, request_: bytes, status: bytes):
    head, _, body = raw(guarded.server, request_).partition(b"\r\n\r\n")
    assert head.split()[1] == status
    assert json.loads(body)["error_code"] in ("BAD_REQUEST", "PERMISSION_DENIED", "UNAUTHENTICATED")


def test_no_secret_stands_in_the_log_or_in_the_list_of_processes(guarded: Guarded):
    guarded.get(f"/runs.json?token={guarded.secrets[0]}")
    guarded.server.get("/version", headers={"authorization": f"Bearer {guarded.secrets[1]}x"})
    told = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
    log = guarded.server.errors()
    assert not [secret for secret in guarded.secrets if secret in log + told + guarded.server.line]
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"GET", "PUT"} <= {line.get("method") for line in lines}
    assert {"writer", None} <= {line.get("token") for line in lines}


def test_the_end_waits_for_requests_and_writes_but_not_for_streams_of_events(tmp_path: Path):
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    with running("--store", store, "--workers", "3") as server:
        answers: dict[str, Any] = {}

        def ask(name: str, method: str, path: str, **options: Any) -> None:
            answers[name] = httpx.request(method, f"{server.url}{path}", timeout=30, **options)

        def slowly() -> Iterator[bytes]:
            for _ in range(15):
                yield bytes(10_000)
                time.sleep(0.1)

        asked = [
            threading.Thread(target=ask, args=("sleep", "GET", "/slow/sleep?seconds=1.5")),
            threading.Thread(target=ask, args=("write", "PUT", f"/slow/runs/{7:032x}?seconds=1.5")),
            threading.Thread(target=ask, args=("upload", "PUT", "/slow/upload"), kwargs={"content": slowly()}),
        ]
        listening = threading.Thread(target=ask, args=("events", "GET", "/slow/events"))
        for thread in (*asked, listening):
            thread.start()
        until(lambda: server.metric("autotrack_requests_in_flight") >= 5)  # the asking one counts too
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not server.answers(), 5)
        listening.join(5)
        assert "events" in answers, "a stream of events ends at once"
        assert answers["events"].text.startswith("data: 1")
        for thread in asked:
            thread.join()
        assert server.process.wait(20) == 0
        assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 200)
        assert answers["upload"].json() == {"bytes": 150_000}
        assert server.workers() == []
        assert "Traceback" not in server.errors()
    opened = open_store(store)
    try:
        assert opened.get_run(f"{7:032x}").tags == {"written": "yes"}
    finally:
        opened.close()


def test_what_is_slower_than_the_grace_is_told_so(tmp_path: Path):
    with running("--store", str(tmp_path / "store"), "--workers", "1", "--grace", "1") as server:
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(server.get("/slow/sleep?seconds=60")))
        thread.start()
        until(lambda: server.metric("autotrack_requests_in_flight") >= 2)
        server.process.send_signal(signal.SIGTERM)
        thread.join(20)
        assert answers[0].status_code == 503
        assert answers[0].json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert server.process.wait(20) == 0


def test_the_pages_for_one_person_end_with_ctrl_c_and_workers_with_their_parent(tmp_path: Path):
    with running("--no-open", "--store", str(tmp_path / "none yet"), command="ui") as server:
        assert "none yet at http://127.0.0.1" in server.line
        (worker,) = server.workers()
        assert server.get("/health").status_code == 200
        assert not (tmp_path / "none yet").exists(), "looking makes no store"
        server.process.kill()
        server.process.wait(10)
        until(lambda: not _is_alive(worker))
        assert not server.answers()
    with running("--no-open", "--store", str(tmp_path), command="ui") as server:
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(20) == 0


def _is_alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "autotrack", "server", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def test_a_port_that_is_taken_is_said_before_the_store_is_opened(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = ServerOptions(port=port)
        with pytest.raises(ServingError, match=f"port {port} of 127.0.0.1 is in use by another program"):
            serve(Opener("memory:"), options, ready=print)


def test_a_missing_library_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ServingError, match=r"uvicorn: pip install 'autotrack\[server\]'"):
        serve(Opener("memory:"), ServerOptions(port=0), ready=print)


def test_a_store_that_cannot_be_opened_ends_it_with_a_sentence_and_no_password():
    uri = f"postgresql://user:geheim@127.0.0.1:{free_port()}/none"
    with pytest.raises(ServingError, match="check that a server runs at") as error:
        serve(Opener(uri), ServerOptions(port=0), ready=print)
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize(
    ("store", "artifacts", "why"),
    [
        ("runs", "s3://bucket", "only a database keeps its artifacts elsewhere"),
        ("memory:", "files", "only a database"),
        ("http://127.0.0.1:1", "files", "only a database"),
        ("sqlite:///a.db?artifacts=there", "here", "says already where they are"),
    ],
)
def test_artifacts_are_named_where_that_makes_sense(store: str, artifacts: str, why: str):
    with pytest.raises(SettingsError, match=why):
        Opener(store, artifacts)


def test_artifacts_of_a_database_are_kept_where_it_is_said(tmp_path: Path):
    opened = Opener(f"sqlite:///{tmp_path / 'a.db'}", "files").open()
    try:
        assert opened.uri.endswith(f"?artifacts={tmp_path / 'files'}")
    finally:
        opened.close()


def test_workers_do_not_each_have_a_store_in_memory():
    with pytest.raises(SettingsError, match="--workers 2: each would have a store memory: of its own"):
        serve(Opener("memory:"), ServerOptions(port=0, workers=2), ready=print)


def test_a_token_file_that_is_no_good_ends_it_with_a_sentence(tmp_path: Path):
    missing = command("--port", "0", "--host", "0.0.0.0", "--token-file", tmp_path / "none")
    assert missing.returncode == 1
    assert "cannot be read: No such file" in missing.stderr
    (tmp_path / "empty").touch(0o600)
    with pytest.raises(Exception, match="no token in it"):
        serve(Opener("memory:"), ServerOptions(port=0, token_file=str(tmp_path / "empty")), ready=print)


def test_another_host_without_tokens_is_refused_with_the_way_out():
    done = command("--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 1
    assert "autotrack token add NAME --token-file" in done.stderr
    assert "Traceback" not in done.stderr
