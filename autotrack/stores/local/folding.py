"""Folding the journals of a folder into its index."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from autotrack import journal, owners, packs
from autotrack.journal import NOBODY, SUFFIX, Header, Part
from autotrack.stores.local.index import FileRow, Index, clean
from autotrack.stores.local.tables import APPLIED, DEAD, HEADLESS, LIVE, PACK, PACKED, UNREADABLE

_MARK_LENGTH: Final = 64
_TRANSACTION_SECONDS: Final = 0.5
_LONG_TRANSACTION_SECONDS: Final = 3.0
_MUCH: Final = 20_000_000
"""Bytes of journals; so many are folded in longer transactions, because each writes the same pages again."""
_ATTEMPTS: Final = 5


class _VanishedError(Exception):
    """A file was deleted between being listed and being read."""


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
    todo = [name for name in names if start_over or _has_news(journals, name, rows.get(name), sizes[name])]
    if not todo and not start_over and not _missing(journals, rows, sizes):
        if index.lacks_value_indexes():
            index.make_value_indexes()
        return True
    todo.reverse()
    done = True
    is_much = sum(sizes[name] for name in todo) > _MUCH
    seconds = _LONG_TRANSACTION_SECONDS if is_much else _TRANSACTION_SECONDS
    while True:
        with index.writing():
            rows = index.files()
            missing = not start_over and _missing(journals, rows, sizes)
            while missing and todo and packs.is_pack(todo[-1]):  # they may hold what is missing
                name = todo.pop()
                try:
                    fold_pack(journals / name, rows.get(name), index)
                except _VanishedError:
                    done = False
            if start_over or _lost(journals, rows, sizes, index):
                index.clear()
                start_over, rows = False, {}
                todo = names[::-1]
            # Many journals share a transaction, because each costs a sync; but none is so long that others starve.
            deadline = time.monotonic() + seconds
            if is_much and not rows:
                index.drop_value_indexes()
            while todo:
                name = todo.pop()
                try:
                    if packs.is_pack(name):
                        fold_pack(journals / name, rows.get(name), index)
                    elif not _fold_file(journals / name, rows.get(name), index, deadline):
                        todo.append(name)
                except _VanishedError:
                    done = False
                if time.monotonic() >= deadline:
                    break
        if not todo:
            break
    if index.lacks_value_indexes():
        index.make_value_indexes()
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


def _has_news(journals: Path, name: str, row: FileRow | None, size: int) -> bool:
    if row is None or row.size != size:
        return True
    return row.state == LIVE and not _is_alive(journals / name)


def _is_alive(path: Path) -> bool:
    try:
        return journal.is_alive(path, journal.read_header(path))
    except (OSError, ValueError):
        return False


def _fold_file(path: Path, row: FileRow | None, index: Index, deadline: float) -> bool:
    """Take in what a journal gained, a part at a time; whether that was all of it, or time was up before."""
    if path.name.endswith(journal.COPY_SUFFIX) and path.name not in index.held:
        with owners.reading(path) as is_whole:
            # Somebody is in the midst of a batch: it is taken in next time, whole.
            return _fold_unheld(path, row, index, deadline) if is_whole else True
    return _fold_unheld(path, row, index, deadline)


def _fold_unheld(path: Path, row: FileRow | None, index: Index, deadline: float) -> bool:
    try:
        # A journal that grows while it is read is longer than this, so it is looked at again.
        size = path.stat().st_size
        if row is not None and row.offset and _mark(path, row.offset) != row.mark:
            raise _Rewritten
        parts = journal.read_parts(path, 0 if row is None else row.offset)
        part = next(parts)
        header, problem = part.header, part.problems[0].message if part.problems else None
        if header is None:
            if problem is not None or _is_foreign(path):
                _unreadable(path, size, problem or f"{path.name}: not an autotrack journal", row, index)
            elif row is None or row.state != UNREADABLE:
                index.save_file(path.name, size, 0, b"", HEADLESS)
            else:
                raise _Rewritten
            return True
        if row is not None and row.state == UNREADABLE:
            raise _Rewritten
        return _fold_parts(path, size, header, chain([part], parts), index, deadline)
    except FileNotFoundError:
        if path.is_symlink():
            _unreadable(path, -1, f"{path.name}: cannot be read (a link that leads nowhere)", row, index)
            return True
        raise _VanishedError from None
    except OSError as error:
        # That is never a size, so it is tried again each time.
        _unreadable(path, -2, f"{path.name}: cannot be read ({error.strerror or error})", row, index)
        return True


def fold_pack(path: Path, row: FileRow | None, index: Index) -> None:
    """Take in a pack, as it was written."""
    if row is not None and row.state == PACK:
        raise _Rewritten
    size = -2  # as above
    try:
        size = path.stat().st_size
        contents = packs.contents(path)
        if row is not None:
            raise _Rewritten  # it could not be read before
        file = index.save_file(path.name, size, size, _mark(path, size), PACK)
        index.add_problems(file, contents.problems)
        for section in contents.sections:
            _fold_section(path, section, index)
    except FileNotFoundError:
        raise _VanishedError from None
    except (OSError, ValueError) as error:
        _unreadable(path, -2 if isinstance(error, OSError) else size, f"{path.name}: {error}", row, index)


def _fold_section(path: Path, section: packs.Section, index: Index) -> None:
    name, digest = f"{path.name}/{section.name}", section.digest.encode()
    file = index.save_file(name, section.length, section.offset, digest, PACKED)
    journal_id = clean(section.header.journal)
    known = index.has_file(section.name)  # then so are its problems
    for lines, problems in packs.read_section(path, section):
        problems += index.fold_lines(file, journal_id, path, lines)
        if problems and not known:
            index.add_problems(file, problems)
    index.skip_to(journal_id, section.last)
    if section.header.owner.pid != NOBODY:
        index.settle(file, DEAD, section.written)


def _fold_parts(path: Path, size: int, header: Header, parts: Iterator[Part], index: Index, deadline: float) -> bool:
    file = index.save_file(path.name, -2, 0, b"", LIVE)
    journal_id, offset, state, is_whole = clean(header.journal), 0, LIVE, False
    while True:
        for part in parts:
            if offset and time.monotonic() >= deadline:
                index.save_file(path.name, -2, offset, _mark(path, offset), LIVE)
                return False
            problems = part.problems + index.fold_lines(file, journal_id, path, part.lines)
            if problems:
                index.add_problems(file, problems)
            offset = part.offset
        if is_whole:
            break
        state = _state(path, header)
        if state != DEAD:
            break
        # What it wrote between our reading and its death.
        parts, is_whole = journal.read_parts(path, offset), True
    written = path.stat().st_mtime_ns // 1_000_000
    index.save_file(path.name, size, offset, _mark(path, offset), state)
    if state in (LIVE, DEAD):
        index.settle(file, state, written)
    return True


def _unreadable(path: Path, size: int, message: str, row: FileRow | None, index: Index) -> None:
    """List a file of which nothing can be read; nothing new where it is listed so already."""
    if row is None or row.state != UNREADABLE:
        file = index.save_file(path.name, size, 0, b"", UNREADABLE)
        index.add_unreadable(file, path.name.removesuffix(SUFFIX), message)


def _state(path: Path, header: Header) -> int:
    if not header.owner.pid:
        return APPLIED
    return LIVE if journal.is_alive(path, header) else DEAD


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
