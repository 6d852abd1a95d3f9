"""What clients are told of an error: its message, without where on the server's machine or network anything is."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from typing import Final
from urllib.parse import parse_qs, unquote

from autotrack.errors import AutotrackError, StoreError
from autotrack.stores.artifacts.cache import cache_folder
from autotrack.stores.base import Store

HIDDEN: Final = "the server's store"
"""What stands in messages for the store and its folders."""
_FAILED: Final = f"{HIDDEN} failed at this request; the server's log says why"
_LOOKED: Final = re.compile(r"; looked in .*?(?=; it|$)", re.DOTALL)
_URL: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*:)(?://)?", re.IGNORECASE)

_logger = logging.getLogger("autotrack.server")


def told(error: Exception, store: Store) -> str:
    """What clients may read of an error; the log has it whole.

    What a database's or object store's own library says is left out altogether: it names hosts and users.
    """
    whole = str(error)
    cause = error.__cause__ or error.__context__
    foreign = isinstance(error, StoreError) and cause is not None and _is_foreign(cause)
    shown = _FAILED if foreign else without_places(whole, store)
    if shown != whole:
        level = (
            logging.INFO if isinstance(error, AutotrackError) and not isinstance(error, StoreError) else logging.WARN
        )
        _logger.log(level, "a client was told %r: %s", shown, whole.encode("unicode_escape").decode())
    return shown


def without_places(text: str, store: Store) -> str:
    """A message without the paths of this machine; of a file that it names, the last part of its path is kept."""
    for place in _places(store):
        for spelt in dict.fromkeys((place, repr(place)[1:-1])):
            if spelt in text:
                text = re.sub(rf"{re.escape(spelt)}(?![\w-])([^\s'\",;]*)", _kept, text)
    return _LOOKED.sub("", text)


def _kept(match: re.Match[str]) -> str:
    tail: str = match[1].rstrip(":.)")
    name = tail.rpartition("/")[2] if tail.startswith("/") else ""
    return (f"…/{name}" if name else HIDDEN) + match[1][len(tail) :]


def _is_foreign(cause: BaseException) -> bool:
    return type(cause).__module__.partition(".")[0] not in ("builtins", "autotrack")


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:  # removed since the server began
        return os.sep


def _places(store: Store) -> list[str]:
    """What is not told: the store's URI, and the folders of this machine that errors may be about; longest first."""
    uri = store.uri
    address, _, options = uri.partition("?")
    elsewhere = [place for places in parse_qs(options).values() for place in places]
    folders = [os.path.expanduser("~"), _here(), tempfile.gettempdir(), cache_folder(), sys.prefix, sys.base_prefix]
    urls = [uri, address]
    for one in (address, *elsewhere):
        scheme = _URL.match(one)
        path = one if scheme is None else unquote(one[scheme.end() :])
        if scheme is not None:
            urls.append(one)
        if scheme is not None and one.lower().startswith("sqlite"):
            path = os.path.normpath(os.path.join(_here(), path.removeprefix("/")))
            folders.append(os.path.dirname(path))
        if os.path.isabs(path):
            folders.append(path)
    found = {os.path.normpath(folder) for folder in map(str, folders)}
    found |= {os.path.realpath(folder) for folder in found}
    found = {folder for folder in found if os.path.dirname(folder) != folder}
    # A scheme alone, as of a store in memory, tells nothing.
    return sorted(found | {url for url in urls if "/" in url}, key=len, reverse=True)
