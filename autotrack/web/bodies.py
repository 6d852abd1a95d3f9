"""Reading a request's body: no more of it than is allowed."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

GZIP: Final = (b"gzip", b"x-gzip")


class TooLarge(Exception):
    """The body has more bytes than are allowed."""


class Disconnected(Exception):
    """Whoever sent it is gone."""


class NotUnpacked(Exception):
    """The body is not what its Content-Encoding says."""


async def read_body(receive: Receive, length: bytes | None, limit: int) -> bytes:
    """The whole body. That it comes in time is seen to by `autotrack.web.http`.

    Parameters
    ----------
    receive : ASGI's.
    length : the value of Content-Length, if there is one: a body that is too large is then not read at all.
    limit : bytes that it may have.

    Raises
    ------
    TooLarge, Disconnected
        As soon as it is known.
    """
    if length is not None and length.isdigit() and int(length[:20]) > limit:
        raise TooLarge
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        whole: bytes = message.get("body", b"")
        if len(whole) > limit:
            raise TooLarge
        return whole
    body = bytearray()
    while True:
        if message["type"] != "http.request":
            raise Disconnected
        body += message.get("body", b"")
        if len(body) > limit:
            raise TooLarge
        if not message.get("more_body", False):
            return bytes(body)
        message = await receive()


def unpack(body: bytes, limit: int) -> bytes:
    """What was packed by gzip; never more than ``limit`` bytes of it are made.

    Raises
    ------
    TooLarge, NotUnpacked
    """
    out = bytearray()
    rest = body
    while rest:  # a gzip file may have several parts, one after the other
        part = zlib.decompressobj(wbits=31)
        try:
            out += part.decompress(rest, limit + 1 - len(out))
        except zlib.error as error:
            raise NotUnpacked(str(error)) from None
        if len(out) > limit:
            raise TooLarge
        if not part.eof:
            raise NotUnpacked("it ends too early")
        rest = part.unused_data
    return bytes(out)
