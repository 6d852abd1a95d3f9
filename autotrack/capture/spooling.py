"""The sink of stores that are somewhere else: events and files go into a spool, from where another process sends them.

Nothing here talks to a store. The fit pays for the journal, as with a folder store, and once a second for a look at how
the shipper is doing, in the background thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autotrack import journal, spool
from autotrack.capture import starting
from autotrack.capture.guard import say, shield, warn
from autotrack.capture.progress import Bar
from autotrack.capture.sinks import FolderSink
from autotrack.capture.worker import Task
from autotrack.events import Event
from autotrack.settings import working_folder
from autotrack.spool import DOWN, LEAVE, Status

EXIT_TIMEOUT: Final = 30.0
"""Seconds that the end of a program waits at the most, unless ``AUTOTRACK_EXIT_TIMEOUT`` says otherwise."""

_DOWN_SECONDS: Final = 3.0
"""The same while the store cannot be reached."""

_SILENT_SECONDS: Final = 10.0
"""Whoever has little patience waits so long while nothing gets on though no failure is told: a store that hangs."""

_LOOK_SECONDS: Final = 1.0
_LONGEST_SILENCE: Final = 60.0
"""The same for whoever waits as long as the store can be reached."""

_LABEL: Final = "sending runs to the store"
_FASTEST, _SLOWEST = 0.002, 0.05
_LONGEST_RESTART: Final = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """A journal, and how many bytes of it are to be in the store."""

    path: Path
    size: int


class SpoolSink(FolderSink):
    """Writes to the spool of a store, and sees to it that a shipper runs.

    Parameters
    ----------
    uri : the store's, with its password, which is handed to the shipper and written nowhere.
    submit : has a task done in the background.
    """

    def __init__(self, uri: str, submit: Callable[[Task], None]) -> None:
        self._uri = uri
        self._submit = submit
        self._spool, self._info = spool.of_store(uri, str(working_folder()))
        self._began = journal.new_journal_id()[:15]
        self._next_look = 0.0
        self._is_first_look = True
        self._next_start = 0.0
        self._restart_pause = _LOOK_SECONDS
        self._cannot_start = ""
        self._has_warned = False
        self._targets: dict[Path, Target] = {}
        super().__init__(self._spool.folder)

    def append(self, events: Sequence[Event]) -> None:
        super().append(events)
        if events and self._journal is not None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_SECONDS
            self._submit(self._look)

    def flush(self, timeout: float | None = None, patience: float | None = None) -> bool:
        """Wait until all that was appended is in the store.

        Parameters
        ----------
        timeout : seconds to wait at the most; ``None`` for as long as the store can be reached and gets on.
        patience : seconds to wait at the most while the store cannot be reached; ``None`` for as `timeout` has it.

        Returns
        -------
        bool
            False when not all is.
        """
        with self._lock:
            self._note_size()
            targets = list(self._targets.values())
        if not targets:
            return not self._waiting
        left = self._wait(targets, timeout, patience if timeout is not None or patience is not None else 0.0)
        with self._lock:
            for path in self._targets.keys() - {target.path for target in left}:
                if self._journal is None or self._journal.path != path:
                    del self._targets[path]
        return not left and not self._waiting

    def after_fork(self) -> None:
        super().after_fork()
        starting.after_fork()
        self._targets.clear()
        self._next_look = 0.0

    def close(self) -> None:
        with self._lock:
            self._note_size()
            super().close()

    def at_exit(self, show_bar: bool) -> None:
        """Wait a while for the spool to empty, with a bar once that takes long, and tell what is left."""
        if not self._targets:
            return
        targets = {target.path: target for target in self._newer()} | self._targets
        limit = _exit_timeout()
        # What a forked worker wrote counts too: in a container everything ends with the program.
        left = self._wait(list(targets.values()), limit, min(limit, _DOWN_SECONDS), show_bar=show_bar, at_exit=True)
        if left:
            self._tell_what_waits()

    def _prepare_folder(self) -> None:
        self._spool.make(self._info)

    def _note_size(self) -> None:
        if self._journal is not None:
            try:
                path = self._journal.path
                self._targets[path] = Target(path, path.stat().st_size)
            except OSError:  # it was deleted
                pass

    def _newer(self) -> list[Target]:
        """The journals that were begun since this sink was."""
        found = []
        for path in self._spool.paths():
            if path.name >= self._began:
                try:
                    found.append(Target(path, path.stat().st_size))
                except OSError:
                    continue
        return found

    def _look(self) -> None:
        """See that a shipper runs, and say so once when it cannot reach the store."""
        status = self._spool.status()
        if not self._spool.is_tended():
            self._start()
        elif self._is_first_look and status is not None and status.state == DOWN:
            # It may have an old password: one with ours takes its place.
            self._spool.signal(LEAVE)
        elif status is not None and status.state == DOWN and status.failures > 1:
            self._warn(status)
        elif status is not None and not status.failures:
            self._restart_pause = _LOOK_SECONDS
        self._is_first_look = False

    def _start(self) -> None:
        if self._cannot_start or time.monotonic() < self._next_start:
            return
        self._next_start = time.monotonic() + self._restart_pause
        self._restart_pause = min(_LONGEST_RESTART, 2 * self._restart_pause)
        try:
            starting.start(self._spool, self._info, self._uri)
        except starting.CannotStart as error:
            self._cannot_start = str(error)
            warn(
                f"cannot start the process that sends runs to {self._info.store} ({error}); they wait in "
                f"{self._spool.folder} for: {self._sync()}"
            )

    def _warn(self, status: Status) -> None:
        if not self._has_warned:
            self._has_warned = True
            warn(
                f"cannot send to the store {self._info.store} ({status.error}); runs wait in {self._spool.folder} and "
                f"go out when it can be reached again, or with: {self._sync()}"
            )

    def _wait(
        self,
        targets: Sequence[Target],
        timeout: float | None,
        patience: float | None,
        *,
        show_bar: bool = False,
        at_exit: bool = False,
    ) -> list[Target]:
        """Wait until targets are in the store; gives those that are not."""
        left = [target for target in targets if not self._spool.has_shipped(target.path, target.size)]
        if not left:
            return []
        bar = Bar(_LABEL, unit="events", few=1) if show_bar else None
        total = [_last_number(target) - self._spool.ack(target.path).number for target in left]
        if bar is not None:
            bar.grow(sum(total), _LABEL)
        began, asked, pause = time.monotonic(), spool.now(), _FASTEST
        looked, moved, before = -_LOOK_SECONDS, began, -1
        try:
            while left:
                at = time.monotonic()
                if timeout is not None and at - began >= timeout:
                    break
                if at - looked >= _LOOK_SECONDS:
                    looked = at
                    if not self._spool.is_tended():
                        self._start()
                    self._spool.signal()
                if patience is not None and at - began >= patience and self._is_down(asked if not patience else 0):
                    break
                if patience is not None and at - moved >= (_SILENT_SECONDS if patience else _LONGEST_SILENCE):
                    break
                time.sleep(pause if timeout is None else max(0.0, min(pause, timeout - (at - began))))
                pause = min(pause * 1.5, _SLOWEST)
                left = [target for target in left if not self._spool.has_shipped(target.path, target.size)]
                missing = sum(max(0, _last_number(target) - self._spool.ack(target.path).number) for target in left)
                if missing != before:
                    moved, before = time.monotonic(), missing
                if bar is not None:
                    bar.at(sum(total) - missing)
        except KeyboardInterrupt:
            if not at_exit:
                raise
        finally:
            if bar is not None:
                bar.close()
        return left

    def _is_down(self, since: int) -> bool:
        """Whether the store cannot be reached, as an attempt after this time has shown, or can be by nobody."""
        if self._cannot_start:
            return True
        status = self._spool.status()
        return status is not None and status.state == DOWN and status.tried >= since and self._spool.is_tended()

    def _tell_what_waits(self) -> None:
        with shield("count what waits to be sent"):
            waiting, status = self._spool.waiting(), self._spool.status()
            runs = "1 run waits" if waiting.runs == 1 else f"{waiting.runs:,} runs wait"
            why = f" ({status.error})" if status is not None and status.state == DOWN and status.error else ""
            say(
                f"could not yet send all to the store {self._info.store}{why}: {runs} in {self._spool.folder}, to go "
                f"out when the store can be reached, or with: {self._sync()}"
            )

    def _sync(self) -> str:
        return f"autotrack sync --spool {self._spool.folder}" if os.environ.get("AUTOTRACK_SPOOL") else "autotrack sync"


def _exit_timeout() -> float:
    try:
        return max(0.0, float(os.environ.get("AUTOTRACK_EXIT_TIMEOUT", EXIT_TIMEOUT)))
    except ValueError:
        return EXIT_TIMEOUT


def _last_number(target: Target) -> int:
    """The number of the last entry within a target."""
    try:
        return journal.last_number(target.path, target.size)
    except OSError:
        return 0
