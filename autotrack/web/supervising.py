"""The process that looks after the workers: starts them, replaces those that die, and ends them in order.

It waits in one place, for signals and for what workers say, and runs no thread and no event loop, so that it can fork.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from autotrack.errors import AutotrackError, ServingError

STARTS: Final = 5
"""So many workers in a row may die before they answer; then it is given up."""
_HEALTHY: Final = 5.0
"""Seconds after which a worker that dies is replaced at once."""
_LONGEST_PAUSE: Final = 10.0
_LAST_SECONDS: Final = 2.0
"""Beyond the grace that workers have themselves; then they are killed."""
_NOT_STARTED: Final = 3
"""A worker's exit code when it has said itself why it cannot start."""

_LONGEST_NAME: Final = 500
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

_logger = logging.getLogger("autotrack.web")

StartWorker = Callable[[int, int, Callable[[str], None]], None]
"""Called in the worker's process, with its number, the lifeline and whom to tell that it answers, and for what."""


@dataclass
class _Worker:
    pid: int
    ready: int
    began: float
    answers: bool = False


class Supervisor:
    """Keeps workers running. Used from the main thread.

    Parameters
    ----------
    start_worker : runs in each worker's process; when it returns the worker ends.
    listener : the socket that they share.
    on_death : called with the number of a worker that died and is replaced.
    workers : how many.
    grace : seconds that they have to end.
    on_ready : called once, when the first of them answers, with what it says it answers for.
    """

    def __init__(
        self,
        start_worker: StartWorker,
        listener: socket.socket,
        on_death: Callable[[int], None],
        *,
        workers: int,
        grace: float,
        on_ready: Callable[[str], None],
    ) -> None:
        self._start_worker = start_worker
        self._listener = listener
        self._on_death = on_death
        self._count = workers
        self._grace = grace
        self._on_ready = on_ready
        self._workers: dict[int, _Worker] = {}
        self._to_start: dict[int, float] = dict.fromkeys(range(workers), 0.0)
        self._failures = 0
        self._was_ready = False
        self._deadline: float | None = None
        self._killed = False
        self._signals: list[int] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Run until told to end by SIGTERM, SIGINT or SIGHUP; a second SIGINT ends at once.

        Returns
        -------
        int
            The program's exit code.

        Raises
        ------
        ServingError
            When no worker comes to answer.
        """
        with self._pipes():
            while self._workers or self._deadline is None:
                self._start_missing()
                self._wait()
                self._heed_signals()
                self._reap()
                if self._deadline is not None and time.monotonic() > self._deadline:
                    _logger.warning("workers are still busy after %g s; they are killed", self._grace)
                    self._kill()
        if not self._killed:
            return 0
        return 130 if signal.SIGINT in self._signals else 1

    @contextlib.contextmanager
    def _pipes(self) -> Iterator[None]:
        self._lifeline, self._life = os.pipe()
        self._wakeup, wake = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(wake, False)
        before = {name: signal.signal(name, lambda *_: None) for name in _SIGNALS}
        woken_before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        try:
            yield
        finally:
            self._kill()
            signal.set_wakeup_fd(woken_before)
            for name, handler in before.items():
                signal.signal(name, handler)
            self._selector.close()
            for descriptor in (self._lifeline, self._life, self._wakeup, wake):
                os.close(descriptor)

    def _start_missing(self) -> None:
        if self._deadline is not None:
            return
        now = time.monotonic()
        for number in [number for number, when in self._to_start.items() if when <= now]:
            del self._to_start[number]
            self._start(number)

    def _start(self, number: int) -> None:
        told, tell = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        # What the child hears before it has handlers of its own would be told to us, through the pipe it inherits.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        with warnings.catch_warnings():
            # Python 3.12 warns where there are threads. BLAS libraries have theirs, and see to forks themselves; those
            # of OpenMP belong to the thread that began them, and the model was loaded in one of its own.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            os.close(told)
            self._be_worker(number, tell)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(tell)
        self._workers[number] = _Worker(pid, told, time.monotonic())
        self._selector.register(told, selectors.EVENT_READ, number)

    def _be_worker(self, number: int, tell: int) -> None:
        """The child's life; it ends in here."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(name, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(self._life)
            for worker in self._workers.values():
                os.close(worker.ready)
            self._selector.close()

            def answers(name: str) -> None:
                os.write(tell, name.encode()[:_LONGEST_NAME] or b"?")
                os.close(tell)

            self._start_worker(number, self._lifeline, answers)
            code = 0
        except AutotrackError as error:
            print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - the command's own way of saying it
            code = _NOT_STARTED
        except BaseException:  # noqa: BLE001 - a forked process must not go on where its parent is
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _wait(self) -> None:
        now = time.monotonic()
        times = [when - now for when in self._to_start.values()] if self._deadline is None else [self._deadline - now]
        timeout = max(0.0, min(times)) if times else None
        for key, _ in self._selector.select(timeout):
            if key.fd == self._wakeup:
                with contextlib.suppress(BlockingIOError):
                    self._signals += os.read(self._wakeup, 512)
                continue
            self._selector.unregister(key.fd)
            if name := os.read(key.fd, _LONGEST_NAME):
                self._answers(self._workers[key.data], name.decode(errors="replace"))

    def _answers(self, worker: _Worker, name: str) -> None:
        worker.answers = True
        if not self._was_ready:
            self._was_ready = True
            self._on_ready(name)

    def _heed_signals(self) -> None:
        ends = [number for number in self._signals if number != signal.SIGCHLD]
        if ends and self._deadline is None:
            self._deadline = time.monotonic() + self._grace + _LAST_SECONDS
            self._listener.close()  # with the workers' own gone too, connections are refused
            self._signal(signal.SIGTERM)
        if ends.count(signal.SIGINT) > 1 or (ends and ends[0] != signal.SIGINT and signal.SIGINT in ends):
            self._kill()
        self._signals = ends

    def _reap(self) -> None:
        for number, worker in list(self._workers.items()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid == 0:
                continue
            if not worker.answers:  # it may have said so in its last moment
                with contextlib.suppress(KeyError):
                    self._selector.unregister(worker.ready)
            os.close(worker.ready)
            del self._workers[number]
            if self._deadline is None:
                self._replace(number, worker, os.waitstatus_to_exitcode(status))

    def _replace(self, number: int, worker: _Worker, code: int) -> None:
        self._on_death(number)
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        was_healthy = worker.answers and time.monotonic() - worker.began > _HEALTHY
        self._failures = 0 if was_healthy else self._failures + 1
        if not worker.answers and code == _NOT_STARTED:
            raise ServingError("the worker cannot start; what it said stands above")
        if not worker.answers and self._failures >= STARTS:
            raise ServingError(
                f"{self._failures} workers in a row died before they answered, the last one {how}: is there enough "
                "memory for each of them?"
            )
        pause = 0.0 if self._failures <= 1 else min(0.25 * 2**self._failures, _LONGEST_PAUSE)
        _logger.warning("worker %d %s; another takes its place", worker.pid, how)
        self._to_start[number] = time.monotonic() + pause

    def _kill(self) -> None:
        if self._workers:
            self._killed = True
            self._signal(signal.SIGKILL)
            for worker in self._workers.values():
                os.waitpid(worker.pid, 0)
                os.close(worker.ready)
            self._workers.clear()

    def _signal(self, number: int) -> None:
        for worker in self._workers.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, number)
