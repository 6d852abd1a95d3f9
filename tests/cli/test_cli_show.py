"""``autotrack show`` and ``autotrack compare``."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from autotrack.query.direction import direction


@pytest.fixture
def ask(call: Callable[..., Result], tmp_path: Path) -> Callable[..., str]:
    def run(command: str, *arguments: str, width: int = 120) -> str:
        result = call(command, "--store", str(tmp_path / "store"), *arguments, width=width)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@pytest.fixture
def whole(recorder: Any) -> str:
    """A run with something of everything."""
    run_id: str = recorder.run(
        "abcd",
        params={"alpha": "0.05", "long": "x" * 3000},
        metrics={"training_score": 0.5, "r2_score_test_x": 0.4521987, "nan": math.nan},
        tags={"estimator_class": "sklearn.linear_model._coordinate_descent.ElasticNet"},
        files={"plots/path.png": b"x" * 30_000, "model/MLmodel": b"flavors: {}", "model/model.pkl": b"x" * 801},
        model="model",
    )
    recorder.dataset(run_id)
    recorder.dataset(run_id, "test_x", "eval")
    return run_id


def test_show_tells_everything(whole: str, ask: Callable[..., str]) -> None:
    text = ask("show", "abcd")
    for part in (
        "ElasticNet  FINISHED  " + whole,
        "took 2.1 s, experiment Default",
        "alpha  0.05",
        "3,000 characters; --format json has them all",
        "r2_score_test_x  0.452199",
        "NaN",
        "train_x (train)  331 × 2  pandas.DataFrame  xxh128:0123456789ab  3 missing values",
        "columns age, bmi",
        "test_x (eval)",
        "plots/path.png   30.0 kB",
        "Artifacts (3 files, 30.8 kB)",
        "train.py --alpha 0.05 'two words'",
        "0123456789ab on main, with uncommitted changes",
        "scikit-learn 1.9.1, numpy 2.3.0 and 1 more",
        "ann@lab",
        f'autotrack.load_model("runs:/{whole}/model")',
    ):
        assert part in text
    assert text.index("r2_score_test_x") < text.index("training_score")


@pytest.mark.parametrize("width", [60, 80])
def test_show_fits_a_narrow_terminal(whole: str, ask: Callable[..., str], width: int) -> None:
    lines = [line for line in ask("show", width=width).splitlines() if whole not in line]
    assert max(len(line) for line in lines) <= width


def test_show_json_is_whole(whole: str, ask: Callable[..., str]) -> None:
    run = json.loads(ask("show", "--format", "json"))
    assert run["run_id"] == whole
    assert len(run["params"]["long"]) == 3000
    assert run["metrics"]["nan"] == "NaN"
    assert [dataset["name"] for dataset in run["datasets"]] == ["train_x", "test_x"]
    assert [artifact["path"] for artifact in run["artifacts"]] == ["model/MLmodel", "model/model.pkl", "plots/path.png"]
    assert run["environment"]["git"]["dirty"] is True


def test_show_a_failed_run(recorder: Any, ask: Callable[..., str]) -> None:
    recorder.run("abcd", status="FAILED", error='Traceback:\n  File "x.py"\nValueError: \x1b[31mno')
    text = ask("show")
    assert "FAILED" in text
    assert '    File "x.py"\n  ValueError: \\x1b[31mno\n' in text
    assert "load_model" not in text


def test_show_parent_and_children(recorder: Any, ask: Callable[..., str]) -> None:
    parent = recorder.run("abcd", "search")
    recorder.run("beef", "candidate", parent_run_id=parent, metrics={"r2": 0.5})
    assert "Children (1)\n  beef0000  candidate  FINISHED  r2=0.5" in ask("show", "search")
    assert "child of abcd0000" in ask("show", "candidate")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [("zzzz", "no run 'zzzz' in"), ("ElasticNet", "matches 5 runs"), ("00a", "at least 4 characters")],
)
def test_show_what_there_is_instead(
    five: Any, call: Callable[..., Result], tmp_path: Path, reference: str, expected: str
) -> None:
    result = call("show", reference, "--store", str(tmp_path / "store"))
    assert result.exit_code == 1
    assert expected in result.stderr
    assert "00aa00000000  ElasticNet" in result.stderr


def test_compare_shows_what_differs(five: Any, ask: Callable[..., str]) -> None:
    lines = [line.split() for line in ask("compare", "00aa", "11aa").splitlines()]
    assert lines[0] == ["00aa0000", "11aa0000"]
    assert ["alpha", "0.05", "0.01"] in lines
    assert ["r2_score_test_x", "0.45", "*", "0.44"] in lines
    assert ["mean_squared_error_test_x", "3000.12", "*", "3010.12"] in lines
    assert not [line for line in lines if "max_iter" in line]


def test_compare_all_has_what_is_equal_too(five: Any, ask: Callable[..., str]) -> None:
    text = ask("compare", "00aa", "11aa", "--all")
    for key in ("max_iter", "estimator_name", "git.commit", "packages.numpy"):
        assert key in text


def test_compare_breaks_many_runs_into_blocks(five: Any, ask: Callable[..., str]) -> None:
    text = ask("compare", "00aa", "11aa", "22aa", "33aa", "44aa", width=70)
    assert max(len(line) for line in text.splitlines()) <= 70
    assert text.count("Params\n") > 1
    for index in range(5):
        assert f"{index}{index}aa0000" in text


def test_compare_json_and_csv(five: Any, ask: Callable[..., str]) -> None:
    document = json.loads(ask("compare", "00aa", "11aa", "--format", "json"))
    first, second = (run["run_id"] for run in document["runs"])
    assert document["params"]["alpha"] == {first: "0.05", second: "0.01"}
    rows = list(csv.DictReader(io.StringIO(ask("compare", "00aa", "11aa", "--format", "csv"))))
    assert rows[0] == {"kind": "params", "key": "alpha", first: "0.05", second: "0.01"}


def test_compare_equal_runs(recorder: Any, ask: Callable[..., str]) -> None:
    recorder.run("abcd", metrics={"m": math.nan})
    recorder.run("beef", metrics={"m": math.nan})
    assert "the same params and metrics" in ask("compare", "abcd", "beef")


def test_compare_needs_two(five: Any, call: Callable[..., Result], tmp_path: Path) -> None:
    result = call("compare", "00aa", "--store", str(tmp_path / "store"))
    assert result.exit_code == 2
    assert "autotrack show 00aa" in result.stderr


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("mean_squared_error_test_x", -1),
        ("training_log_loss", -1),
        ("brier_score_loss", -1),
        ("davies_bouldin_score", -1),
        ("r2_score_test_x", 1),
        ("d2_absolute_error_score", 1),
        ("neg_mean_squared_error", 1),
        ("training_roc_auc", 1),
        ("f1-2_y_test", 1),
        ("fit_seconds", 0),
        ("n_iter", 0),
    ],
)
def test_direction(metric: str, expected: int) -> None:
    assert direction(metric) == expected
