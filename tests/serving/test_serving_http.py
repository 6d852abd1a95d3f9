"""A connection's own troubles: a request that never ends, and one that ends as a server does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from served_models import regression, served

from autotrack.serving.app import Application
from autotrack.serving.counters import Board
from autotrack.serving.options import ServingOptions
from autotrack.web.http import Http, Server

TIMEOUT = 0.6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return regression(tmp_path_factory.mktemp("http") / "regression")


@contextlib.asynccontextmanager
async def listening(folder: Path, max_body: int = 1_000_000) -> AsyncIterator[int]:
    """The port of a server in this event loop."""
    board = Board(1)
    application = Application(served(folder), ServingOptions(max_body=max_body), board, board.of(0))
    started = asyncio.Event()
    config = uvicorn.Config(application, port=0, http=Http, ws="none", lifespan="off", log_config=None)
    server = Server(config, body_timeout=TIMEOUT, on_start=started.set)
    task = asyncio.create_task(server.serve())
    await started.wait()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task
        application.close()


async def talk(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """All that is answered to these pieces, until the other side ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


HEAD = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        ([b""], b""),
        ([b"POST /invocations HT"], b"408"),
        ([HEAD % 100], b"408"),
        ([HEAD % 100, b'{"inputs": '], b"408"),
    ],
    ids=["nothing", "a part of the headers", "headers alone", "a part of the body"],
)
def test_a_request_that_never_ends_is_ended(folder, pieces, answer):
    async def run() -> bytes:
        async with listening(folder) as port:
            return await talk(port, *pieces)

    told = asyncio.run(run())
    if not answer:
        assert told == b""
        return
    head, _, body = told.partition(b"\r\n\r\n")
    assert head.split()[1] == answer
    assert json.loads(body)["message"] == "the request did not arrive in time"


def test_one_that_drips_is_ended_too_and_others_go_on(folder):
    async def run() -> tuple[bytes, bytes]:
        async with listening(folder) as port:
            slow = asyncio.create_task(talk(port, HEAD % 100, *[b" "] * 12, pause=0.1))
            await asyncio.sleep(TIMEOUT / 2)
            good = await talk(port, b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                return good, await slow
            return good, b"HTTP/1.1 408"

    good, slow = asyncio.run(run())
    assert good.startswith(b"HTTP/1.1 200")
    assert slow.startswith(b"HTTP/1.1 408")


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(folder):
    async def run() -> bytes:
        async with listening(folder, max_body=1000) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD.replace(b"Host: a", b"Host: a\r\nExpect: 100-continue") % 5000)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)
            writer.close()
            return answer

    assert asyncio.run(run()) == b"HTTP/1.1 413 Request Entity Too Large\r\n"


def test_a_client_that_reads_only_when_it_has_sent_all_sees_why_it_was_refused(folder):
    async def run() -> list[bytes]:
        async with listening(folder, max_body=1000) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD % 5_000_000)
            for _ in range(50):
                writer.write(b" " * 100_000)
                await writer.drain()
            writer.write(b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), 20)
            writer.close()
            return answer.split(b"HTTP/1.1 ")

    _, refused, ping = asyncio.run(run())
    assert refused.startswith(b"413 ")
    assert ping.startswith(b"200 ")


def test_several_requests_on_one_connection_are_answered_in_order(folder):
    async def run() -> bytes:
        async with listening(folder) as port:
            body = b'{"inputs": [[1, 2, 3]]}'
            asked = (HEAD % len(body) + body) * 3
            return await talk(port, asked + b"GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    answers = asyncio.run(run()).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200"] * 4
    assert all(b"predictions" in answer for answer in answers[:3])
