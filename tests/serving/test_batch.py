"""Predicting files: every format in and out, what is wrong with a row, and what is left behind."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from serving_tools import scorer
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from autotrack.errors import ModelError
from autotrack.serving import batch_reading, batch_writing
from autotrack.serving.batch import predict_file
from autotrack.serving.choosing import Choice
from autotrack.serving.problems import BadInput
from autotrack.serving.scoring import Scorer

INPUTS = ("csv", "jsonl", "json", "parquet", "arrow", "stream")
OUTPUTS = ("csv", "jsonl", "parquet", "arrow")


def write(frame: pd.DataFrame, folder: Path, form: str) -> str:
    import pyarrow as pa

    place = folder / f"rows.{'arrow' if form == 'stream' else form}"
    if form == "csv":
        frame.to_csv(place, index=False)
    elif form in ("json", "jsonl"):
        frame.to_json(place, orient="records", lines=form == "jsonl", double_precision=15)
    elif form == "parquet":
        frame.to_parquet(place, row_group_size=40)
    else:
        table = pa.Table.from_pandas(frame)
        with (pa.ipc.new_file if form == "arrow" else pa.ipc.new_stream)(str(place), table.schema) as writer:
            writer.write_table(table, max_chunksize=33)
    return str(place)


def read(place: str | Path) -> pd.DataFrame:
    place = str(place)
    if place.endswith("csv"):
        return pd.read_csv(place)
    if place.endswith("jsonl"):
        return pd.DataFrame([json.loads(line) for line in Path(place).read_text().splitlines()])
    return pd.read_parquet(place) if place.endswith("parquet") else pd.read_feather(place)


@pytest.fixture(scope="module")
def people() -> tuple[Scorer, pd.DataFrame]:
    """A model of numbers, whole numbers and texts with quotes and line ends, and 150 rows for it."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, 150),
            "income": rng.normal(3000, 800, 150).round(3),
            "town": rng.choice(["Ulm", "Köln, Rhein", 'the "old" town', "two\nlines"], 150),
        }
    )
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["town"]), remainder=StandardScaler()), LogisticRegression()
    )
    model.fit(frame, np.where(frame["age"] > 50, "old", "young"))
    return scorer(model, frame), frame


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("form", INPUTS)
def test_each_format_gives_what_the_model_predicts_in_order(
    people: tuple[Scorer, pd.DataFrame], tmp_path: Path, form: str, output: str
) -> None:
    one, frame = people
    target = tmp_path / f"out.{output}"
    done = predict_file(one, write(frame, tmp_path, form), str(target), chunk_rows=17)
    assert (done.rows, done.method) == (150, "predict")
    assert done.chunks == 1 if form == "json" else done.chunks >= 9
    found = read(target)
    assert found.columns.tolist() == ["prediction"]
    assert found["prediction"].tolist() == one.model.predict(frame).tolist()


@pytest.mark.parametrize("output", OUTPUTS)
def test_probabilities_have_a_column_for_each_class_and_all_their_digits(
    people: tuple[Scorer, pd.DataFrame], tmp_path: Path, output: str
) -> None:
    one, frame = people
    target = tmp_path / f"out.{output}"
    predict_file(one, write(frame, tmp_path, "csv"), str(target), method="predict_proba", chunk_rows=50)
    found = read(target)
    assert found.columns.tolist() == ["probability_old", "probability_young"]
    assert np.allclose(found.to_numpy(), one.model.predict_proba(frame), rtol=1e-12, atol=0)


@pytest.mark.parametrize("form", INPUTS)
@pytest.mark.parametrize("output", OUTPUTS)
def test_kept_columns_stand_beside_and_unknown_ones_do_not_go_to_the_model(
    people: tuple[Scorer, pd.DataFrame], tmp_path: Path, form: str, output: str
) -> None:
    one, frame = people
    more = frame.assign(id=[f"{number:04}" for number in range(150)], note=["x"] * 150)
    source, target = write(more, tmp_path, form), str(tmp_path / f"out.{output}")
    with pytest.raises(BadInput, match="2 columns that the model does not know: 'id', 'note'"):
        predict_file(one, source, target)
    assert not os.path.exists(target)
    predict_file(one, source, target, choice=Choice(("town", "id"), ignore_unknown=True), chunk_rows=40)
    if output == "csv":
        found = pd.read_csv(target, dtype={"id": str})
    else:
        found = read(target)
    assert found.columns.tolist() == ["town", "id", "prediction"]
    assert found["id"].tolist() == more["id"].tolist()
    assert found["town"].tolist() == more["town"].tolist()
    assert found["prediction"].tolist() == one.model.predict(frame).tolist()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "arrow"])
def test_a_bad_row_in_a_later_chunk_is_named_as_it_stands_in_the_file_and_nothing_is_written(
    people: tuple[Scorer, pd.DataFrame], tmp_path: Path, form: str
) -> None:
    one, frame = people
    frame = frame.astype({"income": float}).assign(town="Ulm")
    frame.loc[47, "income"] = np.nan
    target = tmp_path / f"out.{form}"
    target.write_text("what was there before")
    with pytest.raises(BadInput) as caught:
        predict_file(one, write(frame, tmp_path, form), str(target), chunk_rows=20)
    problem = caught.value
    assert (problem.code, problem.columns, problem.row) == ("missing_value", ("income",), 47)
    line = {"csv": "; line 49", "jsonl": "; line 48"}.get(form, "")
    assert f"row 47 (counted from 0{line})" in problem.message
    assert target.read_text() == "what was there before"
    assert sorted(os.listdir(tmp_path)) == [target.name, f"rows.{form}"]


def test_lines_are_those_of_the_file_whatever_the_texts_hold(
    people: tuple[Scorer, pd.DataFrame], tmp_path: Path
) -> None:
    one, _ = people
    rows = '30,1.5,"two\nlines"\n\n' * 25 + "30,much,Ulm\n"
    (tmp_path / "rows.csv").write_text(f"age,income,town\n{rows}")
    with pytest.raises(BadInput) as caught:
        predict_file(one, str(tmp_path / "rows.csv"), str(tmp_path / "out.csv"), chunk_rows=7)
    assert caught.value.message.startswith("column 'income', row 25 (counted from 0; line 77): 'much' is not a number")
    (tmp_path / "rows.csv").write_text("age,income,town\n" + "30,1,Ulm\n" * 30 + "30,1\n")
    with pytest.raises(BadInput, match=r"row 30 \(counted from 0; line 32\) holds 2 values, the header names 3"):
        predict_file(one, str(tmp_path / "rows.csv"), str(tmp_path / "out.csv"), chunk_rows=7)
    (tmp_path / "rows.jsonl").write_text('{"age": 3, "income": 1, "town": "Ulm"}\n' * 9 + '\n{"age": 3\n')
    with pytest.raises(BadInput, match=r"row 9 \(counted from 0; line 11\): the input is not JSON"):
        predict_file(one, str(tmp_path / "rows.jsonl"), str(tmp_path / "out.csv"), chunk_rows=7)


def test_inputs_that_are_none_are_refused_in_a_sentence(
    people: tuple[Scorer, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, frame = people
    target = str(tmp_path / "out.csv")

    def refusal(name: str, content: bytes, **options: Any) -> str:
        (tmp_path / name).write_bytes(content)
        with pytest.raises((BadInput, ModelError)) as caught:
            predict_file(one, str(tmp_path / name), target, **options)
        assert not os.path.exists(target)
        return str(caught.value)

    assert "the input has no rows" in refusal("a.csv", b"age,income,town\n")
    assert "the input has no rows" in refusal("a.csv", b"")
    assert "the input has no rows" in refusal("a.csv", b"age,income,town\n\n\n\n")
    assert "the input has no rows" in refusal("a.jsonl", b"\n")
    assert "not a Parquet file" in refusal("a.parquet", b"PAR1 is not enough")
    assert "not an Arrow file or stream" in refusal("a.arrow", b"age,income\n1,2\n")
    assert "is not text in utf-8" in refusal("a.csv", b"age,income,town\n1,2,K\xf6ln\n")
    with monkeypatch.context() as patch:
        patch.setattr(batch_reading, "MAX_RECORD", 1000)
        text = b'age,income,town\n1,2,Ulm\n1,2,"Ulm\n' + b"x\n" * 2000
        assert "quote in line 3 is not closed" in refusal("a.csv", text)
    assert "--input-format" in refusal("a.txt", b"")
    assert "no method 'transform'" in refusal("b.csv", b"", method="transform")
    assert "lacks columns that are to be kept: 'id'" in refusal("c.csv", b"age,income,town\n", choice=Choice(("id",)))
    with pytest.raises(BadInput, match="names in common: 'prediction'"):
        source = write(frame.assign(prediction=1), tmp_path, "csv")
        predict_file(one, source, target, choice=Choice(keep_all=True))


def test_models_of_arrays_texts_and_several_outputs(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    forest = RandomForestClassifier(5, random_state=0).fit(X, np.c_[y, y > 1])
    frame = pd.DataFrame(X, columns=list("abcd")).assign(id=range(150))
    target = str(tmp_path / "out.parquet")
    for form in ("csv", "parquet"):
        predict_file(scorer(forest, X), write(frame, tmp_path, form), target, choice=Choice(("id",)), chunk_rows=60)
        found = read(target)
        assert found.columns.tolist() == ["id", "prediction_0", "prediction_1"]
        assert (found[["prediction_0", "prediction_1"]].to_numpy() == forest.predict(X)).all()
    method = "predict_proba"
    predict_file(scorer(forest, X), write(frame.drop(columns="id"), tmp_path, "csv"), target, method=method)
    assert read(target).columns.tolist() == [
        "probability_0_0", "probability_0_1", "probability_0_2", "probability_1_0", "probability_1_1"
    ]  # fmt: skip
    texts = ["good wine", "bad wine", "good", "bad, bad"] * 5
    words = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0] * 5)
    source = write(pd.DataFrame({"id": range(20), "review": texts}), tmp_path, "csv")
    predict_file(scorer(words, texts), source, target, choice=Choice(("id",)), chunk_rows=7)
    assert read(target)["prediction"].tolist() == [1, 0, 1, 0] * 5


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(2000, 8)), columns=list("abcdefgh"))
    one = scorer(LinearRegression().fit(X, X["a"]), X)
    lines = X.to_csv(index=False).split("\n", 1)
    source = tmp_path / "rows.csv"
    with source.open("w") as file:
        file.write(lines[0] + "\n")
        for _ in range(660):
            file.write(lines[1])
    assert source.stat().st_size > 200e6
    seen: list[tuple[int, int | None, str]] = []
    resident: list[int] = []

    def progress(*how: Any) -> None:
        seen.append(how)
        resident.append(int(re.findall(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]))

    done = predict_file(one, str(source), str(tmp_path / "out.parquet"), chunk_rows=20_000, progress=progress)
    assert done.rows == 660 * 2000
    assert seen[-1] == (source.stat().st_size, source.stat().st_size, "B")
    # The first chunks fill the allocators' pools; what comes after is to need no more.
    assert max(resident) - resident[5] < 50_000
    found = read(tmp_path / "out.parquet")["prediction"].to_numpy()
    np.testing.assert_allclose(found, np.tile(one.model.predict(X), 660), rtol=1e-12, atol=1e-15)
    monkeypatch.setattr(batch_reading, "MAX_JSON", 1000)
    with pytest.raises(BadInput, match="write it as JSON lines"):
        predict_file(one, write(X, tmp_path, "json"), str(tmp_path / "out.csv"))


def test_large_rows_make_small_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 50))).rename(columns=str)
    one = scorer(LinearRegression().fit(X, X["0"]), X)
    monkeypatch.setattr(batch_reading, "MOST_BYTES", 10_000)
    for form in ("csv", "jsonl", "parquet", "arrow"):
        done = predict_file(one, write(X, tmp_path, form), str(tmp_path / "out.csv"))
        assert done.rows == 100
        assert done.chunks >= 3
        assert np.allclose(read(tmp_path / "out.csv")["prediction"], one.model.predict(X))


def test_the_input_is_never_written_over(people: tuple[Scorer, pd.DataFrame], tmp_path: Path) -> None:
    one, frame = people
    source = write(frame, tmp_path, "csv")
    (tmp_path / "link.csv").symlink_to(source)
    before = Path(source).read_bytes()
    with pytest.raises(ModelError, match="both the input and the output"):
        predict_file(one, source, str(tmp_path / "link.csv"))
    with pytest.raises(batch_writing.NotWritten, match="is a folder"):
        predict_file(one, source, str(tmp_path), target_format="csv")
    assert Path(source).read_bytes() == before
