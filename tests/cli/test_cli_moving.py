"""``autotrack copy``, ``autotrack import`` and ``autotrack export``."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from autotrack.entities import Metric
from autotrack.events import MetricsLogged, ParamsLogged, TagsSet
from autotrack.moving.export import export_runs
from autotrack.stores import open_store

Call = Callable[..., Result]


def test_copy_says_what_is_new_and_then_that_nothing_is(five: Any, call: Call, tmp_path: Path) -> None:
    source, target = str(tmp_path / "store"), str(tmp_path / "copy")
    first = call("copy", source, target)
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout == f"{source} → {target}: 5 new\n"
    again = call("copy", source, target)
    assert (again.exit_code, again.stdout) == (0, f"{source} → {target}: 0 new, 5 up to date\n")
    five.run("99aa", files={"a.txt": b"1234"}, model=None)
    five.apply(ParamsLogged("00aa".ljust(32, "0"), {"late": "1"}))
    assert call("copy", source, target).stdout.endswith("1 new, 1 updated, 4 up to date; 1 file (4 B)\n")


def test_import_and_export_go_to_and_from_the_store_in_force(five: Any, call: Call, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    chosen = ("--filter", "params.alpha = '0.01'")
    assert call("export", "--store", str(tmp_path / "store"), "--to", other, *chosen).exit_code == 0
    result = call("import", other)
    assert result.stdout == f"{other} → {tmp_path / '.autotrack'}: 3 new\n"
    assert len(open_store(tmp_path / ".autotrack").search_runs()) == 3
    assert call("export", "--to", other).stdout.endswith("0 new, 3 up to date\n")


def test_what_could_not_be_copied_is_named_and_the_exit_code_tells(recorder: Any, call: Call, tmp_path: Path) -> None:
    run_id = recorder.run("abcd", files={"a.txt": b"1"})
    recorder.run("abce", files={"b.txt": b"1"})
    (tmp_path / "store" / "artifacts" / run_id / "a.txt").unlink()
    (tmp_path / "store" / "journals" / "20260101T000000-aaaaaaaaaaaa.jsonl").write_text("garbage\n")
    result = call("copy", str(tmp_path / "store"), str(tmp_path / "copy"))
    assert result.exit_code == 1
    assert "2 new, 1 failure; 1 file (1 B)" in result.stdout
    assert f"! run {run_id}: the artifact 'a.txt' is recorded and no longer in" in result.stderr
    assert "! run 20260101T000000-aaaaaaaaaaaa: nothing of it can be carried over" in result.stderr


def test_mistakes_are_said_in_a_sentence(five: Any, call: Call, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    same = call("copy", store, store)
    assert (same.exit_code, "both the store to copy from" in same.stderr) == (1, True)
    assert call("copy", store, str(tmp_path / "x"), "--filter", "metrics.m <").exit_code == 1
    nothing = call("copy", str(tmp_path / "typo"), str(tmp_path / "x"))
    assert f"there is nothing to copy in {tmp_path / 'typo'}" in nothing.stderr
    assert not (tmp_path / "typo").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    refused = call("export", "--store", store, "--format", "parquet", "--to", str(tmp_path / "full"))
    assert (refused.exit_code, "is no export" in refused.stderr) == (1, True)
    assert os.listdir(tmp_path / "full") == ["mine.txt"]


def test_a_copy_that_ctrl_c_ends_says_how_to_go_on(recorder: Any, tmp_path: Path) -> None:
    for number in range(150):
        recorder.run(f"{number:04x}", files={"a.txt": b"1"})
    program = "from autotrack.cli.app import app; print('up', flush=True); app()"
    command = [sys.executable, "-c", program, "copy", str(tmp_path / "store"), str(tmp_path / "copy")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    while not (tmp_path / "copy" / "journals").is_dir():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Interrupted: the same command goes on from here." in err
    assert " new" in out
    subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(open_store(tmp_path / "copy").search_runs()) == 150


# Files


@pytest.fixture
def odd(recorder: Any, tmp_path: Path) -> Path:
    """Runs with what tables find hard."""
    one = recorder.run("1", params={"p": "x", "odd \ud800": "\ud800\0\n"}, metrics={"m": math.nan, "é": 1.5})
    recorder.run("2", params={"p": ""}, metrics={"m": math.inf}, status=None, started=0)
    recorder.run("3", tags={}, metrics={"n": 2.0}, status="FAILED", error="boom")
    recorder.dataset("1".ljust(32, "0"))
    recorder.apply(MetricsLogged(one, tuple(Metric("loss", step / 2, step, 2**62 + step) for step in range(3))))
    recorder.apply(TagsSet(one, {"t": "🎉"}))
    return tmp_path / "store"


def test_parquet_is_read_by_pandas_and_polars_with_nan_apart_from_missing(
    odd: Path, call: Call, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    import pandas as pd
    import polars as pl
    import pyarrow.parquet as pq

    result = call("export", "--store", str(odd), "--format", "parquet", "--to", "tables")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"3 runs and 7 metric points in {tmp_path / 'tables'}\n"
    assert "lone surrogates" in result.stderr
    names = ["datasets", "metrics", "models", "notes", "params", "runs", "tags"]
    assert sorted(os.listdir("tables")) == ["datasets.parquet", "export.json", *(f"{n}.parquet" for n in names[1:])]
    table = pq.read_table("tables/runs.parquet").sort_by("run_id")
    m = table["metrics.m"].to_pylist()
    assert math.isnan(m[0])
    assert m[1:] == [math.inf, None]
    assert table["params.p"].to_pylist() == ["x", "", None]
    assert table["params.odd \\ud800"].to_pylist() == ["\\ud800\0\n", None, None]
    assert table["status"].to_pylist() == ["FINISHED", "RUNNING", "FAILED"]
    frame = pd.read_parquet("tables/runs.parquet").sort_values("run_id")
    assert list(frame["metrics.é"].fillna(-1)) == [1.5, -1, -1]
    assert frame["start_time"].iloc[0] == pd.Timestamp(1_780_000_000_000, unit="ms", tz="UTC")
    lazy = pl.read_parquet("tables/metrics.parquet").filter(pl.col("key") == "loss").sort("step")
    assert lazy["value"].to_list() == [0.0, 0.5, 1.0]
    assert lazy["timestamp"].to_list() == [2**62, 2**62 + 1, 2**62 + 2]
    runs = pl.read_parquet("tables/runs.parquet").sort("run_id")
    assert runs["metrics.m"].is_nan().to_list() == [True, False, None]
    assert runs["start_time"].dtype == pl.Datetime("ms", "UTC")
    for name in names:
        assert len(pd.read_parquet(f"tables/{name}.parquet")) == len(pl.read_parquet(f"tables/{name}.parquet"))
    (dataset,) = pl.read_parquet("tables/datasets.parquet").to_dicts()
    assert (dataset["rows"], dataset["columns"], json.loads(dataset["shape"])) == (331, 2, [331, 2])
    manifest = json.loads(Path("tables/export.json").read_text())
    assert (manifest["rows"]["runs"], manifest["rows"]["metrics"]) == (3, 7)


def test_csv_and_json_lines_hold_the_same(odd: Path, tmp_path: Path) -> None:
    export_runs(odd, tmp_path / "c", "csv")
    with (tmp_path / "c" / "runs.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["run_id"][0]: row for row in csv.DictReader(file)}
    assert [rows[n]["metrics.m"] for n in "123"] == ["NaN", "inf", ""]
    assert rows["1"]["params.odd \\ud800"] == "\\ud800\0\n"
    export_runs(odd, tmp_path / "j", "json")
    lines = [json.loads(line) for line in (tmp_path / "j" / "runs.jsonl").read_text().splitlines()]
    told = {line["run_id"][0]: line for line in lines}
    assert told["1"]["params.odd \ud800"] == "\ud800\0\n"
    assert [told[n].get("metrics.m") for n in "123"] == ["NaN", "Infinity", None]
    assert len((tmp_path / "j" / "metrics.jsonl").read_text().splitlines()) == 7


def test_of_too_many_keys_those_of_most_runs_have_columns_and_the_rest_stands_in_the_long_table(
    recorder: Any, tmp_path: Path
) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    for number in range(4):
        params = {f"own {number} {index}": "1" for index in range(5)} | {"all": "1", "half" if number % 2 else "b": "2"}
        recorder.run(f"{number}", params=params)
    exported = export_runs(tmp_path / "store", tmp_path / "out", max_columns=4)
    table = pq.read_table(tmp_path / "out" / "runs.parquet")
    columns = [name for name in table.column_names if name.startswith("params.")]
    assert columns == ["params.all", "params.b", "params.half", "params.own 0 0"]
    assert pq.read_table(tmp_path / "out" / "params.parquet").num_rows == 28
    assert exported.remarks == [
        "19 params of fewest runs have no column in the table of runs; the table params has them all"
    ]


def test_an_export_replaces_an_earlier_one_whole_or_not_at_all(
    five: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    from autotrack.moving import export

    out = tmp_path / "out"
    export_runs(tmp_path / "store", out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "_add", broken)
    with pytest.raises(KeyboardInterrupt):
        export_runs(tmp_path / "store", out)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    export_runs(tmp_path / "store", out, "csv", "params.alpha = '0.05'")
    assert "runs.parquet" not in os.listdir(out)
    assert len((out / "runs.csv").read_text().splitlines()) == 3
    assert [path.name for path in tmp_path.iterdir() if ".tmp-" in path.name] == []


def test_row_groups_stay_small_however_many_points_there_are(
    recorder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    from autotrack.moving import tables

    monkeypatch.setattr(tables, "_CELLS", 500)
    run_id = recorder.run("1")
    recorder.apply(MetricsLogged(run_id, tuple(Metric("m", step, step) for step in range(1050))))
    export_runs(tmp_path / "store", tmp_path / "out")
    file = pq.ParquetFile(tmp_path / "out" / "metrics.parquet")
    assert file.metadata.num_row_groups == 11
    assert file.read().column("value").to_pylist() == list(range(1050))
