"""Calling the model: for all requests that wait at once, and never so that the event loop has to wait long.

A model's call costs much the same for one row and for some dozen, so what came in while it was busy is predicted in one
call as soon as it is free. A call goes through a thread, but for models that have shown to be quick: those are called
on the event loop itself, which spares two changes of thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Hashable, Sequence
from queue import SimpleQueue
from time import perf_counter
from typing import Any, Final, NamedTuple, Protocol

from autotrack.serving.counters import Counters

QUICK: Final = 0.002
"""Seconds: a model whose calls took less is called on the loop. An interpreter changes threads every 5 ms at best."""
SLOW: Final = 0.02
"""Seconds: a call on the loop that took more was one too many."""
FIRST_BAN: Final = 500
"""So many calls go through the thread after the first such call."""
SEEN: Final = 12
"""So many calls have to have been quick."""
_AS_LARGE: Final = 2
"""On the loop a call may have so many times the rows of the largest that was quick."""


class Scoring(Protocol):
    """What is asked of a scorer; `autotrack.serving.scoring.Scorer` is one."""

    row_wise: bool

    def batch_key(self, payload: Any) -> Hashable | None:
        """Equal for payloads that can be predicted together; ``None`` for one that has to be alone."""
        ...

    def predict_many(self, payloads: Sequence[Any]) -> list[Any]:
        """For each payload its predictions, or the exception that is its answer."""
        ...


class Busy(Exception):
    """So many requests wait that this one is better sent again later."""


class _Request(NamedTuple):
    payload: Any
    rows: int
    key: Hashable | None
    future: asyncio.Future[Any]


class _Done(NamedTuple):
    """For each request its predictions or its exception, and how long that took, in seconds."""

    results: list[Any]
    seconds: float


class Batcher:
    """Predicts for requests, in the order in which they came. Made and used on the event loop.

    Parameters
    ----------
    scorer : calls the model.
    counters : told of every call.
    max_batch : rows of one call for several requests; with 0 or 1, and for a model whose rows depend on one another,
        each request has a call of its own.
    max_delay : seconds that the first of a batch waits for others; 0 for no waiting.
    max_waiting : requests that may wait.
    """

    def __init__(
        self,
        scorer: Scoring,
        counters: Counters,
        *,
        max_batch: int = 256,
        max_delay: float = 0.0,
        max_waiting: int = 1024,
    ) -> None:
        self._scorer = scorer
        self._counters = counters
        self._together = max_batch if scorer.row_wise else 0
        self._max_delay = max_delay if self._together > 1 else 0.0
        self._max_waiting = max_waiting
        self._waiting: deque[_Request] = deque()
        self._rows_waiting = 0
        self._busy = False
        self._timer: asyncio.Handle | None = None
        self._pace = _Pace()
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[list[_Request] | None] = SimpleQueue()
        # A daemon: a model that never returns must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="predictor", daemon=True)
        self._thread.start()

    @property
    def max_batch(self) -> int:
        """Rows that are predicted together; 0 for no batches."""
        return self._together

    def predict(self, payload: Any, rows: int) -> asyncio.Future[Any]:
        """The predictions of a payload, some day.

        Raises
        ------
        Busy
            When too many wait already.
        BadInput
            As the scorer's ``batch_key``.
        """
        if len(self._waiting) >= self._max_waiting:
            raise Busy
        key = self._scorer.batch_key(payload)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(_Request(payload, rows, key, future))
        self._rows_waiting += rows
        if self._busy:
            return future
        if self._timer is None:
            # Not at once: whatever else has arrived in this turn of the loop comes along.
            if self._max_delay and self._rows_waiting < self._together:
                self._timer = self._loop.call_later(self._max_delay, self._start)
            else:
                self._timer = self._loop.call_soon(self._start)
        elif self._max_delay and self._rows_waiting >= self._together:
            self._timer.cancel()
            self._timer = self._loop.call_soon(self._start)
        return future

    def close(self) -> None:
        """End the thread once it has done what it is at."""
        self._jobs.put(None)

    def _start(self) -> None:
        self._timer = None
        batch = self._take()
        if not batch:
            return
        rows = sum(request.rows for request in batch)
        if not self._pace.is_quick(rows):
            self._busy = True
            self._jobs.put(batch)
            return
        done = self._call(batch)
        self._pace.on_the_loop(done.seconds)
        self._deliver(batch, done)
        if self._waiting:
            self._timer = self._loop.call_soon(self._start)

    def _take(self) -> list[_Request]:
        """The first that waits, and those behind it that can be predicted with it."""
        waiting = self._waiting
        batch: list[_Request] = []
        rows = 0
        while waiting:
            request = waiting[0]
            if batch and (rows + request.rows > self._together or request.key is None or request.key != batch[0].key):
                break
            waiting.popleft()
            self._rows_waiting -= request.rows
            if request.future.cancelled():
                continue
            batch.append(request)
            rows += request.rows
        return batch

    def _work(self) -> None:
        while (batch := self._jobs.get()) is not None:
            done = self._call(batch)
            try:
                self._loop.call_soon_threadsafe(self._finish, batch, done)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _finish(self, batch: list[_Request], done: _Done) -> None:
        self._busy = False
        self._deliver(batch, done)
        self._pace.in_the_thread(sum(request.rows for request in batch), done.seconds)
        if self._waiting and self._timer is None:
            self._start()

    def _deliver(self, batch: list[_Request], done: _Done) -> None:
        for request, result in zip(batch, done.results):
            if request.future.done():
                continue
            if isinstance(result, BaseException):
                is_plain = isinstance(result, Exception) and not isinstance(result, StopIteration)
                request.future.set_exception(result if is_plain else RuntimeError(f"the model raised {result!r}"))
            else:
                request.future.set_result(result)
        self._counters.predicted(len(batch), sum(request.rows for request in batch), done.seconds)

    def _call(self, batch: list[_Request]) -> _Done:
        began = perf_counter()
        try:
            results = self._scorer.predict_many([request.payload for request in batch])
        except BaseException as error:  # noqa: BLE001 - even a model that wants to end the process fails like any other
            results = [error] * len(batch)
        return _Done(results, perf_counter() - began)


class _Pace:
    """Whether calls are quick enough for the event loop.

    It takes some quick calls in a row to be let onto it. A slow one there is the last for many calls, and for twice as
    many each time: a model that is slow now and then holds the loop up a handful of times in its life.
    """

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=SEEN)
        self._rows = 0
        self._banned = 0
        self._next_ban = FIRST_BAN

    def is_quick(self, rows: int) -> bool:
        return (
            self._banned == 0
            and len(self._seconds) == SEEN
            and rows <= self._rows * _AS_LARGE
            and max(self._seconds) < QUICK
        )

    def in_the_thread(self, rows: int, seconds: float) -> None:
        self._seconds.append(seconds)
        self._banned = max(0, self._banned - 1)
        if seconds < QUICK:
            self._rows = max(self._rows, rows)

    def on_the_loop(self, seconds: float) -> None:
        if seconds > SLOW:
            self._banned = self._next_ban
            self._next_ban *= 2
            self._seconds.clear()
