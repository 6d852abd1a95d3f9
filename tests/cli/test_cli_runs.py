"""``autotrack runs``."""

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

from autotrack import search_runs
from autotrack.cli.columns import folded


@pytest.fixture
def runs(call: Callable[..., Result], tmp_path: Path) -> Callable[..., Result]:
    def list_them(*arguments: str, width: int = 120) -> Result:
        result = call("runs", "--store", str(tmp_path / "store"), *arguments, width=width)
        assert result.exit_code == 0, result.output
        return result

    return list_them


def table(result: Result) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines()]


def test_newest_first_with_what_tells_the_runs_apart(five: Any, runs: Callable[..., Result]) -> None:
    lines = table(runs())
    assert lines[1][:7] == ["id", "name", "started", "took", "status", "alpha", "l1_ratio"]
    assert lines[1][7:] == ["test_x", "error_test_x", "training_score"]
    assert [line[0] for line in lines[2:]] == ["44aa0000", "33aa0000", "22aa0000", "11aa0000", "00aa0000"]
    assert lines[2][-5:] == ["0.05", "1.0", "0.4100", "3040.1", "0.5400"]
    assert "max_iter" not in runs().stdout


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(five: Any, runs: Callable[..., Result], width: int) -> None:
    assert max(len(line) for line in runs(width=width).stdout.splitlines()) <= width


def test_a_narrow_terminal_says_that_columns_were_left_out(five: Any, runs: Callable[..., Result]) -> None:
    assert "more column" in runs(width=70).stdout
    assert "more column" not in runs(width=160).stdout


def test_limit(five: Any, runs: Callable[..., Result]) -> None:
    result = runs("--limit", "2")
    assert len([line for line in table(result) if "FINISHED" in line]) == 2
    assert "only the newest 2 runs: --limit 0 lists all" in result.stdout
    assert "--limit" not in runs("--limit", "5").stdout
    assert len(json.loads(runs("--limit", "0", "--format", "json").stdout)) == 5


def test_filter_and_order(five: Any, runs: Callable[..., Result]) -> None:
    found = json.loads(
        runs("--filter", "params.alpha = '0.01'", "--order-by", "metrics.r2_score_test_x", "--format", "json").stdout
    )
    assert [run["run_id"][:2] for run in found] == ["33", "22", "11"]


def test_columns(five: Any, runs: Callable[..., Result]) -> None:
    result = runs("--columns", "name,alpha,metrics.training_score,status", "--limit", "1")
    assert table(result)[:2] == [
        ["run_name", "alpha", "training_score", "status"],
        ["ElasticNet", "0.05", "0.5400", "FINISHED"],
    ]


def test_unknown_column_names_near_ones(five: Any, call: Callable[..., Result], tmp_path: Path) -> None:
    result = call("runs", "--store", str(tmp_path / "store"), "--columns", "alhpa")
    assert result.exit_code == 2
    assert "no column 'alhpa' in these runs; did you mean alpha" in result.stderr


def test_a_whole_column_name_that_no_run_has_is_an_empty_column(five: Any, runs: Callable[..., Result]) -> None:
    assert runs("--columns", "metrics.none", "--format", "csv", "--limit", "1").stdout == "metrics.none\n\n".replace(
        "\n\n", '\n""\n'
    )


def test_json_is_everything_in_plain_types(recorder: Any, runs: Callable[..., Result]) -> None:
    run_id = recorder.run("abcd", metrics={"a": math.nan, "b": -math.inf, "c": 1.5}, params={"p": "x"})
    (run,) = json.loads(runs("--format", "json").stdout)
    assert run["run_id"] == run_id
    assert run["metrics"] == {"a": "NaN", "b": "-Infinity", "c": 1.5}
    assert run["params"] == {"p": "x"}
    assert run["start_time"].endswith("+00:00")
    assert run["duration"] == 2.1


def test_csv_has_search_runs_columns_and_values(five: Any, runs: Callable[..., Result], tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(runs("--format", "csv").stdout)))
    frame = search_runs(store=tmp_path / "store")
    assert set(rows[0]) == set(frame.columns) - {"artifact_uri"}
    assert [float(row["metrics.r2_score_test_x"]) for row in rows] == list(frame["metrics.r2_score_test_x"])


def test_an_empty_store_says_what_to_do_and_stays_away(call: Callable[..., Result], tmp_path: Path) -> None:
    result = call("runs", "--store", str(tmp_path / "none"))
    assert result.exit_code == 0
    assert "No runs yet" in result.stdout
    assert "autotrack run train.py" in result.stdout
    assert not (tmp_path / "none").exists()
    assert call("runs", "--format", "json", "--store", str(tmp_path / "none")).stdout == "[]\n"


def test_a_filter_that_names_none_is_not_an_empty_store(five: Any, runs: Callable[..., Result]) -> None:
    assert "matches" in runs("--filter", "params.alpha = '7'").stdout


def test_names_never_reach_the_terminal_raw(recorder: Any, runs: Callable[..., Result]) -> None:
    recorder.run("abcd", "[bold]\x1b[31mred\nline\u202e\x9b", params={"a\x1b": "\x07"})
    recorder.run("abce", "other", params={"a\x1b": "\x08"})
    for arguments in ((), ("--columns", "name,params.a\x1b"), ("--format", "json")):
        output = runs(*arguments, width=200).stdout
        assert not {"\x1b", "\x07", "\x08", "\u202e", "\x9b"} & set(output)
        assert "[bold]" in output


def test_broken_runs_are_listed_and_explained(recorder: Any, runs: Callable[..., Result]) -> None:
    from autotrack.events import ParamsLogged

    recorder.run("abcd")
    recorder.apply(ParamsLogged("e" * 32, {"a": "1"}))
    output = runs().stdout
    assert "BROKEN" in output
    assert "! eeeeeeee is broken: " in output
    assert "FINISHED" in output


def test_a_file_that_is_no_journal_is_said_once(five: Any, call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "store" / "journals" / "20260101T000000-aaaaaaaaaaaa.jsonl").write_text("garbage\n")
    result = call("runs", "--store", str(tmp_path / "store"), width=300)
    assert result.output.count("not an autotrack journal") == 1
    assert result.output.count("FINISHED") == 5


def test_children_are_marked(recorder: Any, runs: Callable[..., Result]) -> None:
    parent = recorder.run("abcd", "search")
    recorder.run("abce", "candidate", parent_run_id=parent)
    assert "↳ candidate" in runs().stdout


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alpha", "alpha"),
        ("mean_squared_error_test_x", "mean_squared_\nerror_test_x"),
        ("r2_score_test_x", "r2_score_\ntest_x"),
        ("averylongnamewithoutanybreak", "averylongnamewithoutanybreak"),
        ("", ""),
    ],
)
def test_long_headers_are_folded_in_balance(name: str, expected: str) -> None:
    assert folded(name, 14) == expected
