"""schemathesis reads /openapi.json of a running server and holds the server to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from peer_models import frame_peer, tensor_peer

from benchmarks.serving.servers import AUTOTRACK, ModelServer

SOME = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    pytest.importorskip("schemathesis", reason="asks for a newer rich than the oldest that is supported")


@pytest.fixture(scope="module", params=[frame_peer, tensor_peer], ids=["columns", "tensor"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    folder = tmp_path_factory.mktemp("openapi")
    with ModelServer(AUTOTRACK, request.param(folder / "model").folder, folder) as served:
        yield served


def accepts_what_is_described(context: Any, response: Any, case: Any) -> bool | None:
    """schemathesis' own check, but for numbers so large that they overflow inside of the model."""
    from schemathesis.specs.openapi.checks import RejectedPositiveData, positive_data_acceptance

    try:
        return positive_data_acceptance(context, response, case)
    except RejectedPositiveData:
        told = response.json()
        if told["error"]["code"] == "model_refused" and "infinity" in told["message"]:
            return None
        raise


def rejects_what_is_not_described(context: Any, response: Any, case: Any) -> bool | None:
    """schemathesis' own check, but for what is read although no JSON Schema describes it well."""
    from schemathesis.specs.openapi.checks import AcceptedNegativeData, negative_data_rejection

    if case.media_type == "text/csv":
        return None  # a pattern describes the plainest files; more can be read
    try:
        return negative_data_rejection(context, response, case)
    except AcceptedNegativeData as failure:
        if "`minimum`" in failure.message or "`maximum`" in failure.message:
            return None  # a whole number beside the largest double rounds to it
        raise


@pytest.mark.parametrize("described", [True, False], ids=["as described", "not so"])
def test_it_does_what_its_description_says(server: ModelServer, described: bool) -> None:
    import schemathesis
    from schemathesis.specs.openapi import checks as openapi

    mode = schemathesis.GenerationMode.POSITIVE if described else schemathesis.GenerationMode.NEGATIVE
    checks = [
        schemathesis.checks.not_a_server_error,
        openapi.status_code_conformance,
        openapi.content_type_conformance,
        openapi.response_headers_conformance,
        openapi.response_schema_conformance,
        accepts_what_is_described,
        rejects_what_is_not_described,
    ]
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert {operation.path for operation in operations} >= {"/invocations", "/ping", "/health", "/version"}
    for operation in operations:
        # A GET without parameters has nothing that could be sent wrongly, and is the same each time.
        if operation.method == "get" and not described:
            continue

        @SOME
        @given(operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            case.call_and_validate(checks=checks, timeout=30)

        check()
    assert "Traceback" not in server.log()
