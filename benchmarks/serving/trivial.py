"""An ASGI application that reads a request and answers at once: what the load generator itself can reach."""

from __future__ import annotations

from typing import Any

_BODY = b'{"predictions": [0.0]}'


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer every request alike, after its whole body has come."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _BODY})
