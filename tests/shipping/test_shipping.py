"""Runs go to a store that is somewhere else, from a process of its own that the script does not notice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import journals
import pytest
from shipping_tools import Awkward, wait_for

import autotrack
from autotrack import journal, spool
from autotrack.errors import StoreError

START = """
    import os, signal, subprocess, sys, time
    import autotrack
    autotrack.autolog(store=sys.argv[1])
    from sklearn.datasets import load_iris
    from sklearn.linear_model import Ridge
    from sklearn.metrics import mean_absolute_error
    X, y = load_iris(return_X_y=True)
"""
FITS = (
    START
    + """
    for alpha in range(3):
        model = Ridge(alpha=alpha).fit(X, y)
        mean_absolute_error(y, model.predict(X))
"""
)


def alphas(awkward: Awkward) -> list[str]:
    return sorted((run.params["alpha"] for run in awkward.store.search_runs()), key=float)


def test_fits_are_in_the_store_when_the_script_has_ended(script, awkward):
    done = script(FITS, awkward.uri)
    assert done.stderr == ""
    runs = awkward.store.search_runs(order_by=["params.alpha"])
    assert [run.params["alpha"] for run in runs] == ["0", "1", "2"]
    assert {run.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert run.metrics["mean_absolute_error_X"] < 1
        assert run.process["script"].endswith("script.py")
        assert (awkward.store.artifact_path(run.run_id, "model") / "MLmodel").is_file()


def test_a_spool_is_empty_and_left_alone_once_all_is_sent(script, awkward):
    script(FITS, awkward.uri)
    wait_for(lambda: not awkward.spool.paths())
    assert list(awkward.spool.journals.iterdir()) == []
    assert list(awkward.spool.artifacts.iterdir()) == []
    assert awkward.spool.quarantined() == []
    pid = awkward.spool.status().owner.pid
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    assert awkward.spool.status().state == spool.LEFT
    assert awkward.spool.folder.stat().st_mode & 0o777 == 0o700


def test_a_script_finds_what_it_has_just_done(script, awkward):
    code = """
    assert Ridge(alpha=7).fit(X, y)
    (run,) = autotrack.search_runs().to_dict("records")
    assert run["params.alpha"] == "7", run
    assert autotrack.get_run("latest").model(trusted=True).alpha == 7
    with autotrack.start_run(name="by hand") as run:
        autotrack.log_metric("m", 2.5)
        autotrack.log_text("hello", "notes/a.txt")
        autotrack.log_text("better", "notes/a.txt")
        autotrack.log_model(Ridge(alpha=3).fit(X, y), "mine")
    view = autotrack.get_run("by hand")
    assert view.metrics["m"] == 2.5 and view.status == "FINISHED"
    assert view.model("mine", trusted=True).alpha == 3
    assert autotrack.flush() and autotrack.flush(5)
    """
    assert script(START + code, awkward.uri).stderr == ""
    (run,) = awkward.store.find_runs("by hand")
    assert awkward.store.artifact_path(run.run_id, "notes/a.txt").read_text() == "better"


def test_autolog_does_not_connect_and_refuses_an_unknown_store(awkward):
    awkward.tell("hang")
    autotrack.autolog(store=awkward.uri)
    assert not awkward.spool.folder.exists()
    with pytest.raises(StoreError, match="no store for nothing: .* there are awkward:, file:, .*memory:"):
        autotrack.autolog(store="nothing://x")


def test_the_script_has_no_child_and_no_descriptor_more(script, awkward):
    code = """
    def opened():
        names = {fd: f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")}
        return {(fd, os.readlink(name)) for fd, name in names.items() if os.path.lexists(name)}
    before = opened()
    Ridge().fit(X, y)
    assert autotrack.flush()
    more = {name for _, name in opened() - before if "/proc/" not in name}
    assert all(name.endswith(".jsonl") for name in more), more
    try:
        os.waitpid(-1, os.WNOHANG)
        raise AssertionError("there is a child")
    except ChildProcessError:
        pass
    """
    script(START + code, awkward.uri)


def test_the_shipper_inherits_nothing_and_runs_nothing_of_the_script(script, awkward, tmp_path):
    (tmp_path / "json.py").write_text("raise RuntimeError('shadowed')")
    code = """
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    print("once")
    Ridge().fit(X, y)
    assert autotrack.flush()
    os.close(writing)
    assert os.read(reading, 1) == b""
    """
    code = "    import sys; here = sys.path.pop(0)\n" + START + code
    assert script(code, awkward.uri).stdout == "once\n"
    assert len(awkward.store.search_runs()) == 1


def test_ctrl_c_in_the_terminal_ends_the_script_only(awkward, tmp_path):
    code = """
    Ridge().fit(X, y)
    autotrack.flush()
    Ridge(alpha=5).fit(X, y)
    print("ready", flush=True)
    time.sleep(60)
    """
    (tmp_path / "s.py").write_text(textwrap.dedent(START + code))
    process = subprocess.Popen(
        [sys.executable, "s.py", awkward.uri], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline() == b"ready\n"
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    wait_for(lambda: alphas(awkward) == ["1.0", "5"])


def test_forked_children_send_their_own_runs(script, awkward):
    code = """
    from multiprocessing import get_context
    def work(alpha):
        Ridge(alpha=alpha).fit(X, y)
    Ridge(alpha=10).fit(X, y)
    with autotrack.start_run(name="parent"):
        children = [get_context("fork").Process(target=work, args=(alpha,)) for alpha in (11, 12)]
        [child.start() for child in children]
        [child.join() for child in children]
    pid = os.fork()
    Ridge(alpha=13 if pid else 14).fit(X, y)
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    """
    script(START + code, awkward.uri)
    runs = {run.params.get("alpha"): run for run in awkward.store.search_runs()}
    assert set(runs) == {None, "10", "11", "12", "13", "14"}
    assert runs["11"].parent_run_id == runs[None].run_id
    assert {run.status for run in runs.values()} == {"FINISHED"}


def test_a_child_that_writes_to_its_parents_run_has_its_files_sent(script, awkward):
    awkward.tell("run-first")
    code = """
    with autotrack.start_run(name="parent") as run:
        if os.fork() == 0:
            run.log_text("from the child", "child.txt")
            os._exit(0)
        os.wait()
        run.log_text("from the parent", "parent.txt")
    """
    script(START + code, awkward.uri)
    (run,) = awkward.store.find_runs("parent")
    wait_for(lambda: not awkward.spool.paths())
    found = {artifact.path for artifact in awkward.store.artifacts(run.run_id)}
    assert found == {"child.txt", "parent.txt"}
    assert awkward.store.artifact_path(run.run_id, "child.txt").read_text() == "from the child"
    assert awkward.spool.quarantined() == []


def test_eight_processes_share_one_spool_and_one_shipper(awkward, tmp_path):
    code = START + "    for i in range(5):\n        Ridge(alpha=int(sys.argv[2]) * 100 + i).fit(X, y)\n"
    (tmp_path / "w.py").write_text(textwrap.dedent(code))
    processes = [
        subprocess.Popen([sys.executable, "w.py", awkward.uri, str(i)], cwd=tmp_path, stderr=subprocess.PIPE)
        for i in range(8)
    ]
    assert [process.communicate(timeout=120)[1] for process in processes] == [b""] * 8
    assert alphas(awkward) == [str(100 * worker + i) for worker in range(8) for i in range(5)]
    assert {run.status for run in awkward.store.search_runs()} == {"FINISHED"}
    applied = [
        tuple(entry) for line in (awkward.folder / "calls").read_text().splitlines() for entry in json.loads(line)
    ]
    assert len(applied) == len(set(applied)), "one shipper at a time sends each entry once"


def test_a_script_that_is_killed_has_its_runs_sent_and_the_open_one_killed(script, awkward):
    code = """
    Ridge(alpha=1).fit(X, y)
    run = autotrack.start_run(name="open")
    run.log_metric("m", 1.0)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    done = script(START + code, awkward.uri, check=False)
    assert done.returncode == -signal.SIGKILL
    # It was killed before a shipper ran, or after; if before, the next script's sends what waits.
    script(START + "    Ridge(alpha=2).fit(X, y)\n", awkward.uri)
    wait_for(lambda: not awkward.spool.paths())
    found = {run.params.get("alpha", run.name): run for run in awkward.store.search_runs()}
    assert {name: run.status for name, run in found.items()} == {"1": "FINISHED", "2": "FINISHED", "open": "KILLED"}
    assert found["open"].end_time >= found["open"].start_time


def test_a_shipper_that_is_killed_is_started_again(script, awkward):
    code = """
    from autotrack.spool import of_store
    spool = of_store(sys.argv[1])[0]
    killed = set()
    for alpha in range(60):
        Ridge(alpha=alpha).fit(X, y)
        status = spool.status()
        if status is not None and status.owner.pid not in killed and len(killed) < 3 and spool.is_tended():
            os.kill(status.owner.pid, signal.SIGKILL)
            killed.add(status.owner.pid)
        time.sleep(0.1)
    assert autotrack.flush()
    print(len(killed))
    """
    done = script(START + code, awkward.uri)
    assert int(done.stdout) >= 2
    assert done.stderr == ""
    assert alphas(awkward) == [str(alpha) for alpha in range(60)]


def test_the_password_stands_nowhere_on_disk_and_in_no_command_line(script, awkward, tmp_path):
    awkward.tell("password", "hunter2secret")
    code = """
    from autotrack.spool import of_store
    Ridge().fit(X, y)
    assert autotrack.flush()
    pid = of_store(sys.argv[1])[0].status().owner.pid
    assert b"hunter2" not in open(f"/proc/{pid}/cmdline", "rb").read()
    assert b"hunter2" not in open(f"/proc/{pid}/environ", "rb").read()
    """
    # The process describes itself, arguments included: the URI comes by another way.
    code = START.replace("sys.argv[1]", "os.environ['THEIRS']") + code.replace("sys.argv[1]", "os.environ['THEIRS']")
    code = code.replace("import autotrack\n", "uri = sys.stdin.read(); import autotrack\n", 1)
    code = code.replace("os.environ['THEIRS']", "uri")
    (tmp_path / "s.py").write_text(textwrap.dedent(code))
    uri = awkward.uri + "?password=hunter2secret"
    done = subprocess.run(
        [sys.executable, "s.py"], input=uri, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(awkward.store.search_runs()) == 1
    for path in (tmp_path / "spool").rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path


def test_a_relative_store_is_the_one_of_the_scripts_folder(script, awkward, tmp_path):
    script(FITS, "awkward:awkward")
    assert alphas(awkward) == ["0", "1", "2"]
    (found,) = spool.every(tmp_path / "spool")
    assert found.info().folder == str(tmp_path)


def test_a_journal_of_another_machine_is_over_after_a_minute(awkward, tmp_path):
    from autotrack.events import RunStarted
    from autotrack.shipping.shipper import Shipper

    awkward.spool.make(spool.of_store(awkward.uri)[1])
    writer = journal.JournalWriter(awkward.spool.folder)
    writer.append([RunStarted("a" * 32, "elsewhere", 1)])
    writer.close()
    journals.bury(writer.path, "another-host")
    assert Shipper(awkward.spool, awkward.uri).run().live == 1
    assert awkward.store.get_run("a" * 32).status == "RUNNING"
    os.utime(writer.path, (0, writer.path.stat().st_mtime - 61))
    assert Shipper(awkward.spool, awkward.uri).run().live == 0
    assert awkward.store.get_run("a" * 32).status == "KILLED"
