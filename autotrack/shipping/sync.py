"""Sending in the foreground what spools hold: for ``autotrack sync``."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autotrack import owners, spool
from autotrack.errors import SettingsError
from autotrack.settings import scheme_of
from autotrack.shipping.shipper import Outcome, Shipper
from autotrack.spool import DOWN, LEAVE, LEFT, Spool, Status, Waiting

_LEAVING_SECONDS: Final = 3.0
_PAUSE: Final = 0.05
_REFUSED_AGAIN: Final = 6
"""So many passes without anything sent are made: what a store refuses is tried some times before it is set aside."""

_SECRET_FROM: Final = "give the store's whole URI with --store, or in AUTOTRACK_STORE"


@dataclass(frozen=True, slots=True)
class Synced:
    """What became of one spool.

    Parameters
    ----------
    spool, store : which one; the store's URI has no password.
    sent : entries that went to the store.
    waiting : what did not.
    error : why; empty where nothing is left.
    remarks : what else is to be told, a sentence each.
    """

    spool: Spool
    store: str
    sent: int
    waiting: Waiting
    error: str
    remarks: tuple[str, ...]


def chosen(store: str | None, folder: Path | None, everything: bool) -> list[Spool]:
    """The spools to send: those of a folder, of every store, or of one store.

    Raises
    ------
    SettingsError
        For a folder that is no spool and has none.
    """
    found = spool.every(folder or spool.root())
    if folder is not None and not found:
        raise SettingsError(f"{folder} is no spool: there is no {spool.INFO} in it, nor in the folders in it")
    if everything or folder is not None or store is None or scheme_of(store) in ("", "file", "memory"):
        return found
    wanted = spool.without_secrets(store)
    return [one for one in found if (info := one.info()) is not None and info.store == wanted]


def uri_of(one: Spool, given: str | None, in_force: str) -> str:
    """The URI, with its password, of the store that a spool is for.

    Parameters
    ----------
    one : the spool.
    given : a URI that was named for it; it counts, whatever the spool says.
    in_force : the URI that holds otherwise; it is taken where it is the same but for its password.

    Raises
    ------
    SettingsError
        When the spool does not say it.
    """
    if given is not None:
        return given
    info = one.info()
    if info is None:
        raise SettingsError(f"{one.folder} does not say which store it is for; {_SECRET_FROM}")
    return in_force if spool.without_secrets(in_force) == info.store else info.store


def sync(one: Spool, uri: str, *, is_copy: bool, progress: Callable[[int], None]) -> Synced:
    """Send what a spool holds.

    Parameters
    ----------
    one : the spool.
    uri : the store's, with its password.
    is_copy : whether it may come from another machine, whose processes are over then.
    progress : called with the number of entries that went to the store, whenever some did.
    """
    info = one.info()
    shown = info.store if info is not None else spool.without_secrets(uri)
    remarks: list[str] = []
    lock = _take_over(one, progress)
    if lock is None:
        status = one.status()
        return _told(one, shown, 0, status.error if status is not None and status.state == DOWN else "", remarks)
    folder = os.getcwd()
    sent, outcome = 0, Outcome()
    shipper = Shipper(one, uri, foreign_is_dead=is_copy, remark=remarks.append, progress=progress)
    try:
        if info is not None and os.path.isdir(info.folder):
            os.chdir(info.folder)
        for _ in range(_REFUSED_AGAIN):
            outcome = shipper.run()
            sent += outcome.sent
            if not outcome.error or not shipper.is_refused:
                break
        at = spool.now() if outcome.error else 0
        told = Status(LEFT, owners.own_identity(), outcome.error, int(bool(at)), at, spool.now(), spool.now())
        one.tell(told)
    finally:
        shipper.close()
        os.close(lock)
        os.chdir(folder)
    return _told(one, shown, sent, outcome.error, remarks)


def _told(one: Spool, shown: str, sent: int, error: str, remarks: list[str]) -> Synced:
    # Without an error, what waits was written since, by a process that lives: it is sent in the background.
    return Synced(one, shown, sent, one.waiting(), error, tuple(remarks))


def _take_over(one: Spool, progress: Callable[[int], None]) -> int | None:
    """The lock of a spool; ``None`` when a process of the background has sent all there was."""
    lock = one.lock()
    if lock is not None:
        return lock
    # It may wait for long before it tries again, or have an old password.
    one.signal(LEAVE)
    deadline = time.monotonic() + _LEAVING_SECONDS
    while time.monotonic() < deadline:
        lock = one.lock()
        if lock is not None:
            return lock
        time.sleep(_PAUSE)
    status = one.status()
    # Whatever it is in the middle of is done again.
    if status is not None and status.state != LEFT and owners.is_here(status.owner):
        os.kill(status.owner.pid, signal.SIGTERM)
        deadline = time.monotonic() + _LEAVING_SECONDS
        while lock is None and time.monotonic() < deadline:
            time.sleep(_PAUSE)
            lock = one.lock()
    return lock
