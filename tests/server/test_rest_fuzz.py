"""Whatever is sent to the API, it answers in MLflow's shape, and never that it failed itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from asking import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotrack.server.rest import calls, endpoints

endpoints()  # every message is described once its module is imported

ODD = [
    None,
    True,
    0,
    -1,
    2**63,
    1.5,
    "",
    "0",
    "NaN",
    "1",
    "x" * 300,
    "\x00",
    "\udce4",
    [],
    {},
    [[]],
    [None],
    "é",
    "9" * 30,
]
JSON = st.recursive(
    st.sampled_from(ODD) | st.text(max_size=5) | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FILTERS = [
    "metrics.m > 1",
    "params.p = 'x'",
    "tags.`mlflow.user` != ''",
    "artifact_uri = ''",
    "name LIKE '%'",
    "((",
    "a.b",
]


def values(name: str, schema: Mapping[str, Any], known: Mapping[str, list[str]]) -> st.SearchStrategy[Any]:
    """What a field may be, mostly."""
    if name in known:
        return st.sampled_from(known[name]) | st.sampled_from(ODD)
    if name in ("filter", "order_by"):
        texts = st.sampled_from(FILTERS)
        return texts if name == "filter" else st.lists(texts, max_size=2)
    match schema.get("type"):
        case "object":
            properties = schema["properties"]
            fields = {one: values(one, properties[one], known) for one in properties}
            return st.fixed_dictionaries({}, optional=fields) | JSON
        case "array":
            return st.lists(values("", schema["items"], known), max_size=3) | JSON
        case "integer":
            return st.integers(-2, 5) | st.sampled_from(ODD)
        case "boolean":
            return st.booleans() | JSON
        case "string" if "enum" in schema:
            return st.sampled_from(schema["enum"]) | JSON
        case "string":
            return st.text(max_size=8) | st.sampled_from(ODD)
        case _:
            return JSON


@pytest.fixture(scope="module")
def known(api: Client) -> dict[str, list[str]]:
    """Ids that are there."""
    run_id, experiment = api.run(), api.experiment("fuzzed")
    return {
        "run_id": [run_id],
        "run_ids": [run_id],
        "experiment_id": [experiment],
        "experiment_name": ["fuzzed"],
        "key": ["m"],
    }


@pytest.mark.parametrize("call", sorted(calls.DESCRIBED), ids="".join)
def test_no_request_makes_the_server_fail(api: Client, known: dict[str, list[str]], call: tuple[str, str]) -> None:
    method, path = call
    message = calls.DESCRIBED[call].schema()

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(values("", message, known), st.booleans())
    def check(data: Any, in_query: bool) -> None:
        if method == "GET" and in_query and isinstance(data, dict):
            plain = {key: value for key, value in data.items() if isinstance(value, int | float | str | list)}
            texts = {key: json.dumps(value) if isinstance(value, list) else str(value) for key, value in plain.items()}
            query = {key: text.encode("utf-8", "replace") for key, text in texts.items()}
            answer = api.ask(method, f"/api{path}", params=query)
        else:
            answer = api.ask(method, f"/api{path}", content=json.dumps(data).encode())
        assert answer.status_code in (200, 400, 404, 501), answer.text  # 501: what this server does not offer
        told = answer.json()
        if answer.status_code != 200:
            assert set(told) == {"error_code", "message"}
            assert len(told["message"]) < 2000

    check()
