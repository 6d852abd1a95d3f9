"""Gathering the journals of dead processes into packs, and taking deleted runs out of them for good.

Every step may be the last one before a power cut. A pack gets its name when it is safe on the disk; then the index
learns of it; then the files that it took the place of are deleted. What a crash leaves twice changes nothing, because
entries are idempotent, and the next compaction deletes it: a pack says which files it took the place of.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from autotrack import journal, packs
from autotrack.events import ExperimentDescribed, ProcessDescribed, from_json
from autotrack.journal import JOURNALS, NOBODY, SUFFIX, UNREADABLE_LINE, Header
from autotrack.owners import own_identity
from autotrack.packs import Section, Source
from autotrack.stores.local.folding import fold
from autotrack.stores.local.index import FileRow, Index
from autotrack.stores.local.sql import encode
from autotrack.stores.local.tables import APPLIED, DEAD, PACK, PACKED

try:
    import fcntl
except ImportError:  # pragma: no cover - not on this platform
    fcntl = None  # type: ignore[assignment]

ENOUGH: Final = 500
"""So many journals that could be packed make a reader do it."""
AT_MOST: Final = 1_000
"""Journals that a reader packs at once: it has somebody waiting."""
SMALL: Final = 4 << 20
"""A reader leaves larger journals as they are, in bytes."""
PACK_SIZE: Final = 32 << 20
"""A pack is closed once it is that large, in bytes."""
_TORN: Final = 1 << 16
"""A journal whose unfinished last line is longer stays as it is, in bytes: packs keep that line twice."""
FOREIGN_SECONDS: Final = 86_400
"""How long the journal of another machine has to be at rest: locks may not reach from there to here."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to leave the journals: the lines of these runs, what is told of these processes, unreadable lines."""

    runs: frozenset[str] = frozenset()
    processes: frozenset[str] = frozenset()
    unreadable: bool = False

    def __bool__(self) -> bool:
        return bool(self.runs or self.processes or self.unreadable)

    def names(self, line: bytes) -> bool:
        """Whether a line is one of theirs."""
        try:
            data = journal.load_line(line)
            event = from_json(data)
        except UNREADABLE_LINE:
            return self.unreadable or journal.run_of(line) in self.runs
        if isinstance(event, ProcessDescribed):
            return event.process_id in self.processes
        return not isinstance(event, ExperimentDescribed) and event.run_id in self.runs


@contextmanager
def compacting(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Keep every other process from compacting this folder; gives False where one does already and we do not wait."""
    is_ours, fd = wait, -1  # without locks only when somebody asks for it
    try:
        if fcntl is not None:
            fd = os.open(folder / JOURNALS, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                is_ours = True
            except OSError:
                pass
        yield is_ours
    finally:
        if fd >= 0:
            os.close(fd)


def is_due(index: Index) -> bool:
    """Whether there are so many small files of dead processes that reading would become slow."""
    query = "SELECT count(*) FROM files WHERE state IN (?, ?)"
    return int(index.connection.execute(query, (DEAD, APPLIED)).fetchone()[0]) >= ENOUGH


def candidates(folder: Path, index: Index, limit: int | None = None) -> list[FileRow]:
    """The journals that can be packed: wholly folded, of processes that are dead for sure; with a limit, small ones."""
    journals = folder / JOURNALS
    found = (row for row in sorted(index.files().values()) if row.state in (DEAD, APPLIED))
    found = (row for row in found if row.size - row.offset <= _TORN)
    small = (row for row in found if limit is None or row.size <= SMALL)
    return list(islice((row for row in small if _is_at_rest(journals / row.name, row)), limit))


def compact(folder: Path, index: Index, *, wait: bool = False, limit: int | None = AT_MOST) -> int:
    """Pack what can be packed.

    Parameters
    ----------
    wait : for another process that does the same; else leave it to that one.
    limit : journals at the most, and only small ones; ``None`` for all.

    Returns
    -------
    How many journals were packed.

    Raises
    ------
    OSError, sqlite3.DatabaseError
        When something cannot be read or written. Nothing is lost then.
    """
    with compacting(folder, wait=wait) as ours:
        if not ours:
            return 0
        fold(folder, index)
        _delete_leftovers(folder, index)
        rows = candidates(folder, index, limit)
        if len(rows) < (2 if limit is None else ENOUGH):
            rows = []
        _pack(folder, index, rows, Removal())
        if limit is None:
            _merge(folder, index)
        return len(rows)


def remove(folder: Path, index: Index, removal: Removal) -> Removal:
    """Take runs out of journals and index for good, but for those that live journals tell of.

    Returns
    -------
    What was removed.

    Raises
    ------
    OSError, sqlite3.DatabaseError
        When something cannot be read or written. Doing it again finishes it.
    """
    journals = folder / JOURNALS
    with compacting(folder, wait=True):
        fold(folder, index)
        _delete_leftovers(folder, index)
        removal = Removal(removal.runs - runs_of_the_living(folder, index), removal.processes)
        files = sorted(index.files().values(), key=lambda row: packs.order(row.name))
        at_rest = [row for row in files if row.state in (DEAD, APPLIED) and _is_at_rest(journals / row.name, row)]
        touched = [row for row in at_rest if any(map(removal.names, _raw_lines(journals / row.name)))]
        for row in files:
            if row.state == PACK:
                _rewrite(folder, index, row, removal)
        if touched:
            _pack(folder, index, touched, removal)
        with index.writing():
            _forget(index, removal)
    return removal


def mend(folder: Path, index: Index, names: Iterable[str]) -> None:
    """Write packs, and journals of dead processes, anew without what cannot be read of them.

    Raises
    ------
    OSError, ValueError, sqlite3.DatabaseError
        When something cannot be read or written.
    """
    wanted = set(names)
    with compacting(folder, wait=True):
        fold(folder, index)
        rows = [row for row in sorted(index.files().values()) if row.name in wanted]
        for row in rows:
            if row.state == PACK:
                _rewrite(folder, index, row, Removal(unreadable=True), always=True)
        _pack(folder, index, [row for row in rows if row.state in (DEAD, APPLIED)], Removal(unreadable=True))


def runs_of_the_living(folder: Path, index: Index) -> set[str]:
    """The runs of which journals tell that may still be written to, or cannot be rewritten."""
    found: set[str] = set()
    journals = folder / JOURNALS
    for row in index.files().values():
        is_ours = row.state == PACK or (row.state in (DEAD, APPLIED) and _is_at_rest(journals / row.name, row))
        if not is_ours:
            try:
                found |= {run for line in _raw_lines(journals / row.name) if (run := _run_named(line)) is not None}
            except OSError:
                continue
    return found


def _pack(folder: Path, index: Index, rows: Sequence[FileRow], removal: Removal) -> None:
    batch: list[FileRow] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += row.size
        if size >= PACK_SIZE:
            _pack_batch(folder, index, batch, removal)
            batch, size = [], 0
    if batch:
        _pack_batch(folder, index, batch, removal)


def _pack_batch(folder: Path, index: Index, rows: Sequence[FileRow], removal: Removal) -> None:
    journals = folder / JOURNALS
    stats = {row.name: (journals / row.name).stat() for row in rows}
    # What a journal of entries that were applied gained since, stays where it is.
    rows = [row for row in rows if stats[row.name].st_size == row.size]
    if not rows:
        return
    replaces = {row.name: (row.size, stats[row.name].st_mtime_ns) for row in rows}
    name = packs.new_name(1 + max((packs.number_of(name) for name in os.listdir(journals)), default=0))
    sources = (_source(journals / row.name, row, stats[row.name].st_mtime_ns // 1_000_000, removal) for row in rows)
    written = packs.write(journals / name, sources, int(time.time() * 1000), replaces)
    with index.writing():
        known = index.files()
        if all(row.name in known and known[row.name].size == row.size for row in rows):
            _save_pack(journals / name, index)
            for section in written.sections:
                index.connection.execute(
                    "UPDATE files SET name = ?, state = ?, offset = ?, mark = ? WHERE id = ?",
                    (
                        encode(f"{name}/{section.name}"),
                        PACKED,
                        section.offset,
                        section.digest.encode(),
                        known[section.name].id,
                    ),
                )
    for name, mark in replaces.items():
        _delete_replaced(journals / name, mark)


def _rewrite(folder: Path, index: Index, row: FileRow, removal: Removal, *, always: bool = False) -> None:
    """Put a pack without certain lines in the place of one that has them."""
    old = folder / JOURNALS / row.name
    contents = packs.contents(old)
    sources = [_filtered(_unchanged(old, section), removal) for section in contents.sections]
    if always or any(source is not None for source in sources):
        kept = [source or _unchanged(old, section) for source, section in zip(sources, contents.sections, strict=True)]
        _replace_packs(folder, index, {row: [source.name for source in kept]}, kept)


def _merge(folder: Path, index: Index) -> None:
    """Make one of small packs that follow each other."""
    rows = sorted((row for row in index.files().values() if row.state == PACK), key=lambda row: packs.order(row.name))
    group: dict[FileRow, list[str]] = {}
    sources: list[Source] = []
    for row in [*rows, None]:
        path = folder / JOURNALS / row.name if row is not None else folder
        sections = packs.contents(path).sections if row is not None else ()
        names = {name for names in group.values() for name in names}
        is_full = sum(member.size for member in group) + (row.size if row is not None else 0) > PACK_SIZE
        if row is None or is_full or any(section.name in names for section in sections):
            if len(group) > 1:
                _replace_packs(folder, index, group, sources)
            group, sources = {}, []
        if row is not None:
            group[row] = [section.name for section in sections]
            sources += [_unchanged(path, section) for section in sections]


def _replace_packs(folder: Path, index: Index, olds: dict[FileRow, list[str]], sources: Sequence[Source]) -> None:
    """Write one pack in the place of others, which have these sections; it takes the number of the last of them."""
    journals = folder / JOURNALS
    stats = {row.name: (journals / row.name).stat() for row in olds}
    replaces = {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}
    name = packs.new_name(max(packs.number_of(row.name) for row in olds))
    written = packs.write(journals / name, sources, int(time.time() * 1000), replaces)
    pack_of = {section: row.name for row, sections in olds.items() for section in sections}
    with index.writing():
        known = index.files()
        if all(row.name in known for row in olds):
            _save_pack(journals / name, index)
            index.connection.executemany(
                "UPDATE files SET name = ?, size = ?, offset = ?, mark = ? WHERE name = ?",
                [
                    (
                        encode(f"{name}/{section.name}"),
                        section.length,
                        section.offset,
                        section.digest.encode(),
                        encode(f"{pack_of[section.name]}/{section.name}"),
                    )
                    for section in written.sections
                ],
            )
            index.connection.executemany("DELETE FROM files WHERE name = ?", [(encode(row.name),) for row in olds])
    for old, mark in replaces.items():
        _delete_replaced(journals / old, mark)


def _save_pack(path: Path, index: Index) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 64))
        index.save_file(path.name, size, size, file.read(), PACK)


def _source(path: Path, row: FileRow, written: int, removal: Removal) -> Source:
    header = journal.read_header(path)
    body = _body(path, header, row.offset)
    with path.open("rb") as file:
        file.seek(row.offset)
        torn = file.read(row.size - row.offset)
    source = Source(row.name, header, written, body, torn=torn)
    return _filtered(source, removal) or source


def _unchanged(pack: Path, section: Section) -> Source:
    def body() -> Iterator[bytes]:
        return (line for _, line in packs.lines(pack, section))

    return Source(section.name, section.header, section.written, body, section.last, section.removed, torn=section.torn)


def _filtered(source: Source, removal: Removal) -> Source | None:
    if not removal:
        return None
    last, gone, unknown = 0, [], 0
    for line in source.lines():
        number = _number(line)
        if removal.names(line):
            gone.append((number, number))
            unknown += not number
        elif unknown and number > last + 1:  # what could not be read was what lies between
            gone.append((last + 1, number - 1))
        if number:
            last, unknown = max(last, number), 0
    if not gone:
        return None
    if unknown:
        gone.append((last + 1, last + unknown))

    def kept() -> Iterator[bytes]:
        return (line for line in source.lines() if not removal.names(line))

    removed = _ranges([*source.removed, *(pair for pair in gone if pair[0])])
    return Source(source.name, source.header, source.written, kept, max(last, source.last), removed, source.torn)


def _ranges(pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(pairs):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)


def _body(path: Path, header: Header, end: int) -> Callable[[], Iterator[bytes]]:
    """The lines of a journal behind its header; where the header is damaged, that line too, so that nothing is lost."""

    def lines() -> Iterator[bytes]:
        with path.open("rb") as file:
            position = 0 if header.is_damaged else len(file.readline())
            file.seek(position)
            while position < end:
                line = file.readline()
                yield line
                position += len(line)

    return lines


def _raw_lines(path: Path) -> Iterator[bytes]:
    if packs.is_pack(path.name):
        return
    with path.open("rb") as file:
        yield from file


def _run_named(line: bytes) -> str | None:
    try:
        event = from_json(journal.load_line(line))
    except UNREADABLE_LINE:
        return journal.run_of(line)
    return None if isinstance(event, ProcessDescribed | ExperimentDescribed) else event.run_id


def _number(line: bytes) -> int:
    try:
        return int(journal.load_line(line)["n"])
    except UNREADABLE_LINE:
        return 0


def _is_at_rest(path: Path, row: FileRow) -> bool:
    """Whether nobody writes to a journal any more, for all that this machine can tell."""
    try:
        stat = path.stat()
        header = journal.read_header(path)
        if stat.st_size != row.size or (row.state == DEAD and journal.is_alive(path, header)):
            return False
    except (OSError, ValueError):
        return False
    here = own_identity()
    is_local = header.owner.pid == NOBODY or header.owner.host == here.host
    return is_local or time.time() - stat.st_mtime > FOREIGN_SECONDS


def _delete_replaced(path: Path, mark: tuple[int, int]) -> None:
    """Delete a file that a pack took the place of, if it is still as it was then."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return
    try:
        if fcntl is not None:
            try:  # whoever writes to this very file holds a lock on it
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            except OSError:
                pass
        stat = os.fstat(fd)
        if (stat.st_size, stat.st_mtime_ns) == mark:
            path.unlink(missing_ok=True)
    finally:
        os.close(fd)


def _delete_leftovers(folder: Path, index: Index) -> None:
    """Delete what a compaction that broke off left twice."""
    journals = folder / JOURNALS
    there = {name for name in os.listdir(journals) if name.endswith(SUFFIX)}
    query = "SELECT name FROM files WHERE state = ?"
    packed = [str(name).partition("/") for (name,) in index.connection.execute(query, (PACKED,))]
    suspects = {pack for pack, _, name in packed if name in there}
    by_number: dict[int, list[str]] = {}
    for name in there:
        if packs.is_pack(name):
            by_number.setdefault(packs.number_of(name), []).append(name)
    suspects |= {name for names in by_number.values() if len(names) > 1 for name in names}
    for pack in sorted(suspects & there):
        for name, mark in packs.contents(journals / pack).replaces.items():
            _delete_replaced(journals / name, mark)
    if suspects:
        fold(folder, index)


def _forget(index: Index, removal: Removal) -> None:
    connection = index.connection
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    of_runs = [
        name for name in tables if "run" in {row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')}
    ]
    for run_id in removal.runs:
        row = connection.execute("SELECT id FROM runs WHERE run_id = ?", (encode(run_id),)).fetchone()
        if row is not None:
            for table in of_runs:
                connection.execute(f'DELETE FROM "{table}" WHERE run = ?', row)
            connection.execute("DELETE FROM runs WHERE id = ?", row)
    for process in removal.processes:
        connection.execute("DELETE FROM facts WHERE process_id = ?", (encode(process),))
