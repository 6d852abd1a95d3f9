"""Runs go to a PostgreSQL server that is killed and started again under those who write."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import pytest
from services import Postgres, postgres_server
from shipping_tools import wait_for

from autotrack import spool
from autotrack.stores import open_store

LOOP = """
    import os, sys, time
    import autotrack
    autotrack.autolog(store=os.environ["THEIRS"])
    from sklearn.datasets import load_iris
    from sklearn.linear_model import Ridge
    X, y = load_iris(return_X_y=True)
    for i in range(int(sys.argv[2])):
        Ridge(alpha=int(sys.argv[1]) * 1000 + i).fit(X, y)
        print(i, flush=True)
        time.sleep(0.05)
"""


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server of this test's own: it is killed."""
    with postgres_server() as found:
        yield found


def test_a_server_that_is_killed_and_restarted_gets_every_fit_that_returned_once(server, tmp_path, monkeypatch):
    uri = server.create("runs")
    monkeypatch.setenv("THEIRS", uri)
    (tmp_path / "loop.py").write_text(textwrap.dedent(LOOP))
    errors = [(tmp_path / f"errors{n}").open("wb+") for n in range(4)]
    scripts = [
        subprocess.Popen(
            [sys.executable, "loop.py", str(n), "40"], stdout=subprocess.PIPE, stderr=errors[n], cwd=tmp_path
        )
        for n in range(4)
    ]
    for script in scripts:
        assert script.stdout is not None
        assert script.stdout.readline() == b"0\n"
    killed = scripts[3]
    for pause in (0.7, 1.5):
        server.kill()
        time.sleep(pause)
        server.start()
        time.sleep(0.5)
    killed.send_signal(signal.SIGKILL)
    printed = [script.communicate(timeout=120)[0].count(b"\n") for script in scripts]
    assert [script.returncode for script in scripts] == [0, 0, 0, -signal.SIGKILL]
    returned = {str(n * 1000 + i) for n in range(4) for i in range(printed[n] + (n == 3))}
    returned |= {str(n * 1000 + i) for n in range(3) for i in range(40)}
    (one,) = spool.every(tmp_path / "spool")
    wait_for(lambda: not one.paths(), 90)
    store = open_store(uri)
    runs = store.search_runs()
    alphas = [run.params["alpha"] for run in runs]
    assert len(alphas) == len(set(alphas))
    assert returned <= set(alphas)
    unfinished = [run for run in runs if run.status != "FINISHED"]
    assert len(unfinished) <= 1
    assert all(run.status == "KILLED" for run in unfinished)
    for run in (runs[0], runs[-1]):
        assert (store.artifact_path(run.run_id, "model") / "MLmodel").is_file()
    store.close()
    assert one.quarantined() == []
    for file in errors:
        file.seek(0)
        text = file.read().decode()
        assert text.count("autotrack cannot send") <= 1
        assert "secret" not in text
        file.close()
    for path in one.folder.rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes(), path


def test_a_server_that_is_down_from_the_start_and_a_wrong_password(server, script, tmp_path):
    uri = server.create("runs")
    wrong = uri.replace("secret", "mistaken")
    done = script(LOOP, "0", "2", env={"THEIRS": wrong})
    (line,) = done.stderr.splitlines()
    assert "could not yet send all to the store postgresql://autotrack@127.0.0.1" in line
    assert "mistaken" not in line
    assert "2 runs wait in" in line
    server.stop()
    done = script(LOOP, "1", "2", env={"THEIRS": uri})
    (line,) = done.stderr.splitlines()
    assert "4 runs wait in" in line
    server.start()
    command = [sys.executable, "-m", "autotrack", "sync", "--store", uri]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "secret" not in done.stdout + done.stderr
    store = open_store(uri)
    assert sorted(run.params["alpha"] for run in store.search_runs()) == ["0", "1", "1000", "1001"]
    store.close()
