"""Entries and files, from the spool into a store, in an order that survives being killed at any point.

The files of a batch come first, then `Store.apply`, then the acknowledgement. Killed in between, all of it is done
again: a file is put in its own place, and entries that were applied are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from autotrack import digests, journal
from autotrack.entities import SKIPPED, Note
from autotrack.errors import ArtifactNotFound, RunNotFound
from autotrack.events import ArtifactLogged, Entry, ModelLogged, NoteLogged
from autotrack.spool import Spool
from autotrack.stores.artifacts import folder as files
from autotrack.stores.base import Store

LOST: Final = "~lost"
"""Behind a journal's id: the journal of the notes that its lost files get, each with its entry's number."""

Logged = ArtifactLogged | ModelLogged


class Refused(Exception):
    """The store answers, and does not take this one entry, or its file."""

    def __init__(self, entry: Entry, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.entry = entry
        self.cause = cause


class Unreachable(Exception):
    """The store does not answer."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class SpoolTrouble(Exception):
    """The spool's own disk cannot be read or written."""


class Delivery:
    """Sends entries of one journal.

    Parameters
    ----------
    spool : where the files are.
    store : where they go.
    path : the journal's file, in which it is looked up whether a file was logged again later.
    number : the last entry that is in the store.
    acknowledge : called with the next entries that are.
    remark : told what of the spool could not be sent, a sentence each.
    """

    def __init__(
        self,
        spool: Spool,
        store: Store,
        path: Path,
        number: int,
        acknowledge: Callable[[Sequence[Entry]], None],
        remark: Callable[[str], None],
    ) -> None:
        self._spool = spool
        self._store = store
        self._path = path
        self._number = number
        self._acknowledge = acknowledge
        self._remark = remark

    def send(self, entries: Sequence[Entry]) -> None:
        """Send entries, in order; what comes before a refused one is sent and acknowledged.

        Raises
        ------
        Refused
            For the first entry that the store does not take though it answers.
        Unreachable
            When the store does not answer.
        SpoolTrouble
            When it could not be noted that entries are in the store.
        """
        entries = [entry for entry in entries if entry.number > self._number]
        if not entries:
            return
        try:
            self._send(entries)
        except SpoolTrouble:
            raise
        except Exception as error:
            if not answers(self._store):
                raise Unreachable(error) from error
            if len(entries) == 1:
                raise Refused(entries[0], error) from error
            half = len(entries) // 2
            self.send(entries[:half])
            self.send(entries[half:])

    def _send(self, entries: Sequence[Entry]) -> None:
        begun = 0
        for position, entry in enumerate(entries):
            if isinstance(entry.event, ArtifactLogged | ModelLogged):
                try:
                    self._upload(entry, entry.event)
                except RunNotFound:
                    if position == begun:
                        raise
                    self._apply(entries[begun:position])
                    begun = position
                    self._upload(entry, entry.event)
        self._apply(entries[begun:])

    def _apply(self, entries: Sequence[Entry]) -> None:
        self._store.apply(entries)
        self._number = entries[-1].number
        try:
            self._acknowledge(entries)
        except OSError as error:
            raise SpoolTrouble(f"{self._spool.folder} cannot be written: {error}") from error

    def skip(self, entry: Entry) -> None:
        """Go on behind this entry."""
        self._number = max(self._number, entry.number)

    def _upload(self, entry: Entry, event: Logged) -> None:
        path, digest = (
            (event.artifact.path, event.artifact.digest)
            if isinstance(event, ArtifactLogged)
            else (event.model.path, event.model.digest)
        )
        try:
            source = files.find(self._spool.artifacts, event.run_id, path, ())
            is_same = not digest or digest == (digests.of_folder if source.is_dir() else digests.of_file)(source)
        except (ArtifactNotFound, OSError) as error:
            if not self._is_logged_again(entry, event.run_id, path):
                self._lose(entry, event.run_id, path, error)
            return
        if not is_same:
            if self._is_logged_again(entry, event.run_id, path):
                return
            # As in a folder store, the file counts as it stands; whoever reads it finds that it is another.
            self._remark(f"{path!r} of run {event.run_id} is not what was logged; it was sent as it stands")
        self._store.put_artifact(event.run_id, path, source)

    def _is_logged_again(self, entry: Entry, run_id: str, path: str) -> bool:
        for later in _entries(self._path):
            event = later.event
            if later.number > entry.number and isinstance(event, ArtifactLogged | ModelLogged):
                found = event.artifact.path if isinstance(event, ArtifactLogged) else event.model.path
                if event.run_id == run_id and (found == path or found.startswith(path + "/")):
                    return True
        return False

    def _lose(self, entry: Entry, run_id: str, path: str, error: Exception) -> None:
        reason = str(error).partition(";")[0] if isinstance(error, ArtifactNotFound) else str(error)
        self._remark(f"{path!r} of run {run_id} could not be sent: {reason}")
        message = "its file was gone from the spool, or could not be read, when it was to be sent to this store"
        note = NoteLogged(run_id, Note(SKIPPED, path, message))
        self._store.apply([Entry(entry.journal_id + LOST, entry.number, note)])


def answers(store: Store) -> bool:
    """Whether a store can be asked something."""
    try:
        store.get_run("0" * 32)
    except RunNotFound:
        return True
    except Exception:  # noqa: BLE001 - whatever it raises, it did not answer
        return False
    return True


def _entries(path: Path) -> Iterator[Entry]:
    """All entries of a journal, read piece by piece."""
    offset = 0
    while True:
        chunk = journal.read(path, offset, max_bytes=1_000_000)
        yield from chunk.entries
        if chunk.header is None or chunk.offset <= offset:
            return
        offset = chunk.offset
