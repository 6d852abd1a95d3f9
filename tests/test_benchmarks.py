"""The benchmark runs and tells what it should; how fast anything is, no test says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from autotrack import journal
from benchmarks import measures
from benchmarks.cases import by_name
from benchmarks.limits import MISSED, OK, UNKNOWN, Verdict
from benchmarks.results import SECONDS, Result
from benchmarks.stores import data
from benchmarks.stores.searches import SEARCHES
from benchmarks.variants import AUTOTRACK, BARE, MLFLOW

ROOT = Path(__file__).resolve().parents[1]


def test_it_runs_and_writes_what_it_found(tmp_path):
    out = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--no-mlflow", "--only", "logistic-iris", "--out", str(out)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "LogisticRegression" in done.stdout
    assert "MLflow was skipped" in done.stdout
    found = json.loads(out.read_text())
    assert found["format"] == 1
    assert {"date", "cpu", "cores", "threads", "python", "libraries"} <= set(found["machine"])
    (result,) = found["results"]
    assert (result["name"], result["unit"], result["errors"]) == ("logistic-iris", "seconds", {})
    assert set(result["variants"]) == {"bare", "autotrack", "autotrack-no-model"}
    for name, values in result["variants"].items():
        assert len(values["seconds"]["samples"]) == 2
        assert values["seconds"]["summary"]["min"] > 0
        assert values["thread_seconds"]["summary"]["n"] == 2
        assert (values["seconds"]["added"] is None) == (name == "bare")
    fits = 3 * by_name("logistic-iris").fits  # a first turn that does not count, and two rounds
    assert f"autotrack recorded: {fits} runs and {fits} models of {fits} fits" in found["remarks"]
    assert f"autotrack-no-model recorded: {fits} runs and 0 models of {fits} fits" in found["remarks"]
    verdicts = {limit["measure"]: limit["verdict"] for limit in found["limits"]}
    assert verdicts.pop("time added to a small fit, model logged: logistic-iris") in (OK, MISSED)
    assert set(verdicts.values()) == {UNKNOWN}


def test_logging_a_model_is_measured_beside_joblib(tmp_path):
    out = tmp_path / "results.json"
    arguments = ["--quick", "--no-mlflow", "--only", "models", "--only", "models-small"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments, "--out", str(out)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    forest, small = found["results"]
    for result in (forest, small):
        assert result["errors"] == {}
        assert {len(values["seconds"]["samples"]) for values in result["variants"].values()} == {2}
        assert set(result["variants"]) == {"bare", "autotrack"}
    (note,) = forest["notes"]
    assert 15e6 < int(note.split()[-2].replace(",", "")) < 25e6  # a tenth of the forest
    verdicts = {limit["measure"]: limit["verdict"] for limit in found["limits"]}
    assert verdicts.pop("models: logging a small model") in (OK, MISSED)


def test_stores_are_measured_with_runs_that_they_give_back(tmp_path):
    out = tmp_path / "results.json"
    arguments = ["--only", "stores", "--store", "local", "--store", "memory:", "--runs", "250", "--rounds", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments, "--out", str(out)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "metric, 1 in 100, by metric" in done.stdout
    (result,) = json.loads(out.read_text())["results"]
    assert result["errors"] == {}
    figures = {(figure["store"], figure["name"]): figure for figure in result["figures"]}
    assert figures["local, 250 runs", "fold journals, per event"]["summary"]["min"] > 0
    found = {(store, name): figure["found"] for (store, name), figure in figures.items()}
    assert found["local, 250 runs", "newest first"] == 100
    assert found["local, 250 runs", "children of a run"] == 5
    assert found["local, 250 runs", "status, 1 in 50, by metric"] == 5
    for search in SEARCHES:
        assert found["local, 250 runs", search.name] == found["memory, 250 runs", search.name]


def test_the_journals_that_are_measured_hold_what_is_applied_to_other_stores(tmp_path):
    count = data.write_journals(tmp_path, 250)
    chunks = [journal.read(path) for path in journal.journal_paths(tmp_path)]
    assert [list(chunk.entries) for chunk in chunks] == list(data.journals(250))
    assert sum(len(chunk.entries) for chunk in chunks) == count == 250 * 11 + 2 + 3 * 2
    assert [chunk.problems for chunk in chunks] == [()] * 3


def test_variants_are_compared_within_a_round():
    result = Result("x", "X", SECONDS)
    result.rounds[BARE.name] = [{SECONDS: 1.0}, {SECONDS: 10.0}, {SECONDS: 2.0}]
    result.rounds[AUTOTRACK.name] = [{SECONDS: 2.0}, {SECONDS: 11.0}, {SECONDS: 3.5}]
    result.rounds[MLFLOW.name] = [None, {SECONDS: 30.0}, None]
    added, ratio = result.added(AUTOTRACK), result.ratio(AUTOTRACK)
    assert (added.median, added.min, added.max) == (1.0, 1.0, 1.5)
    assert (ratio.median, ratio.min, ratio.max) == (1.75, 1.1, 2.0)
    assert (result.added(MLFLOW).median, result.added(MLFLOW).n) == (20.0, 1)


def test_a_limit_that_was_not_measured_is_not_missed():
    assert Verdict("x", None, 1.0, "ratio").verdict == UNKNOWN
    assert Verdict("x", 1.0, 1.0, "ratio").verdict == OK
    assert Verdict("x", 1.01, 1.0, "ratio").verdict == MISSED


def test_the_bare_demo_is_the_demo_without_two_lines():
    source = (ROOT / "examples" / "train_diabetes.py").read_text()
    bare = measures.without_autotrack(source)
    assert len(source.splitlines()) - len(bare.splitlines()) == 2
    assert "autotrack" not in bare.partition('"""')[2].partition('"""')[2]
