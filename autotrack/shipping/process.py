"""The shipper as a process: sends what comes, waits while the store is down, and leaves when nobody writes any more."""

from __future__ import annotations

import os
import random
import select
import stat
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Final

from autotrack.owners import own_identity
from autotrack.shipping.shipper import Shipper
from autotrack.spool import DOWN, IDLE, LEAVE, LEFT, LOCK, LOG, PIPE, SENDING, STARTING, Spool, Status, now, scrubbed

_FASTEST, _SLOWEST = 0.1, 1.0
"""Seconds between two looks at the sizes of the journals: just after something came, and while nothing does."""

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
"""Seconds to wait after a failure; each further one doubles them."""

_IDLE_SECONDS: Final = 3.0
_PATIENCE_SECONDS: Final = 3600.0
"""Without a process that writes, a shipper stays so long, and so long while the store is down."""

_LOOK_SECONDS: Final = 1.0
_LOG_BYTES: Final = 1_000_000


class Process:
    """One shipper, from the moment that it holds the lock.

    Parameters
    ----------
    spool : the spool.
    uri : the store's, with its password.
    lock : the descriptor that holds the lock.
    """

    def __init__(self, spool: Spool, uri: str, lock: int) -> None:
        self._spool = spool
        self._uri = uri
        self._lock = lock
        self._status = Status(STARTING, own_identity())
        self._told = 0.0
        self._shipper = Shipper(spool, uri, remark=self.log, progress=lambda _: self._tell())
        self._gave_up = False
        self._pipe = _open_pipe(spool.folder / PIPE)
        # Not from the seed of anybody: processes that began together must not knock together.
        self._random = random.SystemRandom()

    def run(self) -> None:
        """Send until there is nothing left to do."""
        self._tell(state=STARTING)
        while True:
            self._send_until_idle()
            self._tell(state=LEFT)
            os.close(self._lock)
            # Whoever began to write before the lock was free has not started another one.
            if not any(not self._spool.ack(path).done for path in self._spool.paths()) or self._gave_up:
                return
            lock = self._spool.lock()
            if lock is None:
                return
            self._lock = lock

    def log(self, text: str) -> None:
        """Write a line to the spool's log, without secrets."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {os.getpid()} {scrubbed(text, self._uri)}\n"
        try:
            path = self._spool.folder / LOG
            if path.exists() and path.stat().st_size > _LOG_BYTES:
                os.replace(path, path.with_name(LOG + ".1"))
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "ab") as file:
                file.write(line.encode("utf-8", "backslashreplace"))
        except OSError:  # a full disk: there is nobody left to tell
            pass

    def _send_until_idle(self) -> None:
        self._gave_up = False
        pause, last_pass, alone_since = _FASTEST, 0.0, time.monotonic()
        while True:
            if not self._is_in_place():
                self._gave_up = True
                return
            if self._shipper.has_news() or self._status.failures or time.monotonic() - last_pass >= _LOOK_SECONDS:
                self._tell(state=SENDING if not self._status.failures else DOWN)
                outcome = self._shipper.run()
                last_pass = time.monotonic()
                if outcome.sent or outcome.live:
                    alone_since = last_pass
                pause = _FASTEST if outcome.sent else min(pause * 1.5, _SLOWEST)
                if outcome.error:
                    pause = self._fail(outcome.error)
                else:
                    self._succeed()
            elif self._status.state != IDLE:
                self._tell(state=IDLE)
            alone = time.monotonic() - alone_since
            if alone > (_PATIENCE_SECONDS if self._status.failures else _IDLE_SECONDS):
                self._gave_up = bool(self._status.failures)
                return
            if self._wait(pause):
                self._gave_up = True
                return

    def _fail(self, error: str) -> float:
        """Tell of a failed attempt; gives the seconds to wait for the next."""
        status = self._status
        if error != status.error:
            self.log(f"cannot send: {error}")
        at, failures = now(), status.failures + 1
        since = status.since or at
        self._tell(state=DOWN, error=error, failures=failures, since=since, tried=at)
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(failures - 1, 10))
        return longest * self._random.uniform(0.5, 1.0)

    def _succeed(self) -> None:
        if self._status.failures:
            self.log("the store takes runs again")
        self._tell(state=IDLE, error="", failures=0, since=0, tried=now())

    def _wait(self, seconds: float) -> bool:
        """Wait, or until somebody wants it to look; whether it is to leave."""
        if self._pipe is None:
            time.sleep(seconds)
            return False
        if not select.select([self._pipe], [], [], seconds)[0]:
            return False
        asked = os.read(self._pipe, 4096)
        return LEAVE in asked

    def _tell(self, **changes: object) -> None:
        """Write the status, where it changed or was not written for a second."""
        changed = replace(self._status, **changes)  # type: ignore[arg-type]
        if changed.state == self._status.state and changed.failures == self._status.failures and changed.failures == 0:
            self._status = changed
            if time.monotonic() - self._told < _LOOK_SECONDS:
                return
        self._told = time.monotonic()
        self._status = replace(changed, updated=now())
        try:
            self._spool.tell(self._status)
        except OSError:  # a full disk, or a spool that was removed: what counts is tried all the same
            pass

    def _is_in_place(self) -> bool:
        """Whether the spool still stands where it stood; false after somebody removed it."""
        try:
            there, ours = os.stat(self._spool.folder / LOCK), os.fstat(self._lock)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def main(spool: Spool, uri: str, lock: int) -> None:
    """Run a shipper; never raises."""
    process = Process(spool, uri, lock)
    try:
        process.run()
    except Exception as error:  # noqa: BLE001 - nobody sees standard error; the next append starts another one
        trace = "".join(traceback.format_exception(error)).rstrip()
        process.log(f"ended by an error of its own: {trace}")


def _open_pipe(path: Path) -> int | None:
    """The named pipe by which others wake us; ``None`` where the file system has none."""
    try:
        if not path.exists():
            os.mkfifo(path, 0o600)
        if not stat.S_ISFIFO(path.stat().st_mode):
            return None
        # Open for writing too, or it would be at its end whenever no other writer has it open.
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, AttributeError):
        return None
