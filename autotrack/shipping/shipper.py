"""One pass over a spool: everything new goes to the store, and what is over is cleared away."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from autotrack import journal, owners
from autotrack.entities import KILLED
from autotrack.errors import AutotrackError
from autotrack.events import Entry, RunEnded, RunStarted
from autotrack.shipping import clearing
from autotrack.shipping.delivery import Delivery, Refused, SpoolTrouble, Unreachable
from autotrack.spool import Ack, Spool, scrubbed
from autotrack.stores import open_store
from autotrack.stores.base import Store

MAX_ENTRIES: Final = 1_000
MAX_BYTES: Final = 1_000_000
"""A batch ends with the entry that makes it so large."""

_FOREIGN_SECONDS: Final = 60.0
"""A journal of another machine whose lock is free counts as dead once it was not written for so long."""

_BEGUN_SECONDS: Final = 2.0
"""A file without a whole first line may just have been begun; after so long it was not."""

_REFUSALS: Final = 4
"""So often is an entry tried before it is asked whether the store takes anything else."""

_TRIED_BEHIND: Final = 3
"""So many entries behind a refused one are tried."""


@dataclass(slots=True)
class Outcome:
    """What a pass found.

    Parameters
    ----------
    sent : entries that went into the store.
    left : journals of which something is not in the store.
    live : journals whose processes live.
    error : why what is left is left; empty where the store took everything.
    """

    sent: int = 0
    left: int = 0
    live: int = 0
    error: str = ""


@dataclass(slots=True)
class _Refusal:
    number: int
    accepted: int
    times: int = 0


class Shipper:
    """Sends what waits in one spool. Not thread-safe.

    Parameters
    ----------
    spool : the spool.
    uri : the store's, with its password.
    foreign_is_dead : whether journals of other machines, whose processes cannot be looked for here, are over.
    remark : told of what could not be sent, and why, a sentence each.
    progress : called with the number of entries that went into the store, whenever some did.
    """

    def __init__(
        self,
        spool: Spool,
        uri: str,
        *,
        foreign_is_dead: bool = False,
        remark: Callable[[str], None] = lambda _: None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._spool = spool
        self._uri = uri
        self._foreign_is_dead = foreign_is_dead
        self._tell = remark
        self._progress = progress
        self._store: Store | None = None
        self._refusals: dict[Path, _Refusal] = {}
        self._accepted = 0
        self._clearing = clearing.Clearing(spool)
        self._sizes: dict[Path, int] = {}

    @property
    def is_refused(self) -> bool:
        """Whether something is left that the store refused while it answered; another pass may settle that."""
        return bool(self._refusals)

    def close(self) -> None:
        """Close the store."""
        store, self._store = self._store, None
        if store is not None:
            try:
                store.close()
            except Exception as error:  # noqa: BLE001 - a third party's; whatever was sent was acknowledged
                self._remark(f"could not close the store: {type(error).__name__}: {error}")

    def run(self) -> Outcome:
        """Send all that waits, each journal a batch in turn, the newest first, until nothing is new."""
        outcome = Outcome()
        clearing.readmit(self._spool)
        paths = self._spool.paths()[::-1]
        clearing.sweep(self._spool)
        while paths:
            again = []
            for path in paths:
                try:
                    if self._advance(path, outcome):
                        again.append(path)
                except FileNotFoundError:  # removed by another shipper, or by somebody
                    continue
                except Refused as error:
                    outcome.left += 1
                    outcome.error = self._reason(error.cause)
                except Unreachable as error:
                    outcome.left += 1
                    outcome.error = self._reason(error.cause)
                    self.close()
                    return outcome
                except SpoolTrouble as error:
                    outcome.left += 1
                    outcome.error = str(error)
                except OSError as error:
                    outcome.left += 1
                    outcome.error = f"{self._spool.folder} cannot be read or written: {error}"
            paths = again
        return outcome

    def has_news(self) -> bool:
        """Whether a journal has grown since the last pass."""
        try:
            return any(_size(path) != self._sizes.get(path, -1) for path in self._spool.paths())
        except OSError:
            return True

    def _advance(self, path: Path, outcome: Outcome) -> bool:
        """Send a journal's next batch; whether there may be more of it."""
        ack = self._spool.ack(path)
        if ack.done:
            self._clearing.clear(path)
            return False
        size = _size(path)
        is_alive = self._is_alive(path)
        self._sizes[path] = size
        if size > ack.offset:
            chunk = journal.read(path, ack.offset, max_entries=MAX_ENTRIES, max_bytes=MAX_BYTES)
            if chunk.header is None:
                self._set_aside(path, chunk.problems, is_alive, outcome)
                return False
            if chunk.offset > ack.offset:
                self._send(path, ack, chunk, outcome)
                return True
        if is_alive:
            outcome.live += 1
            return False
        if _size(path) != size:  # what it wrote between our reading and its death
            return True
        self._finish(path, self._spool.ack(path), outcome)
        return False

    def _send(self, path: Path, ack: Ack, chunk: journal.Chunk, outcome: Outcome) -> None:
        def acknowledge(entries: Sequence[Entry]) -> None:
            nonlocal ack
            ack = replace(ack, number=entries[-1].number, open=_open_after(ack.open, entries))
            self._spool.acknowledge(path, ack)
            outcome.sent += len(entries)
            self._accepted += 1
            self._refusals.pop(path, None)
            self._progress(len(entries))

        if any(entry.number > ack.number for entry in chunk.entries):
            delivery = Delivery(self._spool, self._opened(), path, ack.number, acknowledge, self._remark)
            while True:
                try:
                    delivery.send(chunk.entries)
                    break
                except Refused as error:
                    if not self._pass_over(path, error, chunk, delivery):
                        raise
        if chunk.problems:
            clearing.keep_lines(self._spool, path, ack.offset, chunk.problems)
            for problem in chunk.problems:
                self._remark(problem.message)
        number = max(ack.number, chunk.entries[-1].number if chunk.entries else 0)
        self._spool.acknowledge(path, replace(ack, offset=chunk.offset, number=number))

    def _pass_over(self, path: Path, refused: Refused, chunk: journal.Chunk, delivery: Delivery) -> bool:
        """Whether the refused entry is at fault and not the store: it takes others. The entry is kept in quarantine.

        Each is refused some times first, pass after pass. Others are those of other journals that the store took since
        the first time, else the ones behind it: once they are in the store, this one cannot follow.
        """
        entry, reason, known = refused.entry, self._reason(refused.cause), self._refusals.get(path)
        if known is None or known.number != entry.number:
            known = self._refusals[path] = _Refusal(entry.number, self._accepted)
        known.times += 1
        if known.times < _REFUSALS:
            return False
        passed = {entry.number: clearing.keep_entry(self._spool, path, entry, reason)}
        is_at_fault = self._accepted > known.accepted
        if is_at_fault:
            self._refusals.pop(path, None)
            delivery.skip(entry)
        else:
            try:
                is_at_fault = self._takes_one(path, entry, chunk, delivery, passed)
            finally:
                if not is_at_fault:
                    for place in passed.values():
                        place.unlink(missing_ok=True)
        if is_at_fault:
            for number, place in passed.items():
                self._remark(f"the store refused entry {number} of {path.name}; it is kept in {place}: {reason}")
        return is_at_fault

    def _takes_one(
        self, path: Path, entry: Entry, chunk: journal.Chunk, delivery: Delivery, passed: dict[int, Path]
    ) -> bool:
        """Whether the store takes one of the entries behind a refused one."""
        behind = [later for later in chunk.entries if later.number > entry.number]
        if len(behind) < _TRIED_BEHIND:
            behind += journal.read(path, chunk.offset, max_entries=_TRIED_BEHIND).entries
        for later in behind[:_TRIED_BEHIND]:
            try:
                delivery.send([later])
            except Refused as error:
                passed[later.number] = clearing.keep_entry(self._spool, path, later, self._reason(error.cause))
            else:
                return True
        return False

    def _finish(self, path: Path, ack: Ack, outcome: Outcome) -> None:
        """End the open runs of a dead process as KILLED, and clear the journal away."""
        journal_id = journal.read_header(path).journal
        status = path.stat()
        if ack.open:
            end = status.st_mtime_ns // 1_000_000
            ends = [
                Entry(journal_id, number, RunEnded(run_id, KILLED, end))
                for number, run_id in enumerate(ack.open, ack.number + 1)
            ]
            Delivery(self._spool, self._opened(), path, ack.number, lambda _: None, self._remark).send(ends)
            outcome.sent += len(ends)
        if status.st_size > ack.offset:
            span = (ack.offset, status.st_size)
            torn = journal.Problem(f"{path.name}: its last line, at byte {ack.offset}, is not whole", None, span)
            clearing.keep_lines(self._spool, path, ack.offset, [torn])
            self._remark(torn.message)
        self._spool.acknowledge(path, replace(ack, open=(), done=True))
        self._clearing.clear(path)
        self._sizes.pop(path, None)

    def _set_aside(self, path: Path, problems: Sequence[journal.Problem], is_alive: bool, outcome: Outcome) -> None:
        """Put what is no journal that this version reads into quarantine, once nobody writes it any more."""
        if is_alive or time.time() - path.stat().st_mtime < _BEGUN_SECONDS:
            outcome.live += 1
            return
        reason = problems[0].message if problems else f"{path.name}: its first line is not whole"
        if not path.stat().st_size:
            path.unlink()
            return
        clearing.set_aside(self._spool, path)
        self._remark(reason)

    def _is_alive(self, path: Path) -> bool:
        try:
            header = journal.read_header(path)
        except ValueError:
            return owners.is_locked(path)
        if journal.is_alive(path, header):
            return True
        if header.owner.host == owners.own_identity().host or self._foreign_is_dead:
            return False
        return time.time() - path.stat().st_mtime < _FOREIGN_SECONDS

    def _opened(self) -> Store:
        if self._store is None:
            try:
                self._store = open_store(self._uri)
            except Exception as error:
                raise Unreachable(error) from error
        return self._store

    def _remark(self, text: str) -> None:
        self._tell(scrubbed(text, self._uri))

    def _reason(self, error: Exception) -> str:
        return scrubbed(_message(error), self._uri)


def _message(error: Exception) -> str:
    """What an error says, on one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, AutotrackError) and text else f"{type(error).__name__}: {text}"


def _open_after(opened: tuple[str, ...], entries: Sequence[Entry]) -> tuple[str, ...]:
    found = dict.fromkeys(opened)
    for entry in entries:
        if isinstance(entry.event, RunStarted):
            found[entry.event.run_id] = None
        elif isinstance(entry.event, RunEnded):
            found.pop(entry.event.run_id, None)
    return tuple(found)


def _size(path: Path) -> int:
    return path.stat().st_size
