"""Headers by which a browser protects our pages from others and from what they show."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from autotrack.server.routing import OPEN, Endpoint

# Styles may stand in a page, because plotly writes them; scripts may not: they come from /static/ only.
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; sandbox"

_ALL: Final = {
    "x-content-type-options": "nosniff",
    # Not "no-referrer": with it a browser says "null" for the origin of our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def protect(response: Response, endpoint: Endpoint | None) -> None:
    """Put them on an answer; what its handler has put there stays."""
    headers = response.headers
    for name, value in _ALL.items():
        headers.setdefault(name, value)
    is_page = headers.get("content-type", "").startswith("text/html")
    if "content-security-policy" not in headers:
        headers["content-security-policy"] = PAGE_POLICY if is_page else DATA_POLICY
        headers["x-frame-options"] = "DENY"
    if is_page:
        headers.setdefault("cross-origin-opener-policy", "same-origin")
    if endpoint is None or endpoint.scope is not OPEN:
        # A page may be shown again when the reader goes back; what it was made of is asked for each time.
        headers.setdefault("cache-control", "private, no-cache" if is_page else "no-store")
