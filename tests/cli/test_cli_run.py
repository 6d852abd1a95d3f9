"""``autotrack run``: what a script sees is what ``python script.py`` shows it, and its fits are recorded."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import autotrack

ADDRESS = re.compile(r"0x[0-9a-f]+")

LOOK = """\
import atexit, pickle, sys
class Thing:
    pass
print(sorted(globals()), __name__, __file__, __spec__, __package__, __doc__, __builtins__)
print(sys.argv, sys.path[:2], sys.flags)
print(type(pickle.loads(pickle.dumps(Thing()))), sys.modules["__main__"].Thing is Thing)
atexit.register(lambda: print("at exit", sys.modules["__main__"].Thing.__module__))
"""

ENDINGS = {
    "falls off": "",
    "exception": "def f():\n    1 / 0\nf()",
    "chained": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('x') from error",
    "exit code": "sys.exit(3)",
    "exit message": "sys.exit('bye')",
    "exit in a hook": "sys.excepthook = lambda *_: print('hooked')\nraise ValueError",
    "syntax": "x = (",
    "interrupt": "raise KeyboardInterrupt",
    "terminated": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
}

FIT = """\
import sys
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
X, y = np.array([[0.0], [1.0], [2.0], [4.0]]), np.array([0.0, 1.0, 2.0, 5.0])
X_test, y_test = X + 1, y + 1
model = Ridge(alpha=float(sys.argv[1])).fit(X, y)
print(r2_score(y_test, model.predict(X_test)))
"""


def both(tmp_path: Path, *program: str, flags: tuple[str, ...] = ()) -> tuple[subprocess.CompletedProcess[str], ...]:
    """The program run by python, and by ``autotrack run``."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return tuple(
        subprocess.run(
            [sys.executable, *flags, *before, *program],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        for before in ((), ("-m", "autotrack", "run"))
    )


def assert_same(tmp_path: Path, *program: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    plain, ours = both(tmp_path, *program, flags=flags)
    assert ours.returncode == plain.returncode
    assert ADDRESS.sub("", ours.stdout) == ADDRESS.sub("", plain.stdout)
    assert ADDRESS.sub("", ours.stderr) == ADDRESS.sub("", plain.stderr)
    return ours


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_a_script_sees_and_says_the_same(tmp_path: Path, ending: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "script.py").write_text(LOOK + ending)
    assert_same(tmp_path, "sub/script.py", "--help", "--store", "x", "--", "-m", "two words")


@pytest.mark.parametrize("ending", ["", "def f():\n    1 / 0\nf()"], ids=["falls off", "exception"])
def test_a_module_too(tmp_path: Path, ending: str) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "__main__.py").write_text(LOOK + ending)
    (tmp_path / "package" / "train.py").write_text(LOOK + ending)
    assert_same(tmp_path, "-m", "package.train", "--help", "-m", "x")
    assert_same(tmp_path, "-m", "package")
    assert_same(tmp_path, "-mpackage", "--experiment", "x")


def test_a_folder_and_an_archive_too(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__main__.py").write_text(LOOK)
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("__main__.py", LOOK)
    assert_same(tmp_path, "folder", "a")
    assert_same(tmp_path, "app.zip", "a")


@pytest.mark.parametrize("program", [("nope.py",), ("-m", "nope"), ("-m", "os.nope"), (".",)])
def test_what_is_not_there_is_said_as_python_does(tmp_path: Path, program: tuple[str, ...]) -> None:
    ours = assert_same(tmp_path, *program)
    assert ours.returncode != 0
    assert not (tmp_path / ".autotrack").exists()


def test_interpreter_flags_reach_the_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(LOOK)
    assert_same(tmp_path, "script.py", flags=("-O", "-X", "dev", "-W", "error::UserWarning"))
    assert_same(tmp_path, "script.py", flags=("-P",))


def test_a_file_in_the_working_folder_shadows_nothing(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "script.py").write_text("import random, mine\nprint(random.random, mine)")
    (tmp_path / "sub" / "mine.py").touch()
    for name in ("random", "types", "runpy", "threading"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('the wrong one')")
    done = subprocess.run(
        [Path(sys.executable).with_name("autotrack"), "run", "sub/script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_signal_from_outside_ends_it_as_it_would_the_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(60)")
    command = [sys.executable, "-m", "autotrack", "run", "script.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM


def test_spawned_workers_find_the_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import multiprocessing\n"
        "class Thing:\n    def __init__(self, value): self.value = value\n"
        "def make(value): return Thing(value)\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print([thing.value for thing in pool.map(make, [1, 2])])\n"
    )
    assert assert_same(tmp_path, "script.py").stdout == "[1, 2]\n"


def test_fits_are_recorded_where_asked(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(FIT)
    options = ("--store", "here", "--experiment", "tests")
    command = [sys.executable, "-m", "autotrack", "run", *options, "train.py", "0.5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    run = autotrack.get_run("latest", store=tmp_path / "here")
    assert run.experiment == "tests"
    assert run.params["alpha"] == "0.5"
    assert run.metrics["r2_score_X_test"] == float(done.stdout)
    assert run.environment["script"].endswith("train.py")
    assert run.environment["args"] == ["0.5"]
    assert run.model().alpha == 0.5


def test_a_script_that_switches_on_by_itself_is_recorded_once(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import autotrack\nautotrack.autolog()\n" + FIT)
    command = [sys.executable, "-m", "autotrack", "run", "train.py", "0.5"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert len(autotrack.search_runs(store=tmp_path / ".autotrack")) == 1


def test_a_bad_setting_is_said_before_the_script_begins(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print('began')")
    done = subprocess.run(
        [sys.executable, "-m", "autotrack", "run", "script.py"],
        cwd=tmp_path,
        env={**os.environ, "AUTOTRACK_MAX_METRIC_ROWS": "many"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: AUTOTRACK_MAX_METRIC_ROWS='many'")


@pytest.mark.parametrize("arguments", [(), ("--store", "x"), ("-m",), ("--nonsense", "script.py")])
def test_usage_mistakes(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "autotrack", "run", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "Error: " in done.stderr


@pytest.mark.parametrize("arguments", [(), ("0.01", "0.75")])
def test_the_diabetes_example_holds_what_it_prints(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    example = Path(__file__).parents[2] / "examples" / "train_diabetes.py"
    command = [sys.executable, str(example), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    printed = {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()[1:]}
    run = autotrack.get_run("latest", store=tmp_path / ".autotrack")
    assert run.metrics["mean_squared_error_test_x"] ** 0.5 == pytest.approx(printed["RMSE:"], rel=1e-15)
    assert run.metrics["mean_absolute_error_test_x"] == printed["MAE:"]
    assert run.metrics["r2_score_test_x"] == printed["R2:"]
    assert run.params["alpha"] == (arguments or ("0.05",))[0]
    assert "ElasticNet-paths.png" in run.artifacts


def test_the_plain_example_is_recorded_without_a_line(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "plain_script.py"
    assert "autotrack." not in example.read_text()
    command = [sys.executable, "-m", "autotrack", "run", str(example), "0.5"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    run = autotrack.get_run("latest", store=tmp_path / ".autotrack")
    assert {"accuracy_score_X_test", "roc_auc_score_X_test"} <= run.metrics.keys()


def test_the_search_example_leaves_what_it_says(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "search_wine.py"
    done = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    store = tmp_path / ".autotrack"
    folds = autotrack.get_run("cross_validate(RandomForestClassifier)", store=store)
    assert f"forest: accuracy {folds.metrics['mean_test_accuracy']:.3f}" in done.stdout
    assert len(folds.metric_history("test_f1_macro")) == 5
    search = autotrack.get_run("GridSearchCV(Pipeline(SVC))", store=store)
    assert f"support vectors: accuracy {search.metrics['accuracy_score_X_test']:.3f}" in done.stdout
    assert len(search.children) == 5
    assert {"confusion_matrix_X_test", "search_scores", "training_confusion_matrix"} <= set(search.plots)
    assert search.artifact_path("metrics/classification_report_X_test.txt").read_text() in done.stdout
