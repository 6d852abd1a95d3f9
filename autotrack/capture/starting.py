"""Starting the process that sends what is spooled, `autotrack.shipping`, and having nothing to do with it afterwards.

It is started by whoever gets its lock, which is handed over with the descriptor: of twenty processes that begin at once
one starts one. It is nobody's child: the first child forks, ends, and is waited for, so that the program finds no child
that it does not know. It inherits no other descriptor, and runs nothing of the user's.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

import autotrack
from autotrack.spool import Info, Spool

_CODE: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); import autotrack; del sys.path[0]; "
    "from autotrack.shipping.__main__ import main; main()"
)
_PIPE_BYTES: Final = 60_000
"""What a pipe takes before anybody reads it, about."""

_ABOVE: Final = 10
"""Descriptors of ours are put above those that the new process gets, so that none is overwritten."""

_held: set[int] = set()


class CannotStart(Exception):
    """There can be no such process here; the message says why."""


def start(spool: Spool, info: Info, uri: str) -> bool:
    """Start a shipper, unless there is one already; false then.

    Raises
    ------
    CannotStart
        When it could not be started.
    """
    if getattr(sys, "frozen", False) or not sys.executable or not hasattr(os, "posix_spawn"):
        raise CannotStart("no Python interpreter can be started here")
    import fcntl

    opened: list[int] = []

    def above(fd: int) -> int:
        try:
            opened.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE))
        finally:
            os.close(fd)
        return opened[-1]

    try:
        lock = spool.lock()
        if lock is None:
            return False
        lock = above(lock)
        _held.add(lock)
        reading, writing = map(above, os.pipe())
        # Before there is a reader that could die: a broken pipe may be the end of the user's program.
        os.write(writing, _message(info, uri))
        null = above(os.open(os.devnull, os.O_WRONLY))
        copies = [(reading, 0), (null, 1), (null, 2), (lock, 3)]
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-W", "ignore", "-c", _CODE, _root(), str(spool.folder)],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, ours, theirs) for ours, theirs in copies],
            setsigmask=(),
        )
        try:
            status = os.waitpid(pid, 0)[1]
        except ChildProcessError:  # the program waits for whatever child ends, or ignores them
            return True
        if status:
            raise CannotStart(f"{sys.executable} ended with code {os.waitstatus_to_exitcode(status)}")
    except OSError as error:
        raise CannotStart(str(error)) from error
    finally:
        for fd in opened:
            _held.discard(fd)
            os.close(fd)
    return True


def after_fork() -> None:
    """In a forked child: let go of a lock that another thread of the parent is just handing over."""
    for fd in _held:
        try:
            os.close(fd)
        except OSError:
            pass
    _held.clear()


def _root() -> str:
    return str(Path(autotrack.__file__).resolve().parent.parent)


def _message(info: Info, uri: str) -> bytes:
    """What the new process is told, in one line."""
    path = [os.path.abspath(folder) for folder in sys.path]
    told = {"uri": uri, "folder": info.folder or os.sep, "path": path}
    line = json.dumps(told).encode() + b"\n"
    if len(line) > _PIPE_BYTES:
        line = json.dumps(told | {"path": []}).encode() + b"\n"
    return line
