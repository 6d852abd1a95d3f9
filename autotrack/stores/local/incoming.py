"""Entries that are applied to a folder store, kept in journal files of its own.

``journals/<journal id>.copy.jsonl`` has the format of a journal. Its header names the journal that the entries come
from and no owner, because this machine cannot know whether that process lives.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from autotrack.errors import StoreError
from autotrack.events import FORMAT_VERSION, Entry
from autotrack.journal import COPY_SUFFIX, JOURNALS, NOBODY, Header, event_line, header_line
from autotrack.owners import Identity
from autotrack.stores.local.folding import fold
from autotrack.stores.local.index import Index, clean

try:
    import fcntl
except ImportError:  # pragma: no cover - not on this platform
    fcntl = None  # type: ignore[assignment]

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,100}")


def make_folder(folder: Path) -> None:
    """Make the folder of a store, where it is missing.

    Raises
    ------
    StoreError
        When that cannot be done.
    """
    try:
        (folder / JOURNALS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error}") from error


def write(folder: Path, index: Index, entries: Sequence[Entry]) -> None:
    """Append the entries that the folder does not have yet, and fold them.

    Raises
    ------
    StoreError
        When they could not be written; then none of them is.
    sqlite3.DatabaseError
        When the index cannot be read or written. What was appended stays; writing again does not repeat it.
    """
    by_journal: dict[str, list[Entry]] = {}
    for entry in entries:
        by_journal.setdefault(clean(entry.journal_id), []).append(entry)
    try:
        with ExitStack() as stack:
            # Always locked in the same order, or two processes could wait for each other.
            files = {name: stack.enter_context(_opened(folder, name)) for name in sorted(by_journal)}
            # Other readers see a batch when it is whole: they pass over a file that is held.
            stack.enter_context(index.holding(_file_name(name) for name in by_journal))
            fold(folder, index)
            texts = {name: _lines(new, index.last_number(name)) for name, new in by_journal.items()}
            _append({files[name]: _header(files[name], name) + text for name, text in texts.items() if text})
            fold(folder, index)
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"cannot write to {folder}: {error}") from error


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """A file or folder, held against every other process that asks for it in this way."""
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT | os.O_APPEND
    fd = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        if fcntl is not None:
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _file_name(journal_id: str) -> str:
    name = journal_id if _SAFE_NAME.fullmatch(journal_id) else hashlib.sha256(journal_id.encode()).hexdigest()
    return name + COPY_SUFFIX


@contextmanager
def _opened(folder: Path, journal_id: str) -> Iterator[int]:
    path = folder / JOURNALS / _file_name(journal_id)
    with locked_in_place(path) as fd:
        content = path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.ftruncate(fd, end)  # a writer was killed in the middle of a line; nobody has folded it
        try:
            yield fd
        finally:
            if not os.fstat(fd).st_size:
                path.unlink(missing_ok=True)  # there was nothing to write, or no room


def _header(fd: int, journal_id: str) -> bytes:
    """The header for a file that has none yet."""
    if os.fstat(fd).st_size:
        return b""
    return header_line(Header(journal_id, FORMAT_VERSION, int(time.time() * 1000), Identity("", NOBODY, "", "")))


@contextmanager
def locked_in_place(path: Path) -> Iterator[int]:
    """As `locked`, and the file still has its name: it may have been packed while we waited."""
    while True:
        with locked(path) as fd:
            try:
                is_in_place = os.path.samestat(os.stat(path), os.fstat(fd))
            except FileNotFoundError:
                is_in_place = False
            if is_in_place:
                yield fd
                return


def _lines(entries: Sequence[Entry], last: int) -> bytes:
    lines = []
    for entry in entries:
        if entry.number > last:
            last = entry.number
            lines.append(event_line(last, entry.event))
    return b"".join(lines)


def _append(texts: dict[int, bytes]) -> None:
    sizes = {fd: os.fstat(fd).st_size for fd in texts}
    try:
        for fd, text in texts.items():
            view = memoryview(text)
            while view:
                view = view[os.write(fd, view) :]
    except OSError:
        for fd, size in sizes.items():
            os.ftruncate(fd, size)
        raise
