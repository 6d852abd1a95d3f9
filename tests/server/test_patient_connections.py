"""Connections that take long: those on which something moves stay, the others are ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn

from autotrack.web.http import LEAST_PROGRESS, PatientHttp, Server
from autotrack.web.listening import bind, listen

PATIENCE = 1.2
LONG = 3.6
"""Seconds that an exchange goes on: three times what one without progress gets."""


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/busy":  # it has no time yet for what is sent to it
        await asyncio.sleep(LONG)
    count, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        count += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/large":
        for _ in range(64):
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
    await send({"type": "http.response.body", "body": str(count).encode()})


class Client:
    """A bare connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def begin(self, request: bytes, limit: int = 2**16) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=limit)
        self.writer.write(request)

    async def send(self, size: int, every: float, seconds: float) -> None:
        """So many bytes again and again."""
        try:
            for _ in range(round(seconds / every)):
                self.writer.write(bytes(size))
                await self.writer.drain()
                await asyncio.sleep(every)
        except ConnectionError:
            pass

    async def answer(self) -> bytes:
        """All that comes, up to the end."""
        try:
            return await asyncio.wait_for(self.reader.read(-1), 20)
        except ConnectionError:
            return b""
        finally:
            self.writer.close()


def put(path: str, length: int) -> bytes:
    return f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode()


async def steady_upload(client: Client) -> None:
    """A little comes each moment."""
    await client.begin(put("/", LEAST_PROGRESS * 18))
    await client.send(LEAST_PROGRESS, 0.2, LONG)
    answer = await client.answer()
    assert answer.startswith(b"HTTP/1.1 200")
    assert str(LEAST_PROGRESS * 18).encode() in answer


async def dripping_upload(client: Client) -> None:
    """A byte at a time keeps no connection."""
    await client.begin(put("/", 1000))
    await client.send(1, 0.2, LONG)
    # Who goes on sending where nobody listens may lose the answer.
    assert (await client.answer())[:12] in (b"HTTP/1.1 408", b"")


async def silent_upload(client: Client) -> None:
    await client.begin(put("/", 10_000) + bytes(9_000))
    assert (await client.answer()).startswith(b"HTTP/1.1 408")


async def headers_without_end(client: Client) -> None:
    await client.begin(b"GET / HTTP/1.1\r\nHost: a\r\n")
    try:
        for _ in range(round(LONG / 0.2)):
            client.writer.write(b"X: y\r\n")
            await client.writer.drain()
            await asyncio.sleep(0.2)
    except ConnectionError:
        pass
    assert (await client.answer())[:12] in (b"HTTP/1.1 408", b"")


async def waiting_for_us(client: Client) -> None:
    """The server is the slow one: it has stopped reading."""
    size = 8 * 2**20
    await client.begin(put("/busy", size))
    client.writer.write(bytes(size))
    assert str(size).encode() in await client.answer()


async def answer_that_nobody_reads(client: Client) -> None:
    await client.begin(put("/large", 0), limit=1024)
    await asyncio.sleep(LONG + 1)
    assert len(await client.answer()) < 64 * 2**20


async def answer_that_is_read_slowly(client: Client) -> None:
    await client.begin(put("/large", 0))
    read = 0
    for _ in range(12):
        read += len(await client.reader.read(2**20))
        await asyncio.sleep(0.2)
    assert read + len(await client.answer()) > 64 * 2**20


async def answer_that_takes_its_time(client: Client) -> None:
    await client.begin(put("/busy", 0))
    assert (await client.answer()).startswith(b"HTTP/1.1 200")


EXCHANGES = (
    steady_upload,
    dripping_upload,
    silent_upload,
    headers_without_end,
    waiting_for_us,
    answer_that_nobody_reads,
    answer_that_is_read_slowly,
    answer_that_takes_its_time,
)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, BaseException | None]:
    """What each exchange came to; they go on at the same time, as they mostly wait."""

    async def all_of_them() -> list[BaseException | None]:
        listener = bind("127.0.0.1", 0)
        listen(listener, "127.0.0.1")
        config = uvicorn.Config(application, http=PatientHttp, ws="none", lifespan="off", log_config=None)
        server = Server(config, body_timeout=PATIENCE, on_start=lambda: None)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        clients = [exchange(Client(listener.getsockname()[1])) for exchange in EXCHANGES]
        found = await asyncio.gather(*clients, return_exceptions=True)
        server.should_exit = True
        await asyncio.wait_for(serving, 20)
        return found

    return dict(zip((exchange.__name__ for exchange in EXCHANGES), asyncio.run(all_of_them())))


@pytest.mark.parametrize("exchange", [exchange.__name__ for exchange in EXCHANGES])
def test_a_connection_stays_while_something_moves(outcomes: dict[str, BaseException | None], exchange: str):
    outcome = outcomes[exchange]
    if outcome is not None:
        raise outcome
