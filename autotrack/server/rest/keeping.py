"""What a worker keeps of its own beside the store: locks for what is read and then written."""

from __future__ import annotations

import asyncio
import time
from typing import Final
from weakref import WeakKeyDictionary

from autotrack.server.site import Site

_STRIPES: Final = 64
_locks: WeakKeyDictionary[Site, list[asyncio.Lock]] = WeakKeyDictionary()


def lock_of(site: Site, key: str) -> asyncio.Lock:
    """The lock of a run or experiment, which some others share. It holds off this worker's requests only."""
    locks = _locks.get(site)
    if locks is None:
        locks = _locks[site] = [asyncio.Lock() for _ in range(_STRIPES)]
    return locks[hash(key) % _STRIPES]


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
