"""Packing answers that are text, by gzip, for those who are not on this machine themselves."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from typing import Any, Final

from autotrack.server.guard.hosts import host_name, is_local_name, is_loopback_address

LEAST: Final = 1024
"""Bytes below which it is not worth it."""
_IN_A_THREAD: Final = 64 * 1024
_LEVEL: Final = 4
_TEXTS: Final = (
    b"text/",
    b"application/json",
    b"application/openmetrics-text",
    b"application/javascript",
    b"image/svg+xml",
)
_NEVER: Final = (b"text/event-stream",)


def is_wanted(scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> bool:
    """Whether a client takes it, and gains by it.

    Who asks from this machine, under its local name, would unpack what was packed beside him. A proxy that asks from
    here for others asks under another name.
    """
    if not takes_gzip(headers.get(b"accept-encoding", b"").decode("latin-1")):
        return False
    client = scope.get("client")
    if client and is_loopback_address(client[0]):
        name = host_name(headers.get(b"host", b"").decode("latin-1"))
        return name is None or not is_local_name(name)
    return True


def takes_gzip(accept: str) -> bool:
    """Whether an Accept-Encoding header has gzip in it."""
    for part in accept.lower().split(","):
        coding, _, quality = part.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def is_worth(size: int, headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether an answer of this size and these headers gets smaller."""
    if size < LEAST:
        return False
    kind = b""
    for name, value in headers:
        match name.lower():
            case b"content-encoding" | b"content-range":
                return False
            case b"content-type":
                kind = value.lower()
    return kind.startswith(_TEXTS) and not kind.startswith(_NEVER)


async def pack(body: bytes) -> bytes:
    """The packed body; large ones are packed in a thread, as zlib lets go of the interpreter."""
    if len(body) < _IN_A_THREAD:
        return gzip.compress(body, _LEVEL, mtime=0)
    return await asyncio.get_running_loop().run_in_executor(None, lambda: gzip.compress(body, _LEVEL, mtime=0))


def headers_of_packed(headers: list[tuple[bytes, bytes]], size: int) -> list[tuple[bytes, bytes]]:
    """The headers of the packed answer: its size; a tag that does not promise the same bytes."""
    changed = []
    varies = b"accept-encoding"
    for name, value in headers:
        match name.lower():
            case b"content-length" | b"accept-ranges":
                continue
            case b"vary":
                varies = value + b", accept-encoding"
                continue
            case b"etag" if not value.startswith(b"W/"):
                value = b"W/" + value
        changed.append((name, value))
    return [
        *changed,
        (b"content-length", str(size).encode()),
        (b"content-encoding", b"gzip"),
        (b"vary", varies),
    ]
