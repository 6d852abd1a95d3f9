"""Those who show wrong tokens wait longer each time; nobody else does."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import Final

FIRST: Final = 0.05
LONGEST: Final = 2.0
FORGOTTEN: Final = 300.0
"""Seconds after which a client's failures no longer count."""
MOST_CLIENTS: Final = 4096
MOST_WAITING: Final = 8
"""Failures of one client that wait at a time; it is told to come back later with the others."""


class Slowing:
    """Failures by client. A right token is never looked up here: a client's neighbours behind one address go on."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._waiting: dict[str, int] = {}

    async def failed(self, client: str) -> bool:
        """Count a failure and wait. False when too many of this client's are waiting already."""
        if self._waiting.get(client, 0) >= MOST_WAITING:
            return False
        count, last = self._failures.pop(client, (0, 0.0))
        now = time.monotonic()
        count = 0 if now - last > FORGOTTEN else count
        self._failures[client] = (count + 1, now)
        if len(self._failures) > MOST_CLIENTS:
            self._failures.popitem(last=False)
        self._waiting[client] = self._waiting.get(client, 0) + 1
        try:
            await asyncio.sleep(min(FIRST * 2 ** min(count, 10), LONGEST))
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]
        return True
