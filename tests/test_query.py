"""The reading half, through real stores."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import autotrack
from autotrack import query
from autotrack.entities import Artifact, Dataset, LoggedModel, Metric
from autotrack.errors import AmbiguousRun, FilterError, ModelError, RunNotFound, SettingsError
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
from autotrack.hooks import before_read
from autotrack.query import text
from autotrack.stores import open_store

START = 1_780_000_000_000


class Filled:
    """A store, and a way to put runs into it."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.store: Any = open_store(uri)
        self._number = 0

    def apply(self, *events: Event) -> None:
        self._number += len(events)
        first = self._number - len(events) + 1
        self.store.apply([Entry("20260528T000000-0123456789ab", first + i, event) for i, event in enumerate(events)])

    def run(self, run_id: str, name: str = "Ridge", *events: Event, started: int = START, **keywords: Any) -> str:
        whole = run_id.ljust(32, "0")
        self.apply(
            ProcessDescribed("p", {"script": "train.py"}),
            RunStarted(whole, name, started, process_id="p", **keywords),
            RunEnded(whole, "FINISHED", started + 1500),
        )
        return whole

    def file(self, run_id: str, path: str, content: bytes = b"x") -> Path:
        target = Path(self.store.artifact_folder(run_id)) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return target


@pytest.fixture(params=["local", "memory"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Filled]:
    filled = Filled(str(tmp_path / "store") if request.param == "local" else f"memory:{tmp_path}")
    yield filled
    filled.store.close()


# search_runs


def test_search_runs_has_mlflow_s_columns_and_ours(filled: Filled) -> None:
    run_id = filled.run("abcd")
    filled.apply(
        ParamsLogged(run_id, {"alpha": "0.1"}),
        MetricsLogged(run_id, (Metric("r2", 0.5), Metric("nan", math.nan), Metric("inf", -math.inf))),
        TagsSet(run_id, {"estimator_name": "Ridge"}),
    )
    other = filled.run("beef", started=START + 1000, parent_run_id=run_id)
    frame = query.search_runs(store=filled.uri)
    assert list(frame["run_id"]) == [other, run_id]
    first = frame.iloc[1]
    assert first["start_time"] == pd.Timestamp(START, unit="ms", tz="UTC")
    assert first["end_time"] - first["start_time"] == pd.Timedelta(milliseconds=1500)
    assert first["duration"] == 1.5
    assert (first["status"], first["experiment_id"], first["experiment"]) == ("FINISHED", "0", "Default")
    assert (first["params.alpha"], first["tags.estimator_name"], first["metrics.r2"]) == ("0.1", "Ridge", 0.5)
    assert math.isnan(first["metrics.nan"])
    assert first["metrics.inf"] == -math.inf
    assert Path(first["artifact_uri"]).name == run_id
    assert frame.iloc[0]["params.alpha"] is None
    assert math.isnan(frame.iloc[0]["metrics.r2"])
    assert list(frame["parent_run_id"]) == [run_id, None]
    assert frame["metrics.r2"].dtype == "float64"
    assert (frame["broken"].isna()).all()


def test_an_empty_result_has_the_fixed_columns(filled: Filled) -> None:
    frame = query.search_runs(store=filled.uri)
    assert len(frame) == 0
    assert {"run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"} <= set(frame.columns)
    assert str(frame["start_time"].dtype).endswith("UTC]")
    assert (frame["start_time"] > pd.Timestamp("2026-01-01", tz="UTC")).sum() == 0


def test_search_runs_filters_orders_and_limits(filled: Filled) -> None:
    for index in range(4):
        run_id = filled.run(f"{index}bcd", started=START + index, experiment="odd" if index % 2 else "even")
        filled.apply(MetricsLogged(run_id, (Metric("m", float(-index)),)))

    def found(*arguments: Any, **keywords: Any) -> list[str]:
        return [run_id[0] for run_id in query.search_runs(*arguments, store=filled.uri, **keywords)["run_id"]]

    assert found() == ["3", "2", "1", "0"]
    assert found("metrics.m < -0.5") == ["3", "2", "1"]
    assert found(order_by="metrics.m") == ["3", "2", "1", "0"]
    assert found(order_by=["experiment", "start_time ASC"]) == ["0", "2", "1", "3"]
    assert found(limit=2) == ["3", "2"]
    assert found(limit=0) == []
    assert found(experiment="odd") == ["3", "1"]
    assert [run.run_id[0] for run in query.list_runs("metrics.m = -2", store=filled.uri)] == ["2"]


def test_search_runs_holds_whatever_was_recorded(filled: Filled) -> None:
    run_id = filled.run("abcd", "new\nline \ud800 \x00")
    filled.apply(ParamsLogged(run_id, {"lone": "\ud800", "long": "x" * 100_000}))
    filled.run("beef", started=10**17)
    frame = query.search_runs(store=filled.uri)
    assert frame["start_time"].isna().tolist() == [True, False]
    assert frame["params.lone"][1] == "\ud800"
    assert frame["run_name"][1] == "new\nline \ud800 \x00"


def test_search_runs_names_our_keyword(filled: Filled) -> None:
    with pytest.raises(SettingsError, match="has no keyword 'filter_string'; did you mean filter"):
        query.search_runs(filter_string="x")
    with pytest.raises(SettingsError, match="has no keyword 'max_results'; did you mean limit"):
        query.search_runs(max_results=1)
    with pytest.raises(SettingsError, match="did you mean order_by"):
        query.search_runs(orderby="x")


def test_search_runs_refuses_the_wrong_kind(filled: Filled) -> None:
    wrong: list[dict[str, Any]] = [
        {"filter": ["0"]},
        {"limit": -1},
        {"limit": "3"},
        {"limit": True},
        {"order_by": [3]},
        {"store": 3},
    ]
    for keywords in wrong:
        with pytest.raises(SettingsError):
            query.search_runs(**{"store": filled.uri, **keywords})
    with pytest.raises(FilterError):
        query.search_runs("metrics.a >> 1", store=filled.uri)


# get_run


def test_get_run_by_id_prefix_name_and_latest(filled: Filled) -> None:
    old = filled.run("abcd1", "Ridge")
    new = filled.run("abce1", "Lasso", started=START + 5)
    for reference, expected in [
        (old, old),
        (old.upper(), old),
        ("abcd", old),
        ("ABCD", old),
        (" abcd1 ", old),
        ("Lasso", new),
        ("latest", new),
    ]:
        assert query.get_run(reference, store=filled.uri).run_id == expected


def test_get_run_says_what_there_is(filled: Filled) -> None:
    with pytest.raises(RunNotFound, match="is empty; run a script with autotrack"):
        query.get_run("latest", store=filled.uri)
    for index in range(8):
        filled.run(f"{index}bcd", f"Ridge{index}", started=START + index)
    with pytest.raises(RunNotFound) as caught:
        query.get_run("Rigde7", store=filled.uri)
    message = str(caught.value)
    assert message.startswith(f"no run 'Rigde7' in {filled.store.uri}; did you mean 'Ridge7'")
    assert "7bcd00000000  Ridge7" in message
    assert "Ridge0" not in message.split("\n", 1)[1]
    with pytest.raises(RunNotFound, match="at least 4 characters"):
        query.get_run("7bc", store=filled.uri)
    for nothing in ("", "  ", None):
        with pytest.raises(RunNotFound, match="names no run"):
            query.get_run(nothing, store=filled.uri)  # type: ignore[arg-type]


def test_get_run_lists_the_candidates(filled: Filled) -> None:
    filled.run("abcd1", "first")
    filled.run("abcd2", "second\x1b[31m")
    with pytest.raises(AmbiguousRun) as caught:
        query.get_run("abcd", store=filled.uri)
    message = str(caught.value)
    assert "matches 2 runs" in message
    assert "abcd10000000  first" in message
    assert "second\\x1b[31m" in message


def test_a_short_name_is_found(filled: Filled) -> None:
    run_id = filled.run("beef", "ab")
    filled.run("abcd", "other")
    assert query.get_run("ab", store=filled.uri).run_id == run_id


# RunView


@pytest.fixture
def view(filled: Filled) -> query.RunView:
    run_id = filled.run("abcd", "<b>Ridge</b>\x1b")
    filled.run("beef", "child", started=START + 1, parent_run_id=run_id)
    filled.file(run_id, "plots/a.png", b"12345")
    filled.file(run_id, "top.txt")
    filled.apply(
        ParamsLogged(run_id, {"alpha": "0.1", "<script>": "<i>\n"}),
        MetricsLogged(
            run_id, (Metric("r2_test", 0.5, 0, START), Metric("r2_test", 0.6, 1, START), Metric("n", math.nan))
        ),
        TagsSet(run_id, {"t": "v"}),
        DatasetLogged(run_id, Dataset("X", "train", "numpy.ndarray", "xxh128:00", (3, 2))),
        ArtifactLogged(run_id, Artifact("plots/a.png", 5, "sha256:1")),
        ArtifactLogged(run_id, Artifact("top.txt", 1)),
    )
    return query.get_run("abcd", store=filled.uri)


def test_a_view_tells_everything(view: query.RunView) -> None:
    assert view.start_time == datetime(2026, 5, 28, 20, 26, 40, tzinfo=UTC)
    assert view.end_time is not None
    assert view.duration == 1.5
    assert view.params["alpha"] == "0.1"
    assert view.metrics["r2_test"] == 0.6
    assert [point.value for point in view.metric_history("r2_test")] == [0.5, 0.6]
    assert view.metric_history("none") == []
    assert view.tags == {"t": "v"}
    assert [dataset.name for dataset in view.datasets] == ["X"]
    assert view.environment == {"script": "train.py"}
    assert view.artifacts == ["plots/a.png", "top.txt"]
    assert view.artifact_path("plots/a.png").read_bytes() == b"12345"
    assert (view.error, view.broken, view.parent_run_id, view.experiment_id) == (None, None, None, "0")
    assert [child.name for child in view.children] == ["child"]
    assert view.children[0].parent_run_id == view.run_id


def test_a_view_is_read_only(view: query.RunView) -> None:
    view.params["alpha"] = "7"
    view.metrics.clear()
    assert view.params["alpha"] == "0.1"
    assert view.metrics
    with pytest.raises(AttributeError):
        view.name = "x"  # type: ignore[misc]


def test_repr_is_short_and_harmless(view: query.RunView) -> None:
    lines = repr(view).splitlines()
    assert len(lines) < 8
    assert max(len(line) for line in lines) < 130
    assert lines[0] == f"Run <b>Ridge</b>\\x1b  FINISHED  {view.run_id}"
    assert "r2_test=0.6" in repr(view)


def test_html_is_escaped(view: query.RunView) -> None:
    html = view._repr_html_()
    assert "<b>Ridge" not in html
    assert "<script>" not in html
    assert "<i>" not in html
    assert "\x1b" not in html
    assert "&lt;b&gt;Ridge" in html
    assert "r2_test" in html


def test_to_dict_is_json(view: query.RunView) -> None:
    import json

    data = json.loads(json.dumps(view.to_dict(), allow_nan=False))
    assert data["metrics"] == {"r2_test": 0.6, "n": "NaN"}
    assert data["artifacts"][0] == {"path": "plots/a.png", "size": 5, "digest": "sha256:1"}
    assert data["start_time"] == "2026-05-28T20:26:40.000+00:00"


def test_a_view_outlives_the_call_that_opened_its_store(view: query.RunView) -> None:
    import gc

    child = view.children[0]
    del view
    gc.collect()
    assert child.metric_history("m") == []


# load_model


@pytest.fixture
def with_model(filled: Filled) -> Filled:
    """A run ``abcd`` with a real model, trained under autologging."""
    from sklearn.linear_model import LinearRegression

    autotrack.autolog(store=filled.uri)
    LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    autotrack.autolog(disable=True)
    autotrack.flush()
    return filled


def test_load_model_by_every_name(with_model: Filled) -> None:
    run = query.get_run("latest", store=with_model.uri)
    for uri in (
        f"runs:/{run.run_id}/model",
        f"runs:/{run.run_id[:6]}/model",
        "runs:/latest/model",
        f"runs:/{run.name}/model",
    ):
        assert query.load_model(uri, store=with_model.uri).predict([[2.0]]) == pytest.approx([4.0])
    assert run.model().predict([[2.0]]) == pytest.approx([4.0])
    folder = run.artifact_path("model")
    assert query.load_model(folder).coef_ == pytest.approx([2.0])
    assert query.load_model(str(folder)).coef_ == pytest.approx([2.0])


def test_load_model_says_what_there_is(filled: Filled) -> None:
    run_id = filled.run("abcd")
    with pytest.raises(ModelError, match=r"has no model: it has no artifacts\. Was log_models off"):
        query.load_model("runs:/abcd/model", store=filled.uri)
    filled.file(run_id, "a.png")
    filled.apply(ArtifactLogged(run_id, Artifact("a.png", 1)))
    with pytest.raises(ModelError, match=r"its artifacts are a\.png"):
        query.load_model("runs:/abcd/model", store=filled.uri)
    filled.apply(ModelLogged(run_id, LoggedModel("best")))
    with pytest.raises(ModelError, match="has no model 'model'; it has 'best'"):
        query.load_model("runs:/abcd/model", store=filled.uri)
    with pytest.raises(ModelError, match="its files are gone"):
        query.load_model("runs:/abcd/best", store=filled.uri)
    with pytest.raises(RunNotFound, match="no run 'beef'"):
        query.load_model("runs:/beef/model", store=filled.uri)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("runs:/", "expected 'runs:/<run id>/model'"),
        ("runs:/abcd", "expected 'runs:/<run id>/model'"),
        ("runs:abcd/model", "expected 'runs:/<run id>/model'"),
        ("models:/champion/1", "no model 'champion' is registered in .*there are none"),
        ("models:/champion@best", "no model 'champion' is registered"),
        ("ftp://bucket/model", "cannot load from 'ftp'"),
        ("s3://user:secret@bucket/model", "carries no user, password"),
        ("no/such/folder", "there is no such folder"),
        ("", "expected 'runs:/<run id>/model'"),
        (None, "expected 'runs:/<run id>/model'"),
    ],
)
def test_a_wrong_model_uri(filled: Filled, uri: Any, expected: str) -> None:
    with pytest.raises(ModelError, match=expected):
        query.load_model(uri, store=filled.uri)


# the store that is meant


def test_the_store_in_force(filled: Filled, tmp_path: Path) -> None:
    filled.run("abcd")
    with autotrack.use_store(filled.uri):
        assert len(query.search_runs()) == 1
        assert query.get_run("latest").run_id.startswith("abcd")
        assert [experiment.name for experiment in query.experiments()] == ["Default"]
    assert len(query.search_runs()) == 0
    assert len(query.search_runs(store=filled.store)) == 1
    assert not (tmp_path / ".autotrack").exists()


def test_hooks_are_called_before_a_store_is_read(filled: Filled) -> None:
    def write() -> None:
        filled.run("abcd")

    before_read.append(write)
    try:
        assert query.get_run("latest", store=filled.uri).run_id.startswith("abcd")
    finally:
        before_read.remove(write)


def test_importing_the_reading_half_loads_no_third_party_package() -> None:
    code = (
        "import sys; before = set(sys.modules); import autotrack.query as q; q.get_run, q.search_runs\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["autotrack"]


# text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0432, "43 ms"),
        (2.1, "2.1 s"),
        (59.96, "1 min"),
        (200, "3 min 20 s"),
        (3900, "1 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(value: float, expected: str) -> None:
    assert text.seconds(value) == expected


@pytest.mark.parametrize(
    ("passed", "expected"),
    [(3, "just now"), (42, "42 s ago"), (200, "3 min ago"), (7300, "2 h ago"), (200_000, "2 d ago")],
)
def test_how_long_ago(passed: float, expected: str) -> None:
    assert text.ago(START, START / 1000 + passed) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.45219, "0.4522"),
        (3036.81, "3036.8"),
        (12_345_678.0, "12345678"),
        (2.5e-9, "2.5e-09"),
        (1e300, "1e+300"),
        (0.0, "0"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
    ],
)
def test_numbers(value: float, expected: str) -> None:
    assert text.number(value) == expected


def test_a_column_of_numbers_is_aligned() -> None:
    assert text.aligned([0.4, None, 0.4512, 1.0, math.nan]) == ["0.4000", "", "0.4512", "1.0000", "NaN"]
    assert text.aligned([3000.125, 12.0]) == ["3000.1", "12.0"]
    assert text.aligned([10.0, 2.0]) == ["10", "2"]
    assert text.aligned([]) == []


def test_no_moment_is_too_far() -> None:
    for moment in (10**18, -(10**18), None):
        assert text.utc(moment) is None
        assert text.stamp(moment) == ""
        assert text.ago(moment) == ""
    assert text.iso(0) == "1970-01-01T00:00:00.000+00:00"
