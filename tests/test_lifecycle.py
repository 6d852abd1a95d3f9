"""How runs end when programs do: kill, exit codes, exceptions, forks, threads, other processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge

import autotrack
from autotrack import journal

X, y = load_iris(return_X_y=True)

FIT = """
    import sys, os, signal
    import autotrack
    autotrack.autolog(store="store")
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(C=0.25, max_iter=300).fit(X, y)
"""


def runs():
    return autotrack.search_runs(order_by="start_time", store="store").to_dict("records")


def test_kill_right_after_a_fit_loses_nothing_that_it_had_recorded(script):
    done = script(FIT + "    os.kill(os.getpid(), signal.SIGKILL)\n", check=False)
    assert done.returncode == -signal.SIGKILL
    (run,) = runs()
    assert run["status"] == "FINISHED"
    view = autotrack.get_run("latest", store="store")
    assert view.params["C"] == "0.25"
    assert view.tags["estimator_name"] == "LogisticRegression"
    assert np.mean(view.model().predict(X) == y) > 0.9
    assert [run["run_id"] for run in runs()] == [run["run_id"]]


def test_a_kill_inside_a_fit_leaves_a_killed_run(script):
    code = """
    import os, signal
    import autotrack
    autotrack.autolog(store="store")
    from sklearn.base import BaseEstimator
    class Dies(BaseEstimator):
        def __init__(self, depth=3):
            self.depth = depth
        def fit(self, X, y=None):
            os.kill(os.getpid(), signal.SIGKILL)
    Dies().fit([[1.0]])
    """
    script(code, check=False)
    (run,) = runs()
    assert (run["status"], run["params.depth"]) == ("KILLED", "3")
    assert run["end_time"] >= run["start_time"]


def test_a_live_process_has_running_runs_and_a_dead_one_killed_ones(tmp_path):
    code = FIT + "    run = autotrack.start_run(name='open')\n    print('ready', flush=True)\n    sys.stdin.read()\n"
    (tmp_path / "live.py").write_text(textwrap.dedent(code))
    process = subprocess.Popen(
        [sys.executable, "live.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        assert [run["status"] for run in runs()] == ["FINISHED", "RUNNING"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert [run["status"] for run in runs()] == ["FINISHED", "KILLED"]


ENDS = {
    "returns": ("pass", 0, "FINISHED"),
    "sys.exit(0)": ("sys.exit(0)", 0, "FINISHED"),
    "sys.exit()": ("sys.exit()", 0, "FINISHED"),
    "sys.exit(1)": ("sys.exit(1)", 1, "FAILED"),
    "sys.exit(text)": ("sys.exit('no')", 1, "FAILED"),
    "raise SystemExit": ("raise SystemExit(3)", 3, "KILLED"),
    "an exception": ("raise RuntimeError('my own')", 1, "FAILED"),
    "ctrl-c": ("os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(9)", -signal.SIGINT, "KILLED"),
    "sigterm": ("os.kill(os.getpid(), signal.SIGTERM); import time; time.sleep(9)", -signal.SIGTERM, "KILLED"),
    "a handler that exits": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); os.kill(os.getpid(), signal.SIGTERM)", 7, "FAILED",
    ),
    "os._exit": ("os._exit(0)", 0, "KILLED"),
    "a caught exit": ("exec('try:\\n sys.exit(5)\\nexcept SystemExit:\\n pass')", 0, "FINISHED"),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_an_open_run_ends_as_its_script_does(script, end):
    line, code, status = ENDS[end]
    # A suite that runs in the background of a shell inherits Ctrl-C ignored.
    start = (
        "import sys, os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import autotrack\nautotrack.set_store('store')\nautotrack.start_run(name='open')\n"
    )
    done = script(start + line + "\n", check=False)
    assert done.returncode == code
    (run,) = runs()
    assert run["status"] == status
    if end == "an exception":
        assert "my own" in autotrack.get_run("open", store="store").error
        assert done.stderr.startswith("Traceback")


def test_excepthook_and_signal_handlers_are_the_users(script):
    code = """
    import signal, sys
    import autotrack
    def hook(*args): print("my hook", args[0].__name__)
    def handler(*args): print("my handler")
    sys.excepthook = hook
    signal.signal(signal.SIGTERM, handler)
    exit_before, ctrl_c_before = sys.exit, signal.getsignal(signal.SIGINT)
    autotrack.autolog(store="store")
    run = autotrack.start_run("ended")
    assert sys.excepthook is hook and signal.getsignal(signal.SIGTERM) is handler
    assert signal.getsignal(signal.SIGINT) is ctrl_c_before
    run.end()
    assert sys.exit is exit_before
    autotrack.start_run("open")
    signal.raise_signal(signal.SIGTERM)
    raise KeyError
    """
    done = script(code, check=False)
    assert done.stdout == "my handler\nmy hook KeyError\n"
    assert {run["run_name"]: run["status"] for run in runs()} == {"ended": "FINISHED", "open": "FAILED"}


def test_a_with_block_that_raises_is_failed_and_ctrl_c_in_it_killed(store):
    autotrack.set_store(store)
    for error, status in ((RuntimeError("x"), "FAILED"), (KeyboardInterrupt(), "KILLED")):
        with pytest.raises(type(error)), autotrack.start_run(name=status):
            raise error
        assert autotrack.get_run(status).status == status


def test_a_fork_in_the_middle_makes_whole_runs_on_both_sides(script):
    code = (
        FIT
        + """
    pid = os.fork()
    LogisticRegression(C=1.0 if pid else 2.0, max_iter=300).fit(X, y)
    if pid:
        os.waitpid(pid, 0)
    else:
        autotrack.flush()
        os._exit(0)
    """
    )
    script(code)
    found = runs()
    assert sorted(run["params.C"] for run in found) == ["0.25", "1.0", "2.0"]
    assert {run["status"] for run in found} == {"FINISHED"}
    assert all(run["metrics.training_score"] > 0.9 for run in found)
    assert len(journal.journal_paths(autotrack.settings.Path("store"))) == 2


def test_forked_children_of_multiprocessing_record_too(script):
    code = (
        FIT
        + """
    from multiprocessing import get_context
    def work(c):
        LogisticRegression(C=c, max_iter=300).fit(X, y)
    with autotrack.start_run(name="parent"):
        children = [get_context("fork").Process(target=work, args=(c,)) for c in (5.0, 6.0)]
        [child.start() for child in children]
        [child.join() for child in children]
        LogisticRegression(C=7.0, max_iter=300).fit(X, y)
    """
    )
    script(code)
    found = {run["params.C"]: run for run in runs()}
    assert set(found) == {"0.25", "5.0", "6.0", "7.0"}
    assert {run["status"] for run in found.values()} == {"FINISHED"}
    assert all(run["metrics.training_score"] > 0.9 for run in found.values())
    assert found["7.0"]["run_name"] == "parent"
    assert found["5.0"]["parent_run_id"] == found["6.0"]["parent_run_id"] == found["7.0"]["run_id"]


def test_two_processes_write_to_one_folder_at_once(tmp_path, script):
    (tmp_path / "w.py").write_text(
        textwrap.dedent(FIT)
        + "for i in range(40):\n    LogisticRegression(C=i + 1.0, max_iter=50).fit(X[:60], y[:60])\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-W", "ignore", "w.py"], cwd=tmp_path, stderr=subprocess.PIPE) for _ in "ab"
    ]
    while any(process.poll() is None for process in processes):
        runs()  # a reader folds all the while
        time.sleep(0.05)
    assert [process.communicate()[1] for process in processes] == [b"", b""]
    found = runs()
    assert len(found) == 82
    assert len({run["run_id"] for run in found}) == 82
    assert {run["status"] for run in found} == {"FINISHED"}
    assert all(run["metrics.training_score"] > 0.5 and run["params.C"] for run in found)


def test_fits_in_eight_threads_each_have_their_own_run(logged):
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        for i in range(5):
            alpha = number * 100 + i
            model = Ridge(alpha=alpha).fit(X, y + number)
            predicted = model.predict(X)
            from sklearn.metrics import mean_absolute_error

            mean_absolute_error(y + number, predicted)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    autotrack.flush()
    found = autotrack.search_runs().to_dict("records")
    assert len(found) == 40
    for run in found:
        number = int(run["params.alpha"]) // 100
        view = autotrack.get_run(run["run_id"])
        model = view.model()
        assert model.alpha == int(run["params.alpha"])
        expected = float(np.mean(np.abs(model.predict(X) - (y + number))))
        assert run["metrics.mean_absolute_error_X"] == pytest.approx(expected, abs=1e-12)
        assert run["metrics.training_mean_absolute_error"] == pytest.approx(expected, abs=1e-12)


def test_disabled_holds_in_its_own_thread_and_task_only(logged):
    import asyncio

    entered, done = threading.Event(), threading.Event()

    def other() -> None:
        entered.wait()
        Ridge(alpha=2).fit(X, y)
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with autotrack.disabled():
        entered.set()
        done.wait()
        Ridge(alpha=1).fit(X, y)
    thread.join()

    @autotrack.disabled()
    async def silent() -> None:
        await asyncio.sleep(0.01)
        Ridge(alpha=3).fit(X, y)

    async def heard() -> None:
        Ridge(alpha=4).fit(X, y)
        await asyncio.sleep(0.02)
        Ridge(alpha=5).fit(X, y)

    async def both() -> None:
        await asyncio.gather(silent(), heard(), silent())

    asyncio.run(both())

    @autotrack.disabled()
    def quiet() -> None:
        Ridge(alpha=6).fit(X, y)

    quiet()
    assert sorted(autotrack.search_runs()["params.alpha"]) == ["2", "4", "5"]


def test_the_process_is_described(script, tmp_path):
    subprocess.run(
        "git init -q . && git config user.email a@b.c && git config user.name n && echo 1 > f && git add f "
        "&& git commit -qm x && echo 2 > f",
        shell=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    script(FIT, "--flag", "value")
    facts = autotrack.get_run("latest", store="store").environment
    assert facts["script"].endswith("script.py")
    assert facts["args"] == ["--flag", "value"]
    assert re.fullmatch("[0-9a-f]{40}", facts["git"]["commit"])
    assert facts["git"]["dirty"] is True
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["user"]
    assert facts["host"]
    assert facts["pid"] != os.getpid()
