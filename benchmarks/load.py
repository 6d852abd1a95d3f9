"""``python -m benchmarks.load``: a load generator in a process of its own.

It reads one job as JSON from its standard input and writes what it found as JSON. A connection sends its next request
as soon as the answer to the last one is whole (a closed loop), and stays open throughout. Requests are sent as bytes
made beforehand; answers are parsed by httptools, so that the client costs a fraction of what any server does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, repeat
from pathlib import Path
from typing import Any, Final, cast

PLACE: Final = "PLACE"


@dataclass(frozen=True, slots=True)
class Job:
    """What is sent.

    Parameters
    ----------
    port : of a server on the loopback interface.
    body : path of a file with the body.
    content_type : of the body.
    accept : of the answer; empty for whatever comes.
    path : that is asked for.
    names : path of a file with texts of one length, a line each: a request has the next of them wherever ``PLACE``,
        made as long, stands in the body. Empty for the same body each time.
    connections : so many at once.
    warm_up : seconds of load that do not count, before those that do.
    seconds : of load that counts.
    """

    port: int
    body: str
    content_type: str
    connections: int
    warm_up: float
    seconds: float
    accept: str = ""
    path: str = "/invocations"
    names: str = ""

    def requests(self) -> Iterator[bytes]:
        """The requests as bytes, without end."""
        whole = self._request()
        if not self.names:
            return repeat(whole)
        names = [line.encode() for line in Path(self.names).read_text(encoding="utf-8").splitlines()]
        parts = whole.split(PLACE.ljust(len(names[0]), "_").encode())
        return (name.join(parts) for name in cycle(names))

    def _request(self) -> bytes:
        body = Path(self.body).read_bytes()
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(body)}",
            *([f"Accept: {self.accept}"] if self.accept else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def to_json(self) -> str:
        """As the process reads it."""
        return json.dumps(asdict(self))


@dataclass(slots=True)
class Found:
    """What came back in the time that counts. Latencies are in seconds."""

    seconds: float
    latencies: list[float]
    failures: int
    broken: int
    first_failure: str
    client_seconds: float


class _Connection(asyncio.Protocol):
    """Sends the request again and again; answers are told to ``done``."""

    def __init__(
        self, requests: Iterator[bytes], done: Callable[[float, int, bytes], bool], lost: Callable[[], None]
    ) -> None:
        from httptools import HttpResponseParser

        self._requests = requests
        self._done = done
        self._lost = lost
        self._new_parser = lambda: HttpResponseParser(self)
        self._parser = self._new_parser()
        self._body: list[bytes] = []
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        took = time.perf_counter() - self._sent
        going_on = self._done(took, self._parser.get_status_code(), b"".join(self._body))
        self._body.clear()
        assert self._transport is not None
        if going_on:
            # Not from inside the parser's own call: the next answer needs it whole again.
            asyncio.get_running_loop().call_soon(self._send)
        else:
            self._transport.close()

    def _send(self) -> None:
        assert self._transport is not None
        request = next(self._requests)
        self._sent = time.perf_counter()
        self._transport.write(request)


async def run(job: Job) -> Found:
    """Put the load on the server."""
    loop = asyncio.get_running_loop()
    begin = time.perf_counter() + job.warm_up
    end = begin + job.seconds
    found = Found(0.0, [], 0, 0, "", 0.0)
    last = begin
    busy = time.process_time()
    over = loop.create_future()
    left = job.connections

    def done(took: float, status: int, body: bytes) -> bool:
        nonlocal last, busy
        now = time.perf_counter()
        if now < begin:
            busy = time.process_time()
            return True
        # Whole or not at all: one that was sent before the count began is not part of it, one after its end is.
        if now - took >= begin:
            last = now
            if status == 200:
                found.latencies.append(took)
            else:
                found.failures += 1
                found.first_failure = found.first_failure or f"{status}: {body[:300].decode('utf-8', 'replace')}"
        return now < end

    def lost() -> None:
        nonlocal left
        left -= 1
        if time.perf_counter() < end:
            found.broken += 1
        if left == 0 and not over.done():
            over.set_result(None)

    requests = job.requests()
    for _ in range(job.connections):
        await loop.create_connection(lambda: _Connection(requests, done, lost), "127.0.0.1", job.port)
    await over
    found.seconds = last - begin
    found.client_seconds = time.process_time() - busy
    return found


def main() -> None:
    """Read a job, do it, tell."""
    job = Job(**json.loads(sys.stdin.read()))
    runner: Any = asyncio.run
    try:
        import uvloop
    except ImportError:
        pass  # slower, and not there on every platform
    else:
        runner = uvloop.run
    told = json.dumps(asdict(runner(run(job))))
    os.set_blocking(sys.stdout.fileno(), True)  # the event loop has left it otherwise: a pipe would take 64 KiB of it
    print(told)


if __name__ == "__main__":
    main()
