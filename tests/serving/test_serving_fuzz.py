"""Whatever bytes come, the answer is JSON and never a 500: a client's mistake is a client's."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import InProcess
from peer_models import frame_peer, tensor_peer
from peer_payloads import ARROW, CSV, FRAME, JSON, PARQUET, TENSOR, as_body

MANY = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
KINDS = [JSON, CSV, PARQUET, ARROW, None, "", "text/plain", "application/json; charset=utf-16", "*/*", ";;;=", "\xff"]
WORDS = [
    *("columns", "data", "dataframe_split", "dataframe_records", "instances", "inputs", "params", "index"),
    *("sepal", "petal", "site", "predict_method", "in bloom", ""),
]
REFUSALS = {400, 413, 415}


@pytest.fixture(scope="module", params=[frame_peer, tensor_peer], ids=["columns", "tensor"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with InProcess(request.param(tmp_path_factory.mktemp("fuzz") / "model").folder) as served:
        yield served


def check(server: InProcess, body: bytes, content_type: str | None) -> int:
    reply = server.post(body, content_type)
    told: Any = json.loads(reply.body)
    assert reply.content_type.partition(";")[0] == JSON
    if reply.status == 200:
        assert isinstance(told["predictions"], list)
    else:
        assert reply.status in REFUSALS, (reply, body, content_type)
        assert isinstance(told["message"], str)
        assert told["message"]
        assert told["error"]["code"]
        assert "Traceback" not in told["message"]
        assert 'File "' not in told["message"]
    return reply.status


@MANY
@given(st.binary(max_size=300), st.sampled_from(KINDS) | st.text("abc/;=,+.* ", max_size=30))
def test_bytes(server: InProcess, body: bytes, content_type: str | None) -> None:
    check(server, body, content_type)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([2**63, -(2**63) - 1, 1e308, 10**400, "NaN", "5.1", "2024-01-01"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=20,
)


@MANY
@given(_VALUES)
def test_json_of_any_shape(server: InProcess, value: Any) -> None:
    check(server, json.dumps(value).encode(), JSON)


@MANY
@given(st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"]), _VALUES, _VALUES)
def test_any_value_under_a_known_key(server: InProcess, key: str, value: Any, params: Any) -> None:
    check(server, json.dumps({key: value, "params": params}).encode(), JSON)


@pytest.mark.parametrize("table", [FRAME, TENSOR], ids=["columns", "tensor"])
def test_good_bodies_with_a_few_bytes_changed(server: InProcess, table: dict[str, Any]) -> None:
    choice = random.Random(7)
    statuses = set()
    for payload in table.values():
        body, content_type = as_body(payload)
        for _ in range(3):
            changed = bytearray(body[:2000])
            for _ in range(choice.randint(1, 4)):
                at = choice.randrange(len(changed) + 1)
                match choice.randrange(3):
                    case 0:
                        changed[at : at + 1] = bytes([choice.randrange(256)])
                    case 1:
                        del changed[at : at + choice.randint(1, 9)]
                    case _:
                        changed[at:at] = changed[choice.randrange(len(changed) + 1) :][: choice.randint(1, 9)]
            statuses.add(check(server, bytes(changed), content_type))
    assert 400 in statuses
