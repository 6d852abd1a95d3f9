"""Endpoints that take their time, and ``autotrack`` with them: ``python slow_room.py server --port 0``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from autotrack.events import RunStarted, TagsSet
from autotrack.server import app
from autotrack.server.routing import READ, WRITE, Endpoint
from autotrack.server.site import Site


async def sleep(site: Site, request: Request) -> Response:
    """Answer late."""
    await asyncio.sleep(float(request.query_params["seconds"]))
    return JSONResponse({"pid": os.getpid()})


async def upload(site: Site, request: Request) -> Response:
    """Count the bytes of a body of any size."""
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
    return JSONResponse({"bytes": count})


async def download(site: Site, request: Request) -> Response:
    """As many bytes as are asked for, and tell on stderr when it is over."""

    async def parts() -> AsyncIterator[bytes]:
        try:
            for _ in range(int(request.query_params["megabytes"])):
                yield bytes(2**20)
        finally:
            print("the download ended", file=sys.stderr, flush=True)

    return StreamingResponse(parts(), media_type="application/octet-stream")


async def events(site: Site, request: Request) -> Response:
    """A stream that goes on for as long as somebody listens."""

    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"data: 1\n\n"
            await asyncio.sleep(0.2)

    return StreamingResponse(forever(), media_type="text/event-stream")


async def write(site: Site, request: Request) -> Response:
    """Write a run, once a moment has passed."""
    run_id = request.path_params["run_id"]
    await asyncio.sleep(float(request.query_params.get("seconds", 0)))
    await site.write(RunStarted(run_id, run_id, 0), TagsSet(run_id, {"written": "yes"}))
    return JSONResponse({})


def endpoints() -> list[Endpoint]:
    """Every endpoint of this room."""
    return [
        Endpoint("GET", "/slow/sleep", sleep, READ),
        Endpoint("PUT", "/slow/upload", upload, WRITE),
        Endpoint("GET", "/slow/download", download, READ),
        Endpoint("GET", "/slow/events", events, READ),
        Endpoint("PUT", "/slow/runs/{run_id}", write, WRITE),
    ]


if __name__ == "__main__":
    from autotrack.cli import main

    sys.path.insert(0, str(Path(__file__).parent))
    app.ROOMS += ("slow_room",)  # type: ignore[misc]
    main()
