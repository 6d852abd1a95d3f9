"""Packs: the journals of many dead processes in one file, ``<store>/journals/<number>-<random>.pack.jsonl``.

A pack is written once and never changed. Its first line is a header of format 2 without an owner. Then, one after
another, its sections: a header line, which is the journal's own with what the file system knew of the file, and the
journal's lines as they were. Its last line, the contents, repeats all sections with their places, so that one damaged
line costs that line only. Packs of a lower number are read first: of two files with entries of one journal the one with
the earlier entries has to come first.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from autotrack import journal
from autotrack.events import Entry
from autotrack.journal import (
    NOBODY,
    PACK_SUFFIX,
    PACK_VERSION,
    UNREADABLE_LINE,
    Chunk,
    Header,
    Line,
    Problem,
)
from autotrack.owners import Identity

NAME: Final = re.compile(r"([0-9]{8})-[0-9a-f]{12}" + re.escape(PACK_SUFFIX))
_BLOCK: Final = 1 << 16
_LINES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Section:
    """One journal in a pack.

    Parameters
    ----------
    name : what its file was called.
    header : the journal's own.
    written : when its file was last written to, in milliseconds since the epoch.
    offset, length : where its lines stand in the pack, in bytes.
    digest : SHA-256 of the lines.
    last : number of the last entry that was ever in it, where lines were removed; else 0.
    removed : first and last numbers of what was removed for good.
    torn : the beginning of a line that its process did not finish.
    """

    name: str
    header: Header
    written: int
    offset: int
    length: int
    digest: str
    last: int = 0
    removed: tuple[tuple[int, int], ...] = ()
    torn: bytes = b""


@dataclass(frozen=True, slots=True)
class Source:
    """A journal that is to go into a pack; ``lines`` gives its lines, each time that it is called."""

    name: str
    header: Header
    written: int
    lines: Callable[[], Iterable[bytes]]
    last: int = 0
    removed: tuple[tuple[int, int], ...] = ()
    torn: bytes = b""


@dataclass(frozen=True, slots=True)
class Contents:
    """The sections of a pack; the files that it took the place of, with size and time; and what is damaged of it."""

    sections: tuple[Section, ...]
    replaces: Mapping[str, tuple[int, int]]
    problems: tuple[Problem, ...] = ()


def is_pack(name: str) -> bool:
    """Whether a file of this name is a pack."""
    return name.endswith(PACK_SUFFIX)


def order(name: str) -> tuple[bool, str]:
    """Files sorted by this are in the order in which they have to be read: packs first."""
    return (not is_pack(name), name)


def new_name(number: int) -> str:
    """A name for a pack."""
    return f"{number:08d}-{os.urandom(6).hex()}{PACK_SUFFIX}"


def number_of(name: str) -> int:
    """The number in a pack's name; 0 for a name of another form."""
    found = NAME.fullmatch(name)
    return int(found[1]) if found else 0


def write(path: Path, sources: Iterable[Source], created: int, replaces: Mapping[str, tuple[int, int]]) -> Contents:
    """Write a pack, whole or not at all: it has its name once it is safe on the disk.

    Raises
    ------
    OSError
        When that cannot be done.
    """
    partial = path.with_name(f"{path.name}.tmp-{os.urandom(4).hex()}")
    sections: list[Section] = []
    try:
        with partial.open("xb") as file:
            nobody = Identity("", NOBODY, "", "")
            file.write(journal.header_line(Header(path.name.removesuffix(PACK_SUFFIX), PACK_VERSION, created, nobody)))
            sections.extend(_write_section(file, source) for source in sources)
            contents = {"contents": [_to_json(section) for section in sections]}
            file.write(journal.with_sum(contents | {"replaces": {name: [*mark] for name, mark in replaces.items()}}))
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return Contents(tuple(sections), dict(replaces))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder safe on the disk, where the platform can."""
    if os.name == "nt":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def contents(path: Path) -> Contents:
    """What stands where in a pack.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it is no pack that this version reads.
    """
    problems: list[Problem] = []
    with path.open("rb") as file:
        first = file.readline()
        try:
            header = journal.parse_header(journal.load_line(first))
        except journal.NewerFormatError:
            raise
        except UNREADABLE_LINE as error:
            problems.append(journal.line_problem(path, 0, first, error))
        else:
            if header.version != PACK_VERSION:
                raise ValueError(f"a pack in format {header.version}, which has none")
        try:
            data = journal.load_line(_last_line(file))
            sections = tuple(_from_json(section) for section in data["contents"])
            replaces = {str(name): (int(size), int(time)) for name, (size, time) in data["replaces"].items()}
        except (*UNREADABLE_LINE, AttributeError) as error:
            if problems:
                raise ValueError("not an autotrack pack: neither its first nor its last line can be read") from error
            problems.append(Problem(f"{path.name}: its last line, the contents, cannot be read ({error!r:.200})"))
            sections, replaces = tuple(_scan(path, file, len(first), problems)), {}
    return Contents(sections, replaces, tuple(problems))


def read_section(path: Path, section: Section) -> Iterator[tuple[list[Line], list[Problem]]]:
    """The lines of a section as `autotrack.journal.decode` takes them, and what cannot be read, in parts.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    found: list[Line] = []
    problems: list[Problem] = []
    for start, line in lines(path, section):
        if line == b"\n":
            continue
        try:
            data = journal.load_line(line)
            found.append(Line(start, int(data["n"]), data, line))
        except UNREADABLE_LINE as error:
            problems.append(journal.line_problem(path, start, line, error))
        if len(found) + len(problems) >= _LINES:
            yield found, problems
            found, problems = [], []
    yield found, problems


def lines(path: Path, section: Section) -> Iterator[tuple[int, bytes]]:
    """The lines of a section, each with the byte at which it begins."""
    with path.open("rb") as file:
        position, end = section.offset, section.offset + section.length
        file.seek(position)
        while position < end:
            line = file.readline(end - position)
            if not line:
                break
            yield position, line
            position += len(line)


def read(path: Path) -> Chunk:
    """As `autotrack.journal.read`, for a pack."""
    size = path.stat().st_size
    try:
        whole = contents(path)
    except ValueError as error:
        return Chunk(None, (), size, (Problem(f"{path.name}: {error}"),))
    entries: list[Entry] = []
    problems = [*whole.problems]
    for section in whole.sections:
        for found, unreadable in read_section(path, section):
            problems += unreadable
            for line in found:
                event = journal.decode(path, line)
                if isinstance(event, Problem):
                    problems.append(event)
                else:
                    entries.append(Entry(section.header.journal, line.number, event))
    header = Header(path.name.removesuffix(PACK_SUFFIX), PACK_VERSION, 0, Identity("", NOBODY, "", ""), has_sums=True)
    return Chunk(header, tuple(entries), size, tuple(problems))


def _write_section(file: IO[bytes], source: Source) -> Section:
    length, digest = 0, hashlib.sha256()
    for line in source.lines():
        length += len(line)
        digest.update(line)
    section = Section(
        source.name,
        source.header,
        source.written,
        0,
        length,
        digest.hexdigest(),
        source.last,
        source.removed,
        source.torn,
    )
    file.write(journal.with_sum({key: value for key, value in _to_json(section).items() if key != "offset"}))
    offset = file.tell()
    file.writelines(source.lines())
    if file.tell() != offset + length:
        raise OSError(f"{source.name} changed while it was packed")
    return Section(**{name: getattr(section, name) for name in Section.__slots__} | {"offset": offset})


def _to_json(section: Section) -> dict[str, Any]:
    header = section.header
    data: dict[str, Any] = {
        "journal": header.journal,
        "version": header.version,
        "created": header.created,
        "owner": asdict(header.owner),
        "sums": int(header.has_sums),
        "file": section.name,
        "written": section.written,
        "offset": section.offset,
        "length": section.length,
        "digest": section.digest,
    }
    if section.removed:
        data |= {"last": section.last, "removed": [list(pair) for pair in section.removed]}
    if section.torn:
        data["torn"] = base64.b64encode(section.torn).decode()
    return data


def _from_json(data: Mapping[str, Any], offset: int | None = None) -> Section:
    return Section(
        name=str(data["file"]),
        header=journal.parse_header(data),
        written=int(data["written"]),
        offset=int(data["offset"]) if offset is None else offset,
        length=int(data["length"]),
        digest=str(data["digest"]),
        last=int(data.get("last", 0)),
        removed=tuple((int(first), int(last)) for first, last in data.get("removed", ())),
        torn=base64.b64decode(data.get("torn", "")),
    )


def _last_line(file: IO[bytes]) -> bytes:
    """The last line, which has to be whole."""
    end = file.seek(0, os.SEEK_END)
    tail = b""
    while end and b"\n" not in tail[:-1]:
        start = max(0, end - _BLOCK)
        file.seek(start)
        tail, end = file.read(end - start) + tail, start
    if not tail.endswith(b"\n"):
        raise ValueError("it is torn")
    return tail[tail.rfind(b"\n", 0, len(tail) - 1) + 1 :]


def _scan(path: Path, file: IO[bytes], position: int, problems: list[Problem]) -> Iterator[Section]:
    """The sections as their own header lines tell, where the contents are lost."""
    size = os.fstat(file.fileno()).st_size
    lost = 0
    while position < size:
        file.seek(position)
        line = file.readline()
        try:
            section = _from_json(journal.load_line(line), position + len(line))
        except UNREADABLE_LINE:
            lost += 1
            position += len(line)
            continue
        yield section
        position = section.offset + section.length
    if lost > 1:  # the contents themselves are one
        problems.append(Problem(f"{path.name}: {lost - 1} lines belong to no section that can be read"))
