"""The journal file: one process's append-only record of events, and how others read it.

One file per process, ``<store>/journals/<journal id>.jsonl``. The first line is the header, every other line one event
with its number ``n``. A batch is one ``write`` to a descriptor opened with ``O_APPEND``: nothing that was appended is
lost when the process is killed, and no two processes ever write to one file. It is not synced to disk: a power cut may
lose the last seconds.

The writer holds an ``flock`` on its file for as long as it lives. Where locks are unreliable the header's identity
(host, process id, start of the process, boot id) is second evidence. Without ``fcntl`` (Windows) only the identity
counts.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from autotrack.events import FORMAT_VERSION, Entry, Event, from_json, to_json

try:
    import fcntl
except ImportError:  # pragma: no cover - not on this platform
    fcntl = None  # type: ignore[assignment]

JOURNALS: Final = "journals"
SUFFIX: Final = ".jsonl"

_RUN_ID: Final = re.compile(rb'"run_id":\s*"([0-9a-f]{32})"')


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells one process from every other: ``started`` and ``boot`` are opaque, empty where unknown."""

    host: str
    pid: int
    started: str
    boot: str


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a journal. ``created`` in milliseconds since the epoch."""

    journal: str
    version: int
    created: int
    owner: Identity


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a journal that could not be read; ``run_id`` where the line still names its run."""

    message: str
    run_id: str | None = None


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


def new_journal_id() -> str:
    """An id for a journal: it begins with the time (UTC), so that later journals have greater ids.

    Of the 12 digits behind the seconds the first five are microseconds, the others random.
    """
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}-{microseconds:05x}{os.urandom(4).hex()[:7]}"


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
            self._write(_dumps(asdict(header)).encode() + b"\n")
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
            lines.append(_dumps({"n": number, **to_json(event)}))
        if lines:
            self._write(("\n".join(lines) + "\n").encode("utf-8", "surrogatepass"))
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
        return _parse_header(file.readline())


def read(path: Path, offset: int = 0) -> Chunk:
    """Read a journal from ``offset`` on, up to its last complete line; a torn last line is left for a later read.

    Lines that cannot be read are passed over and named in ``problems``.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    entries: list[Entry] = []
    problems: list[Problem] = []
    with path.open("rb") as file:
        first = file.readline()
        if not first.endswith(b"\n"):
            return Chunk(None, (), 0, ())
        try:
            header = _parse_header(first)
        except ValueError as error:
            size = os.fstat(file.fileno()).st_size
            return Chunk(None, (), size, (Problem(f"{path.name}: {error}"),))
        position = max(offset, len(first))
        file.seek(position)
        for line in file:
            if not line.endswith(b"\n"):
                break
            start, position = position, position + len(line)
            if line == b"\n":
                continue
            try:
                data = json.loads(line.decode("utf-8", "surrogatepass"))
                entries.append(Entry(header.journal, int(data["n"]), from_json(data)))
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                found = _RUN_ID.search(line)
                message = f"{path.name}: the line at byte {start} cannot be read ({_brief(error)})"
                problems.append(Problem(message, found[1].decode() if found else None))
    return Chunk(header, tuple(entries), position, tuple(problems))


def is_alive(path: Path, header: Header) -> bool:
    """Whether the process that writes this journal still lives, as far as this machine can tell."""
    if fcntl is not None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # no locks on this file system: fall through to the identity
            pass
        finally:
            os.close(fd)
    owner = header.owner
    here = own_identity()
    if owner.host != here.host or owner.boot != here.boot or not owner.started:
        return False
    return _process_start(owner.pid) == owner.started


def own_identity() -> Identity:
    """The identity of this process."""
    pid = os.getpid()
    return Identity(_host(), pid, _process_start(pid), _boot_id())


# Surrogates are legal in Python strings and file names; escaping them keeps the line valid UTF-8.
_dumps: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _parse_header(line: bytes) -> Header:
    try:
        data = json.loads(line)
        version = int(data["version"])
        owner = data["owner"]
        header = Header(
            journal=str(data["journal"]),
            version=version,
            created=int(data["created"]),
            owner=Identity(str(owner["host"]), int(owner["pid"]), str(owner["started"]), str(owner["boot"])),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not an autotrack journal ({_brief(error)})") from error
    if version > FORMAT_VERSION:
        raise ValueError(
            f"written in format {version}; this autotrack reads up to {FORMAT_VERSION}, a newer one is needed"
        )
    return header


def _brief(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= 200 else text[:200] + "…"


@lru_cache(maxsize=1)
def _host() -> str:
    import socket

    return socket.gethostname()


@lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _process_start(pid: int) -> str:
    """When a process started, as an opaque text; empty for a process that is gone or a platform without ``/proc``."""
    if sys.platform != "linux":
        return ""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    # The command may hold blanks and brackets: fields are counted from behind the last bracket (proc_pid_stat(5)).
    fields = stat[stat.rindex(b")") + 2 :].split()
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
