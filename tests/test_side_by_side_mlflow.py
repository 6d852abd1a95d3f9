"""Two of the everyday scripts, run under the real MLflow and under autotrack."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from benchmarks.side_by_side.__main__ import side_by_side
from benchmarks.side_by_side.running import SCRIPTS, Stores


@pytest.fixture(scope="module", autouse=True)
def mlflow():
    """Skip without MLflow; fail instead where AUTOTRACK_REQUIRE_SERVICES=1 says that it has to be there."""
    try:
        return importlib.import_module("mlflow")
    except ImportError as error:
        if os.environ.get("AUTOTRACK_REQUIRE_SERVICES") == "1":
            pytest.fail(f"mlflow is required by AUTOTRACK_REQUIRE_SERVICES=1: {error}")
        pytest.skip(f"mlflow is not installed here: {error}")


@pytest.mark.parametrize("name", ["calibration", "time_series_split"])
def test_what_mlflow_records_autotrack_records(name: str, tmp_path: Path) -> None:
    result = side_by_side(SCRIPTS / f"{name}.py", Stores(tmp_path))

    assert result.troubles == ()
    assert result.runs[0] == {"calibration": 2, "time_series_split": 3}[name]
    assert result.comparison.same > 50
    assert list(result.comparison.unexplained) == []
    assert ("metric", "fit_seconds") in result.comparison.only_ours
