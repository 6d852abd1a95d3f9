"""The bar that long searches draw on stderr: when it is drawn, what it says, and that it leaves nothing behind."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
import textwrap
import types

import pytest

from autotrack.capture import progress
from autotrack.capture.progress import Bar

SEARCH = """
    import os, signal, sys, time
    import numpy as np
    import autotrack
    autotrack.autolog(OPTIONS)
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.model_selection import GridSearchCV
    import joblib

    JOBS = N_JOBS
    sent = []

    class Slow(ClassifierMixin, BaseEstimator):
        def __init__(self, share=0.0, stop=""):
            self.share = share
            self.stop = stop

        def fit(self, X, y):
            time.sleep(0.1 * JOBS)
            if self.stop and self.share == 0.875:
                if self.stop == "error":
                    raise ValueError("stopped")
                if not sent:  # its two folds may be fitted at once, and one key was pressed
                    sent.append(1)
                    os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.5)
            self.classes_ = np.unique(y)
            return self

        def predict(self, X):
            return np.where(np.arange(len(X)) < self.share * len(X), X[:, 0], 1 - X[:, 0]).astype(int)

    y = np.arange(80) % 2
    X = y.reshape(-1, 1).astype(float)
    shares = [0.125, 0.5, 0.75, 0.25, 0.125, 0.625, 0.875, 0.125, 0.125]
    search = GridSearchCV(Slow(STOP), {"share": shares}, cv=2, n_jobs=JOBS, error_score="raise", VERBOSE)
    try:
        with joblib.parallel_backend("BACKEND"):
            search.fit(X, y)
    except (ValueError, KeyboardInterrupt) as error:
        print("raised", type(error).__name__)
    print("best", getattr(search, "best_score_", None), "tqdm" in sys.modules)
"""


def run_in_terminal(tmp_path, *, options="", n_jobs=1, backend="loky", stop="", verbose="verbose=0", columns=0):
    """What a search wrote to stdout, and to a terminal on stderr."""
    code = textwrap.dedent(SEARCH)
    for name, value in {"OPTIONS": options, "N_JOBS": str(n_jobs), "BACKEND": backend, "VERBOSE": verbose,
                        "STOP": f"stop={stop!r}"}.items():  # fmt: skip
        code = code.replace(name, value)
    path = tmp_path / "search.py"
    path.write_text(code)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    try:
        environment = {**os.environ, "TERM": "xterm"}
        process = subprocess.Popen([sys.executable, path], cwd=tmp_path, env=environment, text=True,
                                   stdout=subprocess.PIPE, stderr=theirs, stdin=subprocess.DEVNULL)  # fmt: skip
        os.close(theirs)
        drawn = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            drawn += chunk
        stdout, _ = process.communicate(timeout=60)
    finally:
        os.close(ours)
    assert process.returncode == 0, drawn.decode()
    return stdout, drawn.decode()


def screen(drawn):
    """What is left to read of it: the last thing written to each line's places."""
    lines = [""]
    for part in re.split(r"(\r|\n)", drawn):
        if part == "\n":
            lines.append("")
        elif part == "\r":
            lines[-1] = "\r" + lines[-1].lstrip("\r")
        elif lines[-1].startswith("\r"):
            lines[-1] = part + lines[-1].lstrip("\r")[len(part) :]
        else:
            lines[-1] += part
    return "\n".join(lines).replace("\r", "").strip()


def bests(drawn):
    return [float(found) for found in re.findall(r"best (\d\.\d+)", drawn)]


@pytest.mark.parametrize(("n_jobs", "backend"), [(1, "loky"), (2, "loky"), (2, "threading")])
def test_a_long_search_in_a_terminal_shows_how_far_it_is_and_its_best_score(tmp_path, n_jobs, backend):
    stdout, drawn = run_in_terminal(tmp_path, n_jobs=n_jobs, backend=backend, columns=100 if n_jobs == 1 else 0)
    assert stdout == "best 0.875 True\n"
    done = [int(found) for found in re.findall(r"(\d+)/18 fits", drawn)]
    assert done == sorted(done)
    assert len(set(done)) > 3
    assert "GridSearchCV 9 × 2" in drawn
    assert bests(drawn)
    assert bests(drawn) == sorted(bests(drawn))
    assert set(bests(drawn)) <= {0.125, 0.5, 0.75, 0.875}
    assert bests(drawn)[-1] == 0.875
    assert screen(drawn) == ""


def test_a_stream_that_is_no_terminal_gets_no_bar(script):
    code = SEARCH.replace("OPTIONS", "").replace("N_JOBS", "1").replace("BACKEND", "loky")
    done = script(code.replace("VERBOSE", "verbose=0").replace("STOP", ""))
    assert done.stderr == ""
    assert done.stdout == "best 0.875 False\n"


@pytest.mark.parametrize("options", ["progress=False", "silent=True", "silent=True, progress=True"])
def test_there_is_no_bar_where_none_is_wanted(tmp_path, options):
    stdout, drawn = run_in_terminal(tmp_path, options=options)
    assert stdout == "best 0.875 False\n"
    assert drawn == ""


def test_a_bar_that_was_asked_for_is_drawn_wherever_stderr_goes(script):
    code = SEARCH.replace("OPTIONS", "progress=True").replace("N_JOBS", "1").replace("BACKEND", "loky")
    done = script(code.replace("VERBOSE", "verbose=0").replace("STOP", ""))
    assert "/18 fits" in done.stderr
    assert done.stdout == "best 0.875 True\n"


@pytest.mark.parametrize(
    ("stop", "raised", "n_jobs"),
    [("error", "ValueError", 2), ("ctrl-c", "KeyboardInterrupt", 1), ("ctrl-c", "KeyboardInterrupt", 2)],
)
def test_a_search_that_is_broken_off_leaves_no_bar_behind(tmp_path, stop, raised, n_jobs):
    stdout, drawn = run_in_terminal(tmp_path, stop=stop, n_jobs=n_jobs, backend="threading", options="progress=True")
    assert stdout.startswith(f"raised {raised}\n")
    assert "/18 fits" in drawn
    assert screen(drawn) == ""


def test_what_scikit_learn_tells_goes_on_and_makes_our_bar_needless(tmp_path):
    stdout, drawn = run_in_terminal(tmp_path, verbose="verbose=2")
    assert stdout.count("[CV] END") == 18
    assert drawn == ""


def test_a_search_within_a_search_shows_one_bar(script):
    done = script("""
        import autotrack
        autotrack.autolog(progress=True)
        from sklearn.datasets import load_iris
        from sklearn.model_selection import GridSearchCV
        from sklearn.svm import SVC
        X, y = load_iris(return_X_y=True)
        inner = GridSearchCV(SVC(), {"C": [1, 10, 100]}, cv=3)
        GridSearchCV(inner, {"estimator__kernel": ["rbf", "linear"]}, cv=4).fit(X, y)
    """)
    assert "/8 fits" in done.stderr
    assert "/9 fits" not in done.stderr


def test_halving_adds_each_round_to_what_is_to_be_done(script):
    done = script("""
        import autotrack
        autotrack.autolog(progress=True)
        from sklearn.datasets import load_iris
        from sklearn.experimental import enable_halving_search_cv
        from sklearn.model_selection import HalvingGridSearchCV
        from sklearn.svm import SVC
        X, y = load_iris(return_X_y=True)
        search = HalvingGridSearchCV(SVC(), {"C": [0.01, 0.1, 1, 10]}, cv=3, factor=2, random_state=0, min_resources=60)
        search.fit(X, y)
        print(sum(search.n_candidates_) * 3)
    """)
    totals = [int(total) for total in re.findall(r"/(\d+) fits", done.stderr)]
    assert totals[0] == 12
    assert totals[-1] == int(done.stdout)


def test_a_notebook_counts_as_a_place_to_draw(monkeypatch):
    assert not progress.is_wanted(None)
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert progress.is_wanted(None)
    assert not progress.is_wanted(False)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    assert not progress.is_wanted(None)
    assert progress.is_wanted(True)


def test_a_bar_that_nobody_asked_for_waits_until_it_is_worth_it(capsys, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    few = Bar("few", at_once=False)
    few.grow(9, "few")
    many = Bar("many", at_once=False)
    many.grow(20, "many")
    clock[0] += 0.5
    many.at(2)
    clock[0] += 0.6
    few.at(2)
    assert capsys.readouterr().err == ""
    many.at(20)
    assert capsys.readouterr().err == ""
    many.best(0.25)
    many.at(3)
    assert "3/20 fits" in (drawn := capsys.readouterr().err)
    assert "best 0.25" in drawn
    for bar in (few, many):
        bar.close()
        bar.at(5)
    assert "5/20" not in capsys.readouterr().err
