"""Locks for changes that read first and then write: held against this worker's other requests, and other workers.

A worker's requests wait for one another in turn. Workers of one machine are kept apart by locks on files in the user's
cache; where there is no such folder, or no such locks, only the requests of one worker are.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from autotrack.stores.artifacts.cache import cache_folder
from autotrack.stores.base import Store

try:
    import fcntl
except ImportError:  # pragma: no cover - not on this platform
    fcntl = None  # type: ignore[assignment]

P = ParamSpec("P")
T = TypeVar("T")

_PLACES: Final = 256
"""Files that are locked; two keys may share one."""
_PAUSE: Final = 0.005

_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, asyncio.Lock]] = WeakKeyDictionary()


@asynccontextmanager
async def held(store: Store, key: str) -> AsyncIterator[None]:
    """Inside, nobody else has the same key of the same store. Never held twice at once by one request."""
    digest = hashlib.sha256(f"{store.uri}\0{key}".encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:4], "big") % _PLACES
    locks = _loops.setdefault(asyncio.get_running_loop(), {})
    async with locks.setdefault(place, asyncio.Lock()):
        descriptor = None if fcntl is None else _open(place)
        try:
            while descriptor is not None and not _locked(descriptor):
                await asyncio.sleep(_PAUSE)
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)


def lists_of(run_id: str) -> str:
    """The key for changes of the lists that a run's tags hold: its models, in and out, and their metrics."""
    return f"lists of {run_id}"


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what takes long, in a thread that no read of the store waits for; when cancelled, not before it is done."""
    call: Awaitable[T] = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        with suppress(Exception):
            await call
        raise


def _open(place: int) -> int | None:
    folder = Path(cache_folder()) / "locks"
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(folder / f"{place:02x}", flags, 0o600)
    except OSError:
        return None


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this file system
        return True
    return True
