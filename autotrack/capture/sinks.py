"""Where events and artifact files go while the user waits: a local folder's journal, or a store in this process.

A sink never raises for trouble with the disk: it says so once, keeps what it could not write for the next try, and lets
training go on.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from autotrack.capture.guard import warn
from autotrack.events import Entry, Event, ExperimentDescribed, ProcessDescribed, RunEnded, RunStarted
from autotrack.journal import JournalWriter, new_id

ARTIFACTS: Final = "artifacts"
_KEPT: Final = 100_000
"""So many events are kept in memory while the disk refuses them; older ones are dropped then."""

_TOLD_AT_START: Final = 1_000
"""So many events of a run that is open are kept, in case its journal is deleted."""


class Sink(Protocol):
    """What the recorder writes to. Every method may be called from several threads."""

    def append(self, events: Sequence[Event]) -> None:
        """Take events, in order."""
        ...

    def artifact_folder(self, run_id: str) -> Path:
        """The folder for a run's files, which may not exist yet."""
        ...

    def after_fork(self) -> None:
        """Called in a forked child: the parent's file is the parent's."""
        ...

    def flush(self, timeout: float | None = None, patience: float | None = None) -> bool:
        """Wait until what was appended is in the store; false when it is not, after ``timeout`` seconds at the most.

        While the store cannot be reached it waits ``patience`` seconds; ``None`` for as ``timeout`` has it, which
        without one is not at all.
        """
        ...

    def close(self) -> None:
        """Let go of files; `append` opens anew."""
        ...

    def at_exit(self, show_bar: bool) -> None:
        """Called when the program ends, after `close`: what is to be waited for then."""
        ...


class FolderSink:
    """A store's folder: events go to this process's journal, files to ``artifacts/<run id>/``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._journal: JournalWriter | None = None
        self._waiting: deque[Event] = deque(maxlen=_KEPT)
        self._open: dict[str, list[Event]] = {}
        self._process: ProcessDescribed | None = None

    def append(self, events: Sequence[Event]) -> None:
        with self._lock:
            try:
                journal = self._journal_in_place()
                batch = [*self._waiting, *events] if self._waiting else events
                journal.append(batch)
            except (OSError, UnicodeError) as error:
                self._waiting.extend(events)
                warn(f"cannot write to the store {self._folder}; it goes on trying", error)
            else:
                self._waiting.clear()
            self._remember(events)

    def artifact_folder(self, run_id: str) -> Path:
        return self._folder / ARTIFACTS / run_id

    def after_fork(self) -> None:
        self._lock = threading.RLock()
        self._waiting.clear()
        self._open.clear()
        self._process = None
        if self._journal is not None:
            # Closing gives up only the child's hold on the file: the lock stays with the parent.
            self._journal.close()
            self._journal = None

    def flush(self, timeout: float | None = None, patience: float | None = None) -> bool:
        return True

    def at_exit(self, show_bar: bool) -> None:
        return None

    def close(self) -> None:
        with self._lock:
            if self._waiting:
                self.append(())
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    def _journal_in_place(self) -> JournalWriter:
        if self._journal is not None and self._journal.is_in_place():
            return self._journal
        deleted = self._journal is not None
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._prepare_folder()
        self._journal = JournalWriter(self._folder)
        if deleted:
            warn(f"found its journal in {self._folder} deleted and went on in a new one")
            # What the runs that are still open had told at their start would be lost with the file.
            told = [self._process] if self._process is not None else []
            self._journal.append([*told, *(event for events in self._open.values() for event in events)])
        return self._journal

    def _prepare_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        ignore = self._folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("# The index is rebuilt from journals/ when it is missing.\nruns.db*\n")

    def _remember(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, ProcessDescribed):
                facts = {**self._process.facts, **event.facts} if self._process is not None else event.facts
                self._process = ProcessDescribed(event.process_id, facts)
            elif isinstance(event, RunStarted):
                self._open[event.run_id] = [event]
            elif isinstance(event, RunEnded):
                self._open.pop(event.run_id, None)
            elif isinstance(event, ExperimentDescribed):
                continue
            elif (told := self._open.get(event.run_id)) is not None and len(told) < _TOLD_AT_START:
                told.append(event)


class StoreSink:
    """A store that lives in this process and takes events at once, such as ``memory:``."""

    def __init__(self, apply: Callable[[Sequence[Entry]], None], artifact_folder: Callable[[str], Path]) -> None:
        self._apply = apply
        self._artifact_folder = artifact_folder
        self._lock = threading.RLock()
        self._journal_id = new_id()
        self._number = 0

    def append(self, events: Sequence[Event]) -> None:
        with self._lock:
            entries = [Entry(self._journal_id, self._number + i, event) for i, event in enumerate(events, 1)]
            self._apply(entries)
            self._number += len(entries)

    def artifact_folder(self, run_id: str) -> Path:
        return self._artifact_folder(run_id)

    def after_fork(self) -> None:
        self._lock = threading.RLock()
        self._journal_id = new_id()
        self._number = 0

    def flush(self, timeout: float | None = None, patience: float | None = None) -> bool:
        return True

    def close(self) -> None:
        return None

    def at_exit(self, show_bar: bool) -> None:
        return None


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that it stands there whole or not at all.

    Raises
    ------
    OSError
        When it cannot be written; then no part of it is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.tmp-{os.urandom(4).hex()}")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
