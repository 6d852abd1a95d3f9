"""What stands around every answer: its packing, its tag, its end, its line in the log and its place in the counters."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from exchanges import LOCAL, Asked, reached
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from autotrack.server import logs
from autotrack.server.delivery import BrokenOff, Delivery
from autotrack.server.routing import OPEN, READ, WRITE, Endpoint

TEXT = {"words": ["metrics.accuracy_score"] * 4000}
FAR = (("host", "localhost"), ("accept-encoding", "gzip, deflate, br"))
AWAY = "192.0.2.7"


async def large(site: Any, request: Request) -> Response:
    return JSONResponse(TEXT, headers={"etag": '"v1"'})


async def small(site: Any, request: Request) -> Response:
    return JSONResponse({})


async def image(site: Any, request: Request) -> Response:
    return Response(bytes(5000), media_type="image/png")


async def stream(site: Any, request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 2000

    return StreamingResponse(parts(), media_type="text/plain")


async def events(site: Any, request: Request) -> Response:
    async def forever() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        await asyncio.sleep(3600)

    return StreamingResponse(forever(), media_type="text/event-stream")


async def breaks(site: Any, request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        raise OSError("the disk is gone")

    return StreamingResponse(parts(), media_type="text/plain")


async def echo(site: Any, request: Request) -> Response:
    return Response(await request.body(), media_type="application/octet-stream")


ENDPOINTS = [
    Endpoint("GET", "/large", large, READ),
    Endpoint("GET", "/small", small, READ),
    Endpoint("GET", "/image", image, READ),
    Endpoint("GET", "/stream", stream, READ),
    Endpoint("GET", "/events", events, READ),
    Endpoint("GET", "/breaks", breaks, READ),
    Endpoint("PUT", "/runs/{run_id}", echo, WRITE),
    Endpoint("GET", "/health", reached, OPEN),
]


@pytest.fixture
def asked() -> Iterator[Asked]:
    made = Asked(ENDPOINTS, log=True)
    yield made
    made.close()


def test_large_texts_are_packed_for_those_who_are_elsewhere(asked: Asked):
    answer = asked("GET", "/large", FAR, client=AWAY)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.headers["etag"] == 'W/"v1"'
    assert json.loads(gzip.decompress(answer.body)) == TEXT
    assert len(answer.body) * 20 < len(json.dumps(TEXT))


@pytest.mark.parametrize("path", ["/small", "/image", "/stream"])
def test_what_is_small_no_text_or_a_stream_is_sent_as_it_is(asked: Asked, path: str):
    assert "content-encoding" not in asked("GET", path, FAR, client=AWAY).headers


@pytest.mark.parametrize("accept", ["", "identity", "gzip;q=0", "deflate", "br, gzip; q=0.0"])
def test_who_takes_no_gzip_gets_none(asked: Asked, accept: str):
    headers = [("host", "localhost"), ("accept-encoding", accept)]
    assert asked("GET", "/large", headers, client=AWAY).json == TEXT


def test_on_this_machine_nothing_is_packed_unless_a_proxy_asks_for_others(asked: Asked):
    assert asked("GET", "/large", FAR).json == TEXT
    behind = Asked(ENDPOINTS, allowed_hosts=("runs.example.org",))
    try:
        headers = [("host", "runs.example.org"), ("accept-encoding", "gzip")]
        assert behind("GET", "/large", headers).headers["content-encoding"] == "gzip"
    finally:
        behind.close()


def test_a_stream_arrives_piece_by_piece(asked: Asked):
    assert [len(chunk) for chunk in asked("GET", "/stream").chunks if chunk] == [2000] * 3


@pytest.mark.parametrize("known", ['"v1"', 'W/"v1"', '"v0", "v1"'])
def test_what_a_browser_has_is_not_sent_again(asked: Asked, known: str):
    answer = asked("GET", "/large", [*LOCAL, ("if-none-match", known)])
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == '"v1"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "content-length" not in answer.headers
    assert asked("GET", "/large", [*LOCAL, ("if-none-match", '"v2"')]).status == 200


def test_plotly_is_packed_for_those_who_are_elsewhere():
    real = Asked()
    try:
        plain = real("GET", "/static/plotly.min.js")
        packed = real("GET", "/static/plotly.min.js", FAR, client=AWAY)
    finally:
        real.close()
    assert packed.headers["content-type"] == plain.headers["content-type"]
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) * 3 < len(plain.body)


def test_streams_of_events_end_in_order_when_the_server_does(asked: Asked):
    async def end() -> Any:
        task = asyncio.create_task(asked.ask("GET", "/events"))
        await asyncio.sleep(0.05)
        assert not task.done()
        asked.delivery.end_streams()
        listening = await asyncio.wait_for(task, 5)
        late = await asyncio.wait_for(asked.ask("GET", "/events"), 5)
        return listening, late

    listening, late = asyncio.run(end())
    assert listening.body == b"data: 1\n\n"
    assert listening.chunks[-1] == b""
    assert late.status == 200


def test_a_request_that_the_end_overtakes_is_told_so():
    async def slow(site: Any, request: Request) -> Response:
        await asyncio.sleep(3600)
        raise AssertionError

    made = Asked([Endpoint("GET", "/slow", slow, READ)])

    async def cancel() -> Any:
        task = asyncio.create_task(made.ask("GET", "/slow"))
        await asyncio.sleep(0.01)
        task.cancel()
        return await task

    try:
        answer = asyncio.run(cancel())
        assert (answer.status, answer.json["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    finally:
        made.close()


def test_half_an_answer_does_not_look_like_a_whole_one(asked: Asked):
    with pytest.raises(BrokenOff):  # on which the connection is closed
        asked("GET", "/breaks")


def counted(asked: Asked) -> dict[str, float]:
    text = asked.board.text(asked.site.endpoints)[0].decode()
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in rows}


def test_requests_are_counted_by_route_method_and_status_and_nobody_makes_series(asked: Asked):
    for number in range(3):
        asked("PUT", f"/runs/{number}", body=b"12345")
        asked("GET", f"/{number}")
    asked("GET", "/small", [("host", "attacker.example")])
    found = counted(asked)
    assert found['autotrack_requests_total{method="PUT",route="/runs/{run_id}",status="200"}'] == 3
    assert found['autotrack_requests_total{method="other",route="other",status="404"}'] == 3
    assert found['autotrack_requests_total{method="GET",route="/small",status="403"}'] == 1
    assert found['autotrack_request_seconds_count{method="PUT",route="/runs/{run_id}"}'] == 3
    assert found['autotrack_request_seconds_bucket{le="+Inf",method="PUT",route="/runs/{run_id}"}'] == 3
    assert found["autotrack_received_bytes_total"] == 15
    assert found["autotrack_sent_bytes_total"] > 15
    assert found["autotrack_requests_in_flight"] == 0


def test_what_is_written_is_counted(asked: Asked):
    from autotrack.events import RunStarted

    asyncio.run(asked.site.write(RunStarted("a", "a", 0)))
    found = counted(asked)
    assert found["autotrack_writes_total"] == 1
    assert found["autotrack_batch_events_sum"] == 1


def test_a_request_has_an_id_that_may_be_given_and_does_no_harm(asked: Asked):
    assert asked("GET", "/small", [*LOCAL, ("x-request-id", "job-7.1")]).headers["x-request-id"] == "job-7.1"
    for bad in ("a b", "x" * 65, "a\x1b[31m", ""):
        made = asked("GET", "/small", [*LOCAL, ("x-request-id", bad)]).headers["x-request-id"]
        assert made != bad
        assert len(made) == 16


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Lines of the log in a form."""
    kept: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record)

    logger = logging.getLogger("autotrack.server")
    monkeypatch.setattr(logger, "handlers", [Keep()])
    monkeypatch.setattr(logger, "level", logging.INFO)
    logging.getLogger("autotrack.server.access")._cache.clear()
    logger._cache.clear()
    yield lambda formatter: [formatter.format(record) for record in kept]
    logger._cache.clear()
    logging.getLogger("autotrack.server.access")._cache.clear()


def test_the_log_has_a_line_for_each_request_and_no_secret_in_it(asked: Asked, lines: Any):
    secret = "autotrack_geheim"
    headers = [*LOCAL, ("authorization", f"Bearer {secret}"), ("cookie", secret), ("x-request-id", "r-1")]
    asked("PUT", f"/runs/1?token={secret}", headers, secret.encode())
    (line,) = lines(logs.JsonFormatter())
    entry = json.loads(line)
    assert secret not in line
    assert entry["method"] == "PUT"
    assert (entry["path"], entry["route"], entry["status"]) == ("/runs/1", "/runs/{run_id}", 200)
    assert (entry["request_id"], entry["received"], entry["client"]) == ("r-1", len(secret), "127.0.0.1")
    (text,) = lines(logs.TextFormatter())
    assert "PUT /runs/1 200" in text
    assert secret not in text


def test_no_line_of_the_log_obeys_who_asks(asked: Asked, lines: Any):
    asked("GET", "/a\x1b[2J\r\n2026-01-01T00:00:00Z ERROR forged\u202e\x00\ud800")
    for formatter in (logs.JsonFormatter(), logs.TextFormatter()):
        (line,) = lines(formatter)
        assert line.isascii()
        assert line.isprintable()


def test_what_goes_wrong_is_logged_with_its_traceback_and_request(asked: Asked, lines: Any):
    async def fails(site: Any, request: Request) -> Response:
        raise RuntimeError("boom\x1b[31m")

    made = Asked([Endpoint("GET", "/fails", fails, READ)])
    try:
        answer = made("GET", "/fails", [*LOCAL, ("x-request-id", "r-9")])
    finally:
        made.close()
    assert (answer.status, answer.json["error_code"]) == (500, "INTERNAL_ERROR")
    assert b"boom" not in answer.body
    entry = json.loads(lines(logs.JsonFormatter())[0])
    assert "RuntimeError: boom" in entry["exception"]
    text = lines(logs.TextFormatter())[0]
    assert "\x1b" not in text


def test_delivery_leaves_what_is_no_http_to_the_application(asked: Asked):
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    assert isinstance(asked.delivery, Delivery)
    asyncio.run(asked.delivery({"type": "websocket"}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1000}]
