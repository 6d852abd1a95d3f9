"""What requests write, put into the store together: those that come while one batch is being written make the next."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from autotrack.errors import StoreError
from autotrack.events import Entry, Event
from autotrack.journal import new_journal_id
from autotrack.stores.base import Store

if TYPE_CHECKING:
    from autotrack.server.counters import Counters

MOST_EVENTS: Final = 20_000
"""Events of one batch, unless a single request has more."""

_MICROSECOND: Final = 1e-6
_logger = logging.getLogger("autotrack.server")


class Writer:
    """One thread that applies events to a store.

    Each batch is a journal of its own, begun later than the one before: of two values for one key the later stays,
    whichever worker took it in.
    """

    def __init__(self, store: Store, counters: Counters | None = None) -> None:
        self._store = store
        self._counters = counters
        self._waiting: list[tuple[Sequence[Event], Future[None]]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._last = 0.0
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, events: Sequence[Event]) -> Future[None]:
        """Write events. The future is done when they are in the store, or has the `StoreError` that they met.

        Raises
        ------
        StoreError
            When the writer is closed.
        """
        future: Future[None] = Future()
        with self._changed:
            if self._closed:
                raise StoreError("the server is ending; nothing more is written")
            self._waiting.append((events, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Write what waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                batch = self._take()
            if not batch:
                return
            self._write(batch)

    def _take(self) -> list[tuple[Sequence[Event], Future[None]]]:
        count = total = 0
        for events, _ in self._waiting:
            total += len(events)
            if count and total > MOST_EVENTS:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _write(self, batch: list[tuple[Sequence[Event], Future[None]]]) -> None:
        events = [event for events, _ in batch for event in events]
        began = time.perf_counter()
        try:
            self._apply(events)
        except Exception as error:
            if len(batch) == 1:
                if self._counters is not None:
                    self._counters.write_failed()
                if not isinstance(error, StoreError):
                    _logger.error("writing failed", exc_info=error)
                batch[0][1].set_exception(error)
                return
            for one in batch:  # one of them may be at fault
                self._write([one])
            return
        if self._counters is not None:
            self._counters.wrote(len(batch), len(events), time.perf_counter() - began)
        for _, future in batch:
            future.set_result(None)

    def _apply(self, events: Sequence[Event]) -> None:
        self._last = max(time.time(), self._last + _MICROSECOND)
        journal = new_journal_id(self._last)
        self._store.apply([Entry(journal, number, event) for number, event in enumerate(events, 1)])
