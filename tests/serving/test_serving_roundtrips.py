"""Rows that hypothesis draws, sent in every format through the web application: always the model's own answer."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import InProcess
from peer_models import Peer, frame_peer, tensor_peer

JSON, CSV = "application/json", "text/csv"
PARQUET, ARROW = "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"
SOME = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

Served = tuple[Peer, InProcess]


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    peer = frame_peer(tmp_path_factory.mktemp("frame") / "model")
    with InProcess(peer.folder) as server:
        yield peer, server


@pytest.fixture(scope="module")
def tensor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    peer = tensor_peer(tmp_path_factory.mktemp("tensor") / "model")
    with InProcess(peer.folder) as server:
        yield peer, server


def _numbers(width: int = 64) -> st.SearchStrategy[float]:
    return st.floats(-1e6, 1e6, width=width, allow_subnormal=False)


# Neither quotes nor what CSV reads as missing: what text means there is no matter of ours.
_WORDS = st.sampled_from(["north", "south", "east", "west", "Nørd ✓", "clay", "sand", "a, b", "two words"])
_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "sepal": _numbers(),
            "petal": st.none() | _numbers(),
            "width": _numbers(32),
            "visits": st.integers(-(2**53), 2**53),
            "leaves": st.integers(-(2**31), 2**31 - 1),
            "in bloom": st.booleans(),
            "site": _WORDS,
            "soil": st.none() | _WORDS,
        }
    ),
    min_size=1,
    max_size=5,
)


def _typed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    # As a file that is read has it: what is missing is NaN, in text too.
    frame["soil"] = [math.nan if value is None else value for value in frame["soil"]]
    kinds = {"petal": "float64", "width": "float32", "leaves": "int32", "site": object, "soil": object}
    return frame.astype(kinds)  # type: ignore[call-overload, no-any-return]


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _lists(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}


def _as_csv(rows: list[dict[str, Any]]) -> bytes:
    return _typed(rows).to_csv(index=False).encode()


def _as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    _typed(rows).to_parquet(sink, index=False)
    return sink.getvalue()


def _as_arrow(rows: list[dict[str, Any]]) -> bytes:
    table = pa.Table.from_pandas(_typed(rows), preserve_index=False)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue()


def _json(shape: Callable[[list[dict[str, Any]]], Any]) -> Callable[[list[dict[str, Any]]], bytes]:
    return lambda rows: json.dumps(shape(rows)).encode()


FORMATS: dict[str, tuple[str, Callable[[list[dict[str, Any]]], bytes]]] = {
    "columns and data": (JSON, _json(_lists)),
    "dataframe_split": (JSON, _json(lambda rows: {"dataframe_split": _lists(rows)})),
    "dataframe_records": (JSON, _json(lambda rows: {"dataframe_records": rows})),
    "records": (JSON, _json(lambda rows: rows)),
    "instances": (JSON, _json(lambda rows: {"instances": rows})),
    "inputs, columns": (JSON, _json(lambda rows: {"inputs": _columns(rows)})),
    "inputs, records": (JSON, _json(lambda rows: {"inputs": rows})),
    "csv": (CSV, _as_csv),
    "parquet": (PARQUET, _as_parquet),
    "arrow": (ARROW, _as_arrow),
}


@SOME
@given(_ROWS, st.randoms(use_true_random=False))
def test_rows_come_through_every_format(frame: Served, rows: list[dict[str, Any]], order: random.Random) -> None:
    peer, server = frame
    names = list(rows[0])
    order.shuffle(names)
    sent = [{name: row[name] for name in names} for row in rows]
    expected = peer.model.predict_proba(_typed(rows))

    for form, (content_type, write) in FORMATS.items():
        reply = server.post(write(sent), content_type)

        assert reply.status == 200, (form, reply.body)
        np.testing.assert_allclose(
            json.loads(reply.body)["predictions"], expected, rtol=1e-9, atol=1e-300, err_msg=form
        )


@SOME
@given(st.lists(st.lists(_numbers(), min_size=10, max_size=10), min_size=1, max_size=4))
def test_arrays_come_through(tensor: Served, rows: list[list[float]]) -> None:
    peer, server = tensor
    expected = peer.model.predict(np.array(rows))

    for key in ("inputs", "instances"):
        reply = server.post(json.dumps({key: rows}).encode(), JSON)

        assert reply.status == 200, (key, reply.body)
        np.testing.assert_allclose(json.loads(reply.body)["predictions"], expected, rtol=1e-9, atol=1e-6)


def test_answers_in_arrow_are_those_in_json(frame: Served) -> None:
    peer, server = frame
    rows = peer.X.iloc[:20]
    sink = io.BytesIO()
    table = pa.Table.from_pandas(rows, preserve_index=False)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)

    reply = server.post(sink.getvalue(), ARROW, accept=ARROW)

    assert (reply.status, reply.content_type) == (200, ARROW)
    read = pa.ipc.open_stream(reply.body).read_all()
    np.testing.assert_array_equal(
        np.column_stack([read.column(at).to_numpy() for at in range(3)]), peer.model.predict_proba(rows)
    )


def test_a_method_is_chosen_by_parameter(frame: Served) -> None:
    peer, server = frame
    rows = peer.X.iloc[[0, 77, 120]]
    body = {"dataframe_split": _lists(json.loads(rows.to_json(orient="records")))}

    said = server.post(json.dumps({**body, "params": {"predict_method": "predict"}}).encode(), JSON)

    assert json.loads(said.body)["predictions"] == peer.model.predict(rows).tolist()


def test_what_overflows_in_the_model_is_not_blamed_on_a_missing_value(frame: Served) -> None:
    peer, server = frame
    row = {**json.loads(peer.X.iloc[[0]].to_json(orient="records"))[0], "sepal": 1.79e308, "soil": None}

    reply = server.post(json.dumps([row]).encode(), JSON)

    told = json.loads(reply.body)
    assert (reply.status, told["error"]["code"], told["error"]["columns"]) == (400, "model_refused", [])
    assert "infinity" in told["message"]
