"""The background thread: work on what was already taken from the fit, while the user's program goes on.

Tasks hold all they need and touch nothing of the user's. The thread starts with the first task, is a daemon, and is
replaced after a fork (the parent does the tasks that were waiting there).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from autotrack.capture import scope
from autotrack.capture.guard import shield

Task = Callable[[], None]

PAUSE: Final = 0.25
"""Seconds without anything new until what can wait is done: just after a fit the script itself goes on."""

_MOST: Final = 256
"""More tasks than this do not wait: the thread that brings one does it itself, so that memory stays bounded."""

_MOST_LATER: Final = 64
"""The same for tasks that can wait, of which the oldest is done then."""


class Worker:
    """A queue with one thread."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew, without the thread and the tasks of the parent."""
        self._tasks: deque[Task] = deque()
        self._later: deque[Task] = deque()
        self._due = 0.0
        self._changed = threading.Condition()
        self._running = False
        self._thread: threading.Thread | None = None

    def submit(self, task: Task, delay: float = 0.0) -> None:
        """Have a task done soon; never raises for what it does.

        With a ``delay`` in seconds it is done when so long no other such task came, or at the next `drain`: two threads
        that compute at once wait for each other's turn at the interpreter, up to 5 ms each time. A loop of fits goes on
        undisturbed.
        """
        with self._changed:
            if self._start():
                if not delay and len(self._tasks) < _MOST:
                    self._tasks.append(task)
                    self._changed.notify_all()
                    return
                if delay:
                    self._later.append(task)
                    self._due = max(self._due, time.monotonic() + delay)
                    if len(self._later) == 1:
                        self._changed.notify_all()
                    if len(self._later) <= _MOST_LATER:
                        return
                    task = self._later.popleft()
        _do(task)

    def later(self, task: Task) -> None:
        """Have a task done that must not be done here: the caller may hold any lock."""
        with self._changed:
            self._start()
            self._tasks.append(task)
            self._changed.notify_all()

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until every task is done; false when ``timeout`` seconds were not enough."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while self._tasks or self._later or self._running:
                if self._thread is None or not self._thread.is_alive():
                    break
                if self._later:
                    self._due = 0.0
                    self._changed.notify_all()
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._changed.wait(left)
            left_over = [*self._tasks, *self._later]
            self._tasks.clear()
            self._later.clear()
        for task in left_over:
            _do(task)
        return True

    def _start(self) -> bool:
        if self._thread is not None and self._thread.is_alive():
            return True
        self._thread = threading.Thread(target=self._run, name="autotrack", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no thread may start while the interpreter shuts down
            self._thread = None
            return False
        return True

    def _run(self) -> None:
        scope.quiet.set(scope.OURS)
        while True:
            with self._changed:
                self._running = False
                self._changed.notify_all()
                task = self._next()
                self._running = True
            _do(task)
            del task

    def _next(self) -> Task:
        """Wait for the next task."""
        while not self._tasks:
            left = self._due - time.monotonic()
            if self._later and left <= 0:
                return self._later.popleft()
            self._changed.wait(left if self._later else None)
        return self._tasks.popleft()


def _do(task: Task) -> None:
    token = scope.quiet.set(scope.OURS)
    try:
        with shield("finish recording a run in the background"):
            task()
    finally:
        scope.quiet.reset(token)
