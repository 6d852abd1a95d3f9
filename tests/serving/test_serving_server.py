"""The real server, in processes of its own: workers, signals, limits of a connection, its command line."""

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

import httpx
import pytest
from served_models import Serving, regression, serving, slow, until

from autotrack.errors import ServingError, SettingsError
from autotrack.serving.options import ServingOptions
from autotrack.serving.running import serve as run_server

TOKEN = "correct-horse-battery"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    regression(folder / "regression")
    slow(folder / "slow")
    return folder


@pytest.fixture(scope="module")
def two(models: Path) -> Iterator[Serving]:
    """Two workers, and a token that the environment has."""
    with serving(models / "slow", "--workers", "2", environment={"AUTOTRACK_SERVING_TOKEN": TOKEN}) as server:
        yield server


def ask(server: Serving, seconds: float) -> httpx.Response:
    return server.post({"inputs": {"seconds": [seconds]}}, headers={"authorization": f"Bearer {TOKEN}"})


def metric(server: Serving, name: str) -> float:
    text = httpx.get(f"{server.url}/metrics", headers={"authorization": f"Bearer {TOKEN}"}, timeout=30).text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line))


def test_the_first_line_says_what_is_served_and_where(two):
    assert re.fullmatch(
        r"Serving Slow \(\S+slow\) at http://127\.0\.0\.1:\d+ \(a page to try it\), POST http://\S+/invocations\n",
        two.line,
    )
    assert ask(two, 0.0).json() == {"predictions": [0.0]}


def test_the_token_is_needed_and_told_to_nobody(two):
    assert httpx.get(f"{two.url}/", timeout=30).status_code == 401
    assert httpx.get(f"{two.url}/ping", timeout=30).status_code == 200
    told = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
    assert TOKEN not in told + two.line + two.errors()


def test_a_slow_prediction_holds_up_nothing_else(two):
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(two, 1.5).status_code)) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    assert httpx.get(f"{two.url}/ping", timeout=30).status_code == 200
    assert not answers, "the ping was answered while all workers were predicting"
    for thread in threads:
        thread.join()
    assert answers == [200] * 4


def test_a_worker_that_is_killed_is_replaced_and_counters_go_on(two):
    until(lambda: metric(two, "autotrack_serving_workers") == 2)
    before = two.workers()
    assert len(before) == 2
    rows = metric(two, "autotrack_serving_rows_total")
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(two.workers()) == 2 and before[0] not in two.workers())
    until(lambda: metric(two, "autotrack_serving_workers") == 2)
    assert before[1] in two.workers()
    assert all(ask(two, 0.0).status_code == 200 for _ in range(6))
    assert metric(two, "autotrack_serving_rows_total") == rows + 6
    assert metric(two, "autotrack_serving_worker_restarts_total") == 1
    assert f"worker {before[0]} was ended by SIGKILL; another takes its place" in two.errors()


def raw(server: Serving, *pieces: bytes, pause: float = 0.0) -> bytes:
    """What a bare connection is answered, up to its end."""
    with server.connect() as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
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
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000, b"431"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -4\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_http_is_refused_in_json(two, request_, status):
    head, _, body = raw(two, request_).partition(b"\r\n\r\n")
    assert head.split()[1] == status
    assert json.loads(body)["error_code"] == "BAD_REQUEST"


def test_sigterm_lets_requests_in_flight_finish_and_refuses_new_ones(models):
    with serving(models / "slow", "--workers", "2") as server:
        answers: list[httpx.Response] = []
        threads = [
            threading.Thread(target=lambda: answers.append(server.post({"inputs": {"seconds": [2.0]}})))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        until(lambda: server.metric("autotrack_serving_requests_in_flight") >= 3)  # the asking one counts too
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not _answers(server.port), 1.5)
        assert not answers
        for thread in threads:
            thread.join()
        assert [answer.json() for answer in answers] == [{"predictions": [4.0]}] * 2
        assert server.process.wait(20) == 0
        assert server.workers() == []


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_second_interrupt_ends_at_once(models):
    with serving(models / "slow") as server:
        thread = threading.Thread(target=lambda: _ignore(server))
        thread.start()
        until(lambda: server.metric("autotrack_serving_requests_in_flight") >= 2)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(5) == 130
        thread.join()


def _ignore(server: Serving) -> None:
    try:
        server.post({"inputs": {"seconds": [25.0]}})
    except httpx.HTTPError:
        pass


def test_workers_end_when_the_process_that_looks_after_them_is_killed(models):
    with serving(models / "regression") as server:
        (worker,) = server.workers()
        server.process.kill()
        server.process.wait(10)
        until(lambda: not _is_alive(worker))
        assert not _answers(server.port)


def _is_alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(models):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve(models / "no such model", "--port", str(port))
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 is in use by another program" in done.stderr


def serve(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autotrack", "models", "serve", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_missing_library_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ServingError, match=r"uvicorn: pip install 'autotrack\[serving\]'"):
        run_server(lambda: pytest.fail("it was loaded"), "m", ServingOptions(port=0), say=print, warn=print)


def test_a_model_that_cannot_be_loaded_ends_it_with_a_sentence(tmp_path):
    done = serve(tmp_path / "nothing", "--port", "0", "--token", "correct-horse-battery")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(r"^Error: no model at .*nothing", done.stderr, re.MULTILINE)
    assert "AUTOTRACK_SERVING_TOKEN" in done.stderr, "others see --token"
    assert "correct-horse" not in done.stderr + done.stdout


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_others_reach_a_server_only_with_a_token(host):
    with pytest.raises(SettingsError, match="AUTOTRACK_SERVING_TOKEN"):
        ServingOptions(host=host).check()
    ServingOptions(host=host, token=TOKEN).check()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.8.8.8", "::1"])
def test_this_machine_needs_none(host):
    ServingOptions(host=host).check()


@pytest.mark.parametrize(
    ("option", "value"),
    [("port", 70_000), ("workers", 0), ("max_batch", -1), ("max_delay", float("nan")), ("max_body", 0)],
)
def test_options_out_of_range_are_named(option, value):
    with pytest.raises(SettingsError, match=f"--{option.replace('_', '-')}"):
        ServingOptions(**{option: value}).check()


def test_a_token_stays_out_of_what_is_printed():
    assert TOKEN not in repr(ServingOptions(token=TOKEN))
    with pytest.raises(SettingsError) as error:
        ServingOptions(token="correct\nhorse").check()
    assert "horse" not in str(error.value)
