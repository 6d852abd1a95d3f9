"""A store folder with runs in it, and a way to call the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from autotrack.cli.app import app
from autotrack.entities import Artifact, Dataset, LoggedModel, Metric
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    Entry,
    Event,
    MetricsLogged,
    ModelLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsSet,
)
from autotrack.stores import open_store

START = 1_780_000_000_000
FACTS = {
    "script": "train.py",
    "args": ["--alpha", "0.05", "two words"],
    "cwd": "/home/ann/project",
    "user": "ann",
    "host": "lab",
    "pid": 4711,
    "python": "3.12.1",
    "platform": "Linux-6.1-x86_64",
    "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "branch": "main", "dirty": True},
    "packages": {"scikit-learn": "1.9.1", "numpy": "2.3.0", "wrapt": "2.1.0"},
    "autotrack": "0.1.0",
}


class Recorder:
    """Writes whole runs into one store folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = open_store(str(folder))
        self._number = 0

    def apply(self, *events: Event) -> None:
        entries = []
        for event in events:
            self._number += 1
            entries.append(Entry("20260528T000000-0123456789ab", self._number, event))
        self.store.apply(entries)

    def run(
        self,
        run_id: str,
        name: str = "ElasticNet",
        *,
        status: str | None = "FINISHED",
        params: dict[str, str] | None = None,
        metrics: dict[str, float] | None = None,
        tags: dict[str, str] | None = None,
        started: int = START,
        error: str | None = None,
        files: dict[str, bytes] | None = None,
        model: str | None = None,
        **keywords: Any,
    ) -> str:
        whole = run_id.ljust(32, "0")
        events: list[Event] = [
            ProcessDescribed("p1", FACTS),
            RunStarted(whole, name, started, process_id="p1", **keywords),
            ParamsLogged(whole, params or {}),
            MetricsLogged(whole, tuple(Metric(key, value, 0, started) for key, value in (metrics or {}).items())),
            TagsSet(whole, tags or {"estimator_name": name}),
        ]
        for path, content in (files or {}).items():
            target = self.folder / "artifacts" / whole / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            if model is None or not path.startswith(model + "/"):
                events.append(ArtifactLogged(whole, Artifact(path, len(content))))
        if model is not None:
            events.append(ModelLogged(whole, LoggedModel(model, "sklearn.linear_model.ElasticNet", "cloudpickle", 812)))
        if status is not None:
            events.append(RunEnded(whole, status, started + 2100, error))
        self.apply(*events)
        return whole

    def dataset(self, run_id: str, name: str = "train_x", context: str = "train") -> None:
        columns = ({"name": "age", "dtype": "float64", "missing": 3}, {"name": "bmi", "dtype": "float64", "missing": 0})
        data = Dataset(name, context, "pandas.DataFrame", "xxh128:0123456789abcdef", (331, 2), columns)
        self.apply(DatasetLogged(run_id, data))


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path / "store")
    yield recorder
    recorder.store.close()


@pytest.fixture
def five(recorder: Recorder) -> Recorder:
    """Five runs of the same estimator, as a small search by hand leaves them."""
    for index, (alpha, l1_ratio) in enumerate([(0.05, 0.05), (0.01, 0.01), (0.01, 0.75), (0.01, 1.0), (0.05, 1.0)]):
        recorder.run(
            f"{index}{index}aa",
            params={"alpha": str(alpha), "l1_ratio": str(l1_ratio), "max_iter": "1000"},
            metrics={
                "training_score": 0.5 + index / 100,
                "training_mean_squared_error": 2900.0 - index,
                "mean_squared_error_test_x": 3000.125 + 10 * index,
                "r2_score_test_x": 0.45 - index / 100,
            },
            started=START + 60_000 * index,
        )
    return recorder


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call ``autotrack`` with these arguments; ``width`` is the terminal's."""

    def run(*arguments: str, width: int = 120) -> Result:
        monkeypatch.setenv("COLUMNS", str(width))
        return CliRunner().invoke(app, list(arguments), prog_name="autotrack")

    return run
