"""The benchmark of servers runs and tells what it should; how fast anything is, no test says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.limits import MISSED, OK, UNKNOWN
from benchmarks.loads import Load, percentile
from benchmarks.serving.limits import judge
from benchmarks.serving.measuring import LARGE, SINGLE, Result

ROOT = Path(__file__).resolve().parents[2]


def test_it_runs_and_writes_what_it_found(tmp_path: Path) -> None:
    arguments = ["--quick", "--no-mlflow", "--rounds", "1", "--seconds", "0.3", "--out", "found.json"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "MLflow was skipped" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    (result,) = found["results"]
    assert result["errors"] == {}
    assert set(result["loads"]) == {"single row", "10,000 rows, JSON", "10,000 rows, Arrow"}
    for loads in result["loads"].values():
        (load,) = loads["autotrack"]
        assert load["requests"] >= 1
        assert 0 < load["p50"] <= load["p99"] <= load["worst"]
    assert found["ceiling"][0]["per_second"] > 0
    assert result["starts"]["autotrack"][0] > 0
    assert {limit["verdict"] for limit in found["limits"]} == {UNKNOWN}


def test_limits_are_on_ratios_of_the_same_round() -> None:
    def load(per_second: float, p99: float) -> Load:
        return Load(per_second, p99 / 2, p99, p99, 100, 0.1)

    loads = {
        SINGLE: {"autotrack": [load(600, 0.01), load(60, 0.1)], "mlflow": [load(100, 0.02), load(10, 0.2)]},
        LARGE: {"autotrack": [load(10, 1.0)], "mlflow": [load(9, 1.0)]},
    }
    verdicts = judge([Result("linear", "", loads, starts={"autotrack": [1.0], "mlflow": [4.0]})])

    assert [(limit.value, limit.verdict) for limit in verdicts] == [
        (6.0, OK),
        (0.5, OK),
        (10 / 9, MISSED),
        (0.25, OK),
    ]


def test_percentiles_are_values_that_were_seen() -> None:
    values = [float(value) for value in range(1, 101)]

    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50.0, 99.0, 100.0)
    assert percentile([7.0], 0.99) == 7.0
