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

_MOST: Final = 256
"""More tasks than this do not wait: the thread that brings one does it itself, so that memory stays bounded."""


class Worker:
    """A queue with one thread."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew, without the thread and the tasks of the parent."""
        self._tasks: deque[Task] = deque()
        self._later: list[tuple[float, Task]] = []
        self._changed = threading.Condition()
        self._running = False
        self._thread: threading.Thread | None = None

    def submit(self, task: Task, delay: float = 0.0) -> None:
        """Have a task done soon, or after ``delay`` seconds or the next `drain`; never raises for what it does."""
        with self._changed:
            if len(self._tasks) + len(self._later) < _MOST and self._start():
                if delay:
                    self._later.append((time.monotonic() + delay, task))
                else:
                    self._tasks.append(task)
                if not delay or len(self._later) == 1:  # else it has its next time already
                    self._changed.notify_all()
                return
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
                if self._later:
                    self._bring_forward()
                    self._changed.notify_all()
                if self._thread is None or not self._thread.is_alive():
                    break
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._changed.wait(left)
            left_over, self._tasks = self._tasks, deque()
        for task in left_over:
            _do(task)
        return True

    def _bring_forward(self, until: float | None = None) -> float | None:
        """Make tasks of those that are due (of all, without ``until``); gives back when the next one is."""
        due = [task for at, task in self._later if until is None or at <= until]
        if due:
            self._later = [] if until is None else [(at, task) for at, task in self._later if at > until]
            self._tasks.extend(due)
        return min((at for at, _ in self._later), default=None)

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
                while not self._tasks:
                    at = self._bring_forward(time.monotonic())
                    if not self._tasks:
                        self._changed.wait(None if at is None else max(0.0, at - time.monotonic()))
                task = self._tasks.popleft()
                self._running = True
            _do(task)
            del task


def _do(task: Task) -> None:
    token = scope.quiet.set(scope.OURS)
    try:
        with shield("finish recording a run in the background"):
            task()
    finally:
        scope.quiet.reset(token)
