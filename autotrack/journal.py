"""The journal file: one process's append-only record of events, and how others read it.

One file per process, ``<store>/journals/<journal id>.jsonl``. The first line is the header, every other line one event
with its number ``n``. A batch is one ``write`` to a descriptor opened with ``O_APPEND``: nothing that was appended is
lost when the process is killed, and no two processes ever write to one file. It is not synced to disk: a power cut may
lose the last seconds.

The writer holds an ``flock`` on its file for as long as it lives. Where locks are unreliable the header's identity
(host, process id, start of the process, boot id) is second evidence. Without ``fcntl`` (Windows) only the identity
counts.

Every line ends with a checksum of what stands before it (``"c"``, CRC-32 in hexadecimal), and the header says so
(``"sums"``): a line in which one byte changed is named, and never taken for another value. A line without one, as the
first version wrote it, is read too; `autotrack fsck` names it where the header promises one. Where only the header is
damaged the file's name tells the journal.

A pack (``…pack.jsonl``, format 2) holds the journals of many dead processes one after another. Its first line tells a
reader that knows no packs which format it is; a header line in the middle begins the next journal.
"""

from __future__ import annotations

import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from autotrack.events import FORMAT_VERSION, Entry, Event, from_json, to_json
from autotrack.owners import Identity, own_identity, owner_lives

try:
    import fcntl
except ImportError:  # pragma: no cover - not on this platform
    fcntl = None  # type: ignore[assignment]

JOURNALS: Final = "journals"
SUFFIX: Final = ".jsonl"
COPY_SUFFIX: Final = ".copy" + SUFFIX
"""End of the name of a journal whose entries came by `autotrack.stores.base.Store.apply`."""
PACK_SUFFIX: Final = ".pack" + SUFFIX
PACK_VERSION: Final = 2
"""Format of a file that holds several journals."""

PART_SIZE: Final = 1 << 20
"""How many bytes of a journal are read at a time, about."""

NOBODY: Final = 0
"""Process id of the owner of what no process writes to: entries that were applied, and packs."""
UNKNOWN: Final = -1
"""Process id of an owner that cannot be read."""

_JOURNAL_ID: Final = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{12}")
_SUM: Final = b',"c":"'
_SUM_LENGTH: Final = 16
_NUMBER: Final = re.compile(rb'(?m)^\{"n":\s*(\d+)')
_PIECE: Final = 4096
_RUN_ID: Final = re.compile(rb'"run_id":\s*"([0-9a-f]{32})"')


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a journal. ``created`` in milliseconds since the epoch.

    ``has_sums`` tells that every line has a checksum. ``is_damaged`` tells that it is not what stands in the file, but
    what its name tells of it.
    """

    journal: str
    version: int
    created: int
    owner: Identity
    has_sums: bool = False
    is_damaged: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a journal that could not be read.

    ``run_id`` where the line still names its run; ``span`` where the line stands in the file (bytes, from and to).
    """

    message: str
    run_id: str | None = None
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """What `read` found: ``offset`` is where the next read goes on (bytes), behind the last complete line."""

    header: Header | None
    entries: tuple[Entry, ...]
    offset: int
    problems: tuple[Problem, ...]


def new_id() -> str:
    """32 hexadecimal digits from the operating system's randomness, never from the user's ``random``."""
    return os.urandom(16).hex()


def new_journal_id(at: float | None = None) -> str:
    """An id for a journal: it begins with the time (UTC, to the microsecond), so that later journals have greater ids.

    Parameters
    ----------
    at : seconds since the epoch; now when left out.
    """
    seconds, fraction = divmod(time.time() if at is None else at, 1)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
    return f"{stamp}-{int(fraction * 16**5):05x}{os.urandom(4).hex()[:7]}"


class JournalWriter:
    """One open journal. Not thread-safe: the caller holds a lock around `append`.

    Parameters
    ----------
    folder : the store's folder; ``journals/`` below it is made where it is missing.

    Raises
    ------
    OSError
        When the file cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        journals = folder / JOURNALS
        journals.mkdir(parents=True, exist_ok=True)
        self.journal_id = new_journal_id()
        self.path = journals / (self.journal_id + SUFFIX)
        self._number = 0
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            if fcntl is not None:
                try:
                    fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:  # a file system without locks: the identity has to do
                    pass
            header = Header(self.journal_id, FORMAT_VERSION, int(time.time() * 1000), own_identity())
            self._size = 0
            self._write(header_line(header))
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, events: Iterable[Event]) -> None:
        """Append a batch.

        Raises
        ------
        OSError
            When it cannot be written whole; then nothing of it stands in the file, and it may be tried again.
        """
        number = self._number
        lines = []
        for event in events:
            number += 1
            lines.append(event_line(number, event))
        if lines:
            self._write(b"".join(lines))
            self._number = number

    def is_in_place(self) -> bool:
        """Whether the file still has a name; false after somebody deleted it."""
        return os.fstat(self._fd).st_nlink > 0

    def close(self) -> None:
        """Close the file, which gives up the lock."""
        os.close(self._fd)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError:  # the torn line stays; readers name it and go on
                pass
            raise
        self._size += len(data)


def journal_paths(folder: Path) -> list[Path]:
    """The journals of a store's folder, oldest first; none where there is no such folder."""
    journals = folder / JOURNALS
    try:
        names = [name for name in os.listdir(journals) if name.endswith(SUFFIX)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [journals / name for name in sorted(names)]


def event_line(number: int, event: Event) -> bytes:
    """The line of an event.

    Raises
    ------
    ValueError
        For a value that JSON does not have.
    """
    return with_sum({"n": number, **to_json(event)})


def header_line(header: Header) -> bytes:
    """The line that begins a journal whose lines have checksums."""
    owner = asdict(header.owner)
    return with_sum(
        {"journal": header.journal, "version": header.version, "created": header.created, "owner": owner, "sums": 1}
    )


def with_sum(data: Mapping[str, Any]) -> bytes:
    """A mapping that is not empty as a line of JSON with its checksum."""
    body = _dumps(data)[:-1].encode()
    return b'%b,"c":"%08x"}\n' % (body, zlib.crc32(body))


def load_line(line: bytes, *, has_sum: bool = False) -> dict[str, Any]:
    """What a line says.

    Parameters
    ----------
    has_sum : whether it has to have a checksum; one that it has is verified in any case.

    Raises
    ------
    ValueError
        When it is no JSON object, or its checksum is wrong or missing.
    """
    line = line.removesuffix(b"\n")
    mark = len(line) - _SUM_LENGTH
    if line[mark : mark + len(_SUM)] == _SUM:
        if b"%08x" % zlib.crc32(line[:mark]) != line[mark + len(_SUM) : -2]:
            raise ValueError("its checksum is wrong")
    elif has_sum:
        raise ValueError("it has no checksum")
    text = line.decode("utf-8", "surrogatepass")
    try:
        # What `json.loads` does in the end; a line is nearly always one value and nothing else.
        data, end = _scan(text, 0)
    except StopIteration:
        end = -1
    if end != len(text):
        data = json.loads(text)
    if not isinstance(data, dict):
        raise TypeError(f"expected an object, found {type(data).__name__}")
    return data


def read_header(path: Path) -> Header:
    """The header of a journal.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When its first line is not a header that this version reads; the message says what it is instead.
    """
    with path.open("rb") as file:
        return _first_header(path, file.readline())


class Line(NamedTuple):
    """A line that is a JSON object: where it begins (bytes), its number, what it says, and the line itself."""

    start: int
    number: int
    data: dict[str, Any]
    raw: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines of a journal; `decode` tells what one means. ``offset`` is where reading goes on (bytes)."""

    header: Header | None
    lines: list[Line]
    offset: int
    problems: list[Problem]


def read(path: Path, offset: int = 0, *, max_entries: int | None = None, max_bytes: int | None = None) -> Chunk:
    """Read a journal from ``offset`` on, up to its last complete line; a torn last line is left for a later read.

    Lines that cannot be read are passed over and named in ``problems``.

    Parameters
    ----------
    path : the journal's file.
    offset : where to begin (bytes), as an earlier `Chunk` gives it.
    max_entries, max_bytes : stop once so much was read; ``None`` for all there is. One line is read in any case.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    if path.name.endswith(PACK_SUFFIX):
        from autotrack import packs

        return packs.read(path)
    header: Header | None = None
    entries: list[Entry] = []
    problems: list[Problem] = []
    begin = offset
    for part in read_parts(path, offset, PART_SIZE if max_bytes is None else max_bytes):
        header, offset = part.header, part.offset
        for line in part.lines:
            event = decode(path, line)
            if isinstance(event, Problem):
                problems.append(event)
                continue
            assert header is not None
            entries.append(Entry(header.journal, line.number, event))
            if len(entries) == max_entries:
                offset = line.start + len(line.raw)
                break
        problems += [problem for problem in part.problems if problem.span is None or problem.span[0] < offset]
        if len(entries) == max_entries or (max_bytes is not None and offset - begin >= max_bytes):
            break
    return Chunk(header, tuple(entries), offset, tuple(problems))


def read_parts(path: Path, offset: int = 0, size: int = PART_SIZE) -> Iterator[Part]:
    """Read a journal as `read` does, in one or more parts.

    Parameters
    ----------
    size : how many bytes a part has, about; one line may be longer.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    with path.open("rb") as file:
        first = file.readline()
        if not first.endswith(b"\n"):
            yield Part(None, [], 0, [])
            return
        length = os.fstat(file.fileno()).st_size
        try:
            header = _first_header(path, first)
        except ValueError as error:
            yield Part(None, [], length, [Problem(f"{path.name}: {error}")])
            return
        if header.version == PACK_VERSION:
            message = f"{path.name}: a pack, which has to have a name that ends in {PACK_SUFFIX}"
            yield Part(None, [], length, [Problem(message)])
            return
        problems: list[Problem] = []
        if header.is_damaged and not offset:
            if not _has_an_event(file):
                yield Part(None, [], length, [Problem(f"{path.name}: not an autotrack journal: no line can be read")])
                return
            problems.append(Problem(f"{path.name}: its first line is damaged; its name tells what journal it is"))
        position = max(offset, len(first))
        file.seek(position)
        while True:
            raws = file.readlines(size)
            lines: list[Line] = []
            is_torn = not raws or not raws[-1].endswith(b"\n")
            if is_torn and raws:
                raws.pop()
            for raw in raws:
                if raw != b"\n":
                    try:
                        data = load_line(raw)
                        if "n" in data or "journal" not in data:  # else a header, behind a first line that is none
                            lines.append(Line(position, int(data["n"]), data, raw))
                    except UNREADABLE_LINE as error:
                        problems.append(line_problem(path, position, raw, error))
                position += len(raw)
            yield Part(header, lines, position, problems)
            if is_torn:
                return
            problems = []


def decode(path: Path, line: Line) -> Event | Problem:
    """What a line means, or why that cannot be told."""
    try:
        return from_json(line.data)
    except UNREADABLE_LINE as error:
        return line_problem(path, line.start, line.raw, error)


def _has_an_event(file: BinaryIO) -> bool:
    """Whether any line from here on can be read."""
    for raw in file:
        try:
            from_json(load_line(raw))
        except UNREADABLE_LINE:
            continue
        return True
    return False


UNREADABLE_LINE: Final = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What `load_line` and `autotrack.events.from_json` raise for a line that cannot be read."""


def line_problem(path: Path, start: int, line: bytes, error: Exception) -> Problem:
    """The sentence about a line, which begins at byte ``start``, that could not be read."""
    message = f"{path.name}: the line at byte {start} cannot be read ({_brief(error)})"
    return Problem(message, run_of(line), (start, start + len(line)))


def run_of(line: bytes) -> str | None:
    """The run that a line which cannot be read seems to be about."""
    found = _RUN_ID.search(line)
    return found[1].decode() if found else None


def last_number(path: Path, size: int) -> int:
    """The number of the last entry within the first ``size`` bytes of a journal; 0 for none. Raises ``OSError``."""
    with path.open("rb") as file:
        piece = _PIECE
        while True:
            start = max(0, size - piece)
            file.seek(start)
            found = _NUMBER.findall(file.read(size - start))
            if found or not start:
                return int(found[-1]) if found else 0
            piece *= 8


def is_alive(path: Path, header: Header) -> bool:
    """Whether the process that writes this journal still lives, as far as this machine can tell."""
    return owner_lives(path, header.owner)


# Surrogates are legal in Python strings and file names; escaping them keeps the line valid UTF-8.
_dumps: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


_scan: Final[Callable[[str, int], tuple[Any, int]]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def _first_header(path: Path, line: bytes) -> Header:
    try:
        return parse_header(load_line(line))
    except NewerFormatError:
        raise
    except UNREADABLE_LINE as error:
        name, is_copy = path.name.removesuffix(SUFFIX), False
        if name.endswith(".copy"):
            name, is_copy = name.removesuffix(".copy"), True
        if not _JOURNAL_ID.fullmatch(name):
            raise ValueError(f"not an autotrack journal ({_brief(error)})") from error
        owner = Identity("", NOBODY if is_copy else UNKNOWN, "", "")
        return Header(name, FORMAT_VERSION, 0, owner, is_damaged=True)


class NewerFormatError(ValueError):
    """A header of a format that this version does not read."""


def parse_header(data: Mapping[str, Any]) -> Header:
    """The header that a line is.

    Raises
    ------
    ValueError, KeyError, TypeError
        When it is none, or one of a newer format.
    """
    version = int(data["version"])
    owner = data["owner"]
    header = Header(
        journal=str(data["journal"]),
        version=version,
        created=int(data["created"]),
        owner=Identity(str(owner["host"]), int(owner["pid"]), str(owner["started"]), str(owner["boot"])),
        has_sums=bool(data.get("sums")),
    )
    if version > PACK_VERSION:
        raise NewerFormatError(
            f"written in format {version}; this autotrack reads up to {PACK_VERSION}, a newer one is needed"
        )
    return header


def _brief(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= 200 else text[:200] + "…"
