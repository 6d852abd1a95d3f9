"""Odd values, all the way: from where they are logged to every place where they are read."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.linear_model import Ridge

import autotrack
from autotrack.cli.app import app
from autotrack.stores import open_store
from autotrack.stores.memory import MemoryStore

NAN, INF = math.nan, math.inf


@pytest.fixture(params=["folder", "memory"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    place = str(tmp_path / "store") if request.param == "folder" else f"memory:{tmp_path}"
    autotrack.set_store(place)
    yield place
    if request.param == "memory":
        MemoryStore.forget(place)


@pytest.fixture
def four(uri: str) -> str:
    """Runs ``nan``, ``plus``, ``minus``, ``one`` and ``none``, each with a metric ``x`` of that value or without."""
    for name, value in {"nan": NAN, "plus": INF, "minus": -INF, "one": 1.0, "none": None}.items():
        with autotrack.start_run(name) as run:
            if value is not None:
                run.log_metrics({"x": value, "sound": 0.5})
    return uri


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--store", str(tmp_path / "store")], env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
        result.stdout.encode("utf-8")
        return result.stdout

    return run


def same(found: float, expected: float) -> bool:
    return found == expected or (found != found and expected != expected)


# Numbers that are none, and beyond


@pytest.mark.parametrize(("name", "value"), [("nan", NAN), ("plus", INF), ("minus", -INF)])
def test_a_metric_that_is_not_finite_comes_back_as_it_was(name: str, value: float, four: str) -> None:
    run = autotrack.get_run(name)
    (point,) = run.metric_history("x")

    assert same(run.metrics["x"], value)
    assert same(point.value, value)
    assert run.metrics["sound"] == 0.5
    frame = autotrack.search_runs(f"name = '{name}'")
    assert frame["metrics.x"].dtype == np.float64
    assert same(frame["metrics.x"].iloc[0], value)


def test_every_history_keeps_them_in_their_place(uri: str) -> None:
    values = [1.0, NAN, INF, -INF, 2.0, NAN]
    with autotrack.start_run() as run:
        for step, value in enumerate(values):
            run.log_metric("loss", value, step)
    found = autotrack.get_run("latest").metric_history("loss")
    assert [point.step for point in found] == [0, 1, 2, 3, 4, 5]
    assert all(same(point.value, value) for point, value in zip(found, values))
    assert math.isnan(autotrack.get_run("latest").metrics["loss"])


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ("metrics.x > 0", {"plus", "one"}),
        ("metrics.x >= inf", {"plus"}),
        ("metrics.x = inf", {"plus"}),
        ("metrics.x = infinity", {"plus"}),
        ("metrics.x = -inf", {"minus"}),
        ("metrics.x < 0", {"minus"}),
        ("metrics.x < inf", {"minus", "one"}),
        ("metrics.x != 1", {"plus", "minus"}),
        ("metrics.x in (inf, -inf)", {"plus", "minus"}),
        ("metrics.x not in (1, -inf)", {"plus"}),
        ("not metrics.x > 0", {"nan", "minus", "none"}),
        ("not metrics.x <= inf", {"nan", "none"}),
        ("metrics.x is null", {"none"}),
        ("metrics.x is not null and not metrics.x <= inf", {"nan"}),
    ],
)
def test_filters_take_infinity_as_a_number_and_nan_as_no_answer(filter: str, names: set[str], four: str) -> None:
    assert set(autotrack.search_runs(filter)["run_name"]) == names


def test_sorting_puts_infinity_at_the_ends_and_nan_last_both_ways(four: str) -> None:
    up = list(autotrack.search_runs(order_by=["metrics.x", "name"])["run_name"])
    down = list(autotrack.search_runs(order_by=["metrics.x DESC", "name"])["run_name"])
    assert (up[:3], set(up[3:])) == (["minus", "one", "plus"], {"nan", "none"})
    assert (down[:3], set(down[3:])) == (["plus", "one", "minus"], {"nan", "none"})


def test_as_json_they_are_the_words_that_json_lacks_numbers_for(four: str) -> None:
    words = {name: autotrack.get_run(name).to_dict()["metrics"]["x"] for name in ("nan", "plus", "minus", "one")}
    assert words == {"nan": "NaN", "plus": "Infinity", "minus": "-Infinity", "one": 1.0}
    json.dumps(autotrack.get_run("nan").to_dict(), allow_nan=False)


def test_in_a_notebook_and_as_text_they_are_words_too(four: str) -> None:
    for name, word in {"nan": "NaN", "plus": "Infinity", "minus": "-Infinity"}.items():
        run = autotrack.get_run(name)
        assert f"x={word}" in repr(run)
        assert f">{word}<" in run._repr_html_()


@pytest.mark.parametrize("uri", ["folder"], indirect=True)
def test_the_command_line_shows_them_in_every_form(four: str, ask: Callable[..., str]) -> None:
    for name, word in {"nan": "NaN", "plus": "Infinity", "minus": "-Infinity"}.items():
        assert any(line.split() == ["x", word] for line in ask("show", name).splitlines())
        assert json.loads(ask("show", name, "--format", "json"))["metrics"]["x"] == word
    listed = {row["run_name"]: row["metrics.x"] for row in csv.DictReader(io.StringIO(ask("runs", "--format", "csv")))}
    assert listed == {"nan": "NaN", "plus": "Infinity", "minus": "-Infinity", "one": "1.0", "none": ""}
    document = {run["run_name"]: run["metrics"] for run in json.loads(ask("runs", "--format", "json"))}
    assert (document["plus"]["x"], document["nan"]["x"]) == ("Infinity", "NaN")
    table = ask("runs")
    assert all(word in table for word in ("NaN", "Infinity", "-Infinity"))
    compared = json.loads(ask("compare", "nan", "plus", "one", "--format", "json"))["metrics"]["x"]
    assert sorted(map(str, compared.values())) == ["1.0", "Infinity", "NaN"]
    assert {"NaN", "Infinity"} <= set(ask("compare", "nan", "plus", "one").split())
    rows = list(csv.reader(io.StringIO(ask("compare", "minus", "one", "--format", "csv"))))
    assert ["metrics", "x", "-Infinity", "1.0"] in rows
    assert "minus" in ask("runs", "--filter", "metrics.x = -inf")


@pytest.mark.parametrize("uri", ["folder"], indirect=True)
def test_the_journal_is_json_that_every_reader_takes(four: str) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    lines = [line for path in Path(four).glob("journals/*") for line in path.read_text().splitlines()]
    assert lines
    for line in lines:
        json.loads(line, parse_constant=refuse)


def test_a_bad_number_costs_only_itself_where_it_was_logged_automatically(logged: Path) -> None:
    """A score that is NaN is a finding and not an error."""

    class Odd(Ridge):
        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
            return NAN

    X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 3.0]
    Odd().fit(X, y).score(X, y)
    autotrack.flush()
    metrics = autotrack.get_run("latest").metrics
    assert math.isnan(metrics["Odd_score_X"])
    assert math.isfinite(metrics["training_r2_score"])


def test_what_is_no_number_is_left_out_alone_where_nobody_asked_for_it(uri: str) -> None:
    values = {"text": "x", "rows": np.arange(3), "nothing": None, "list": [1.0], "good": np.float32(0.5), "nan": NAN}
    with autotrack.start_run() as run:
        run._recorder.metrics(values)
    metrics = autotrack.get_run("latest").metrics
    assert metrics.keys() == {"good", "nan"}
    assert metrics["good"] == 0.5


# What a metric may be


class OfAnArrayLibrary:
    """A 0-d tensor that only has ``item()``."""

    ndim = 0
    shape = ()

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        return self.value


class WithFloat:
    def __float__(self) -> float:
        return 2.5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (True, 1.0),
        (Decimal("1.5"), 1.5),
        (Decimal("NaN"), NAN),
        (Decimal("-Infinity"), -INF),
        (Fraction(1, 4), 0.25),
        (np.array(1.5), 1.5),
        (np.array(7), 7.0),
        (np.float16(0.5), 0.5),
        (np.float32(2.5), 2.5),
        (np.longdouble(1), 1.0),
        (np.int8(-3), -3.0),
        (np.uint64(2**53), 2.0**53),
        (np.bool_(True), 1.0),
        (np.float64("nan"), NAN),
        (np.array(1.5, dtype=object), 1.5),
        (OfAnArrayLibrary(4), 4.0),
        (OfAnArrayLibrary(np.float32(0.5)), 0.5),
        (WithFloat(), 2.5),
        (5e-324, 5e-324),
        (10**300, 1e300),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_is_one_real_number_becomes_a_float(value: Any, expected: float, uri: str) -> None:
    with autotrack.start_run() as run:
        run.log_metric("m", value)
        run.log_metrics({"n": value, "o": 1}, step=np.int64(2))
    metrics = autotrack.get_run("latest").metrics
    assert type(metrics["m"]) is float
    assert same(metrics["m"], expected)
    assert same(metrics["n"], expected)


@pytest.mark.parametrize(
    "value",
    [
        "1.5",
        b"1",
        np.str_("1.5"),
        np.array("1.5"),
        None,
        [1.0],
        np.array([1.0]),
        np.arange(3),
        pd.Series([1.0]),
        1 + 2j,
        np.complex128(1 + 2j),
        np.datetime64("2026-01-01"),
        np.timedelta64(5, "s"),
        pd.NaT,
        pd.NA,
        10**400,
        Decimal("sNaN"),
        OfAnArrayLibrary("text"),
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_with_its_name_and_nothing_is_written(value: Any, uri: str) -> None:
    said = r"metric 'm': .* is not a real number; .*set_tag or log_text"
    with autotrack.start_run() as run, pytest.raises(TypeError, match=said):
        run.log_metrics({"good": 1.0, "m": value})
    assert autotrack.get_run("latest").metrics == {}


@pytest.mark.parametrize("step", ["x", None, 1.5, NAN, INF, "1"])
def test_a_step_is_a_whole_number(step: Any, uri: str) -> None:
    with autotrack.start_run() as run:
        with pytest.raises(TypeError, match=r"step=.*: expected a whole number"):
            run.log_metric("m", 1.0, step=step)
        run.log_metric("m", 1.0, step=np.float64(3.0))
    assert [point.step for point in autotrack.get_run("latest").metric_history("m")] == [3]


# Texts

ODD = {
    "surrogate": "\ud800 alone",
    "nul": "a\0b",
    "long": "é" * 1_000_000,
    "lines": "a\nb\r\n\x1b[31mred",
    "empty": "",
    "\udfff key": "v",
    "key\0nul": "v",
    "": "no name",
    "k" * 10_000: "v",
    "a.b \"c\" 'd' `e`": "v",
}


@pytest.fixture
def odd(uri: str) -> str:
    with autotrack.start_run("odd \ud800 \0 name") as run:
        run.log_params(ODD)
        run.set_tags(ODD)
        run.log_metrics(dict.fromkeys(ODD, 1.0))
    return uri


def test_params_tags_and_names_are_kept_whole(odd: str) -> None:
    (run,) = open_store(odd).search_runs()
    assert (run.params, run.tags) == (ODD, ODD)
    assert run.metrics == dict.fromkeys(ODD, 1.0)
    assert run.name == "odd \ud800 \0 name"


def test_they_are_found_and_shown_everywhere(odd: str) -> None:
    frame = autotrack.search_runs()
    assert {name: frame[f"params.{name}"].iloc[0] for name in ODD} == ODD
    assert len(autotrack.search_runs("params.nul = 'a\0b' and tags.surrogate LIKE '\ud800%'")) == 1
    assert len(autotrack.search_runs(order_by=["params.surrogate", "tags.nul DESC"])) == 1
    run = autotrack.get_run("latest")
    for shown in (repr(run), run._repr_html_(), json.dumps(run.to_dict())):
        shown.encode("utf-8")
    assert len(repr(run)) < 2_000
    assert len(run._repr_html_()) < 20_000
    assert run.to_dict()["params"] == ODD


@pytest.mark.parametrize("uri", ["folder"], indirect=True)
def test_the_command_line_prints_them_so_that_a_terminal_obeys_none(odd: str, ask: Callable[..., str]) -> None:
    for shown in (ask("show"), ask("runs"), ask("compare", "latest", "latest", "--all")):
        assert not set(shown) & set("\0\x1b\ud800\udfff")
    assert len(ask("show")) < 50_000
    assert json.loads(ask("show", "--format", "json"))["params"] == ODD
    assert json.loads(ask("runs", "--format", "json"))[0]["tags"] == ODD
    assert ask("runs", "--format", "csv").count("no name") == 2


def test_params_of_an_estimator_may_be_anything(logged: Path) -> None:
    class Odd(Ridge):
        def __init__(self, note: Any = None, alpha: float = 1.0) -> None:
            super().__init__(alpha=alpha)
            self.note = note

    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    for note in ("\ud800\0", "x" * 1_000_000, NAN, Unprintable()):
        Odd(note=note).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 3.0])
        run = autotrack.get_run("latest")
        assert run.status == "FINISHED"
        assert run.params["alpha"] == "1.0"
        assert run.params["note"] == note if isinstance(note, str) else "note" in run.params
