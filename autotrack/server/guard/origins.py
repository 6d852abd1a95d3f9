"""Pages of others: a browser sends what they ask of it along with the reader's password, or from inside the reader's
machine. It says, though, which page asked (Sec-Fetch-Site, Origin, Referer); programs, as MLflow's client, say nothing.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.routing import OPEN, Endpoint

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site: our own page asked, or the reader did."""
_FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""})
"""What a page may send to another site without asking it first."""
_PORTS: Final = {"http": 80, "https": 443}


def check(method: str, headers: Headers, endpoint: Endpoint | None) -> None:
    """Refuse what a page of another site asks for.

    Raises
    ------
    Problem
    """
    site = headers.get("sec-fetch-site")
    if method in SAFE:
        # A link to a page of ours is followed. Anything else a page of another site has no use for.
        opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if site is not None and site not in _OWN and not opened and (endpoint is None or endpoint.scope is not OPEN):
            raise _foreign()
        return
    if site is not None and site not in _OWN:
        raise _foreign()
    asked_by = headers.get("origin", headers.get("referer"))
    if asked_by is not None and not _is_own(asked_by, headers.get("host", "")):
        raise _foreign()
    is_told = site is not None or asked_by is not None or headers.get("authorization", "").lower().startswith("bearer ")
    # An old browser, that says nothing of the page, sends forms; programs that send them too have a token to show.
    if method == "POST" and not is_told and _has_body(headers) and _media_type(headers) in _FORMS:
        raise Problem(
            problems.BAD_REQUEST, "send JSON, with 'Content-Type: application/json'; forms are not read here", 415
        )


def _foreign() -> Problem:
    return Problem(problems.DENIED, "a page of another site asked for this; open it from this server's own pages")


def _is_own(asked_by: str, host: str) -> bool:
    try:
        page = urlsplit(asked_by)
        mine = urlsplit(f"{page.scheme}://{host}")
        # Behind a proxy that speaks TLS the scheme is not ours: only it tells which port is left out.
        port = _PORTS.get(page.scheme)
        return (
            page.hostname is not None
            and page.hostname == mine.hostname
            and (page.port or port) == (mine.port or port)
            and port is not None
        )
    except ValueError:
        return False


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0").strip() != "0"
