"""Who writes a journal: what tells a process from every other, and whether it still lives."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - not on this platform
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells one process from every other: ``started`` and ``boot`` are opaque, empty where unknown."""

    host: str
    pid: int
    started: str
    boot: str


def owner_lives(path: Path, owner: Identity) -> bool:
    """Whether the process that writes a journal still lives, as far as this machine can tell."""
    try:
        return is_locked(path) or is_here(owner)
    except OSError:
        return False


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a journal; false where there are no locks. Raises ``OSError`` for no file."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        if fcntl is not None:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks on this file system: the identity has to do
        pass
    finally:
        os.close(fd)
    return False


@contextmanager
def reading(path: Path) -> Iterator[bool]:
    """Hold a file against writers that lock it, as `is_locked` tells; yields false where one of them has it now."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:  # whoever reads it will say so
        yield True
        return
    try:
        if fcntl is not None:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        is_free = True
    except BlockingIOError:
        is_free = False
    except OSError:  # no locks on this file system
        is_free = True
    try:
        yield is_free
    finally:
        os.close(fd)


def is_here(owner: Identity) -> bool:
    """Whether a process of this machine that calls itself so still lives."""
    here = own_identity()
    if owner.host != here.host or owner.boot != here.boot or not owner.started:
        return False
    return _process_start(owner.pid) == owner.started


def own_identity() -> Identity:
    """The identity of this process."""
    return _identity_of(os.getpid())


@lru_cache(maxsize=1)
def _identity_of(pid: int) -> Identity:
    return Identity(_host(), pid, _process_start(pid), _boot_id())


@lru_cache(maxsize=1)
def _host() -> str:
    import socket

    return socket.gethostname()


@lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _process_start(pid: int) -> str:
    """When a process started, as an opaque text; empty for a process that is gone or a platform without ``/proc``."""
    if sys.platform != "linux":
        return ""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    # The command may hold blanks and brackets: fields are counted from behind the last bracket (proc_pid_stat(5)).
    fields = stat[stat.rindex(b")") + 2 :].split()
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
