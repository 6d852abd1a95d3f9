"""Folding the journals of a folder into its index."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from autotrack import journal, packs
from autotrack.journal import NOBODY, SUFFIX, Chunk, Problem
from autotrack.stores.local.index import (
    APPLIED,
    DEAD,
    HEADLESS,
    LIVE,
    PACK,
    PACKED,
    UNREADABLE,
    FileRow,
    Index,
    clean,
)

_MARK_LENGTH: Final = 64
_TRANSACTION_SECONDS: Final = 0.5
_ATTEMPTS: Final = 5


class _Rewritten(Exception):
    """A journal is not the one that was folded, only longer: what the index holds of it may be wrong."""


def fold(folder: Path, index: Index) -> None:
    """Take into the index what the journals of a folder gained since the last time.

    Raises
    ------
    sqlite3.DatabaseError
        When the index cannot be read or written.
    """
    start_over = False
    for _ in range(_ATTEMPTS):
        try:
            if _fold(folder, index, start_over):
                return
            start_over = False
        except _Rewritten:
            start_over = True


def _fold(folder: Path, index: Index, start_over: bool) -> bool:
    """Whether it is done; not when files vanished meanwhile: they may stand in a pack that is not listed yet."""
    journals = folder / journal.JOURNALS
    sizes = _sizes(journals)
    rows = index.files()
    names = sorted(sizes, key=packs.order)
    todo = [name for name in names if start_over or _has_news(journals / name, rows.get(name), sizes[name])]
    if not todo and not start_over and not _missing(journals, rows, sizes):
        return True
    todo.reverse()
    done = True
    while True:
        with index.writing():
            rows = index.files()
            while todo and packs.is_pack(todo[-1]) and not start_over:
                name = todo.pop()
                done = fold_pack(journals / name, rows.get(name), index) and done
            if start_over or _lost(journals, rows, sizes, index):
                index.clear()
                start_over, rows = False, {}
                todo = names[::-1]
            # Many journals share a transaction, because each costs a sync; but none is so long that others starve.
            deadline = time.monotonic() + _TRANSACTION_SECONDS
            while todo and time.monotonic() < deadline:
                name = todo.pop()
                fold_one = fold_pack if packs.is_pack(name) else _fold_file
                done = fold_one(journals / name, rows.get(name), index) and done
        if not todo:
            return done


def _sizes(journals: Path) -> dict[str, int]:
    """The files and their sizes, from a listing during which nothing came or went, if there is such a moment."""
    for _ in range(_ATTEMPTS):
        before = _changed(journals)
        sizes = _listed(journals)
        if _changed(journals) == before:
            break
    return sizes


def _changed(journals: Path) -> int:
    try:
        return journals.stat().st_mtime_ns
    except OSError:
        return 0


def _listed(journals: Path) -> dict[str, int]:
    sizes = {}
    try:
        with os.scandir(journals) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    try:
                        sizes[entry.name] = entry.stat().st_size
                    except OSError:  # a dangling link, or deleted meanwhile
                        sizes[entry.name] = -1
    except OSError:
        return {}
    return sizes


def _missing(journals: Path, rows: dict[str, FileRow], sizes: dict[str, int]) -> list[FileRow]:
    # Another process may have folded a journal that is younger than our listing.
    return [rows[name] for name in rows.keys() - sizes.keys() if not os.path.lexists(journals / name)]


def _lost(journals: Path, rows: dict[str, FileRow], sizes: dict[str, int], index: Index) -> bool:
    """Whether a journal is gone, and what it held does not stand in a pack."""
    lost = False
    for row in _missing(journals, rows, sizes):
        heir = index.packed_as(row.name)
        if heir is None:
            lost = True
        else:
            index.forget_file(row, heir)
    return lost


def _has_news(path: Path, row: FileRow | None, size: int) -> bool:
    if row is None or row.size != size:
        return True
    return row.state == LIVE and not _is_alive(path)


def _is_alive(path: Path) -> bool:
    try:
        return journal.is_alive(path, journal.read_header(path))
    except (OSError, ValueError):
        return False


def _fold_file(path: Path, row: FileRow | None, index: Index) -> bool:
    """Take in what a journal gained; whether it was there."""
    offset, size = 0 if row is None else row.offset, -1
    try:
        # A journal that grows while it is read is longer than this, so it is looked at again.
        size = path.stat().st_size
        if row is not None and row.offset and _mark(path, row.offset) != row.mark:
            raise _Rewritten
        chunk = journal.read(path, offset)
        state = _state(path, chunk)
        chunks = [chunk]
        if state == DEAD:  # what it wrote between our reading and its death
            chunks.append(journal.read(path, chunk.offset))
        written = path.stat().st_mtime_ns // 1_000_000
        mark = _mark(path, chunks[-1].offset)
        if state == HEADLESS and _is_foreign(path):
            state, chunks = UNREADABLE, [Chunk(None, (), 0, (Problem(f"{path.name}: not an autotrack journal"),))]
    except FileNotFoundError:
        if not path.is_symlink():
            return False  # deleted meanwhile
        chunks, state, mark, written = [_unreadable(path, "a link that leads nowhere")], UNREADABLE, b"", 0
    except OSError as error:
        chunks, state, mark, written = [_unreadable(path, error.strerror or str(error))], UNREADABLE, b"", 0
        size = -2  # never a size, so it is tried again each time
    if row is not None and row.state == UNREADABLE:
        if state == UNREADABLE:
            return True
        raise _Rewritten
    file = index.save_file(path.name, size, 0 if state == UNREADABLE else chunks[-1].offset, mark, state)
    if state == UNREADABLE:
        index.add_unreadable(file, path.name.removesuffix(SUFFIX), chunks[0].problems[0].message)
        return True
    for chunk in chunks:
        problems = list(chunk.problems)
        if chunk.header is not None:
            problems += index.fold(file, clean(chunk.header.journal), chunk.entries)
        if problems:
            index.add_problems(file, problems)
    if state in (LIVE, DEAD):
        index.settle(file, state, written)
    return True


def fold_pack(path: Path, row: FileRow | None, index: Index) -> bool:
    """Take in a pack, as it was written; whether it was there."""
    if row is not None and row.state == PACK:
        raise _Rewritten
    size = -2  # as above
    try:
        size = path.stat().st_size
        contents = packs.contents(path)
        file = index.save_file(path.name, size, size, _mark(path, size), PACK)
        if row is not None:
            raise _Rewritten  # it could not be read before
        index.add_problems(file, contents.problems)
        for section in contents.sections:
            _fold_section(path, section, index)
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        if row is None:
            file = index.save_file(path.name, -2 if isinstance(error, OSError) else size, 0, b"", UNREADABLE)
            index.add_unreadable(file, path.name.removesuffix(SUFFIX), f"{path.name}: {error}")
    return True


def _fold_section(path: Path, section: packs.Section, index: Index) -> None:
    name, digest = f"{path.name}/{section.name}", section.digest.encode()
    file = index.save_file(name, section.length, section.offset, digest, PACKED)
    entries, problems = packs.read_section(path, section)
    problems += index.fold(file, clean(section.header.journal), entries)
    index.skip_to(clean(section.header.journal), section.last)
    if not index.has_file(section.name):  # else they are known from there
        index.add_problems(file, problems)
    if section.header.owner.pid != NOBODY:
        index.settle(file, DEAD, section.written)


def _unreadable(path: Path, reason: str) -> Chunk:
    return Chunk(None, (), 0, (Problem(f"{path.name}: cannot be read ({reason})"),))


def _state(path: Path, chunk: Chunk) -> int:
    if chunk.header is None:
        return UNREADABLE if chunk.problems else HEADLESS
    if not chunk.header.owner.pid:
        return APPLIED
    return LIVE if journal.is_alive(path, chunk.header) else DEAD


def _is_foreign(path: Path) -> bool:
    """Whether a file without one complete line is something else than a journal just begun."""
    with path.open("rb") as file:
        return file.read(1) not in (b"", b"{")


def _mark(path: Path, offset: int) -> bytes:
    """The bytes before a place: an append leaves them as they are."""
    with path.open("rb") as file:
        start = max(0, offset - _MARK_LENGTH)
        file.seek(start)
        return file.read(offset - start)
