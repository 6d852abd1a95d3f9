"""The registry of a folder store: ``registry.jsonl``, an append-only file of changes, one on a line.

The file is a truth of its own, as the journals are: the index can be made anew without it, and it without the index.
The first line says its format; every other line is a change with its number ``n``, counted from 1, and every line ends
with a checksum, as in a journal. Whoever writes holds an ``flock`` on the file, reads what was appended before him, and
syncs what he appends to disk, so that no number of a version is given twice and nothing that was told is lost. A line
that a killed process left unfinished is not there for readers, and the next writer cuts it off.

Readers take no lock. They look at the file's size and time, and read what was appended since they looked last.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from autotrack.errors import StoreError
from autotrack.journal import UNREADABLE_LINE, load_line, with_sum
from autotrack.stores.local.incoming import locked_in_place
from autotrack.stores.registering import LOST, Change, Logged, RegistryState

REGISTRY: Final = "registry.jsonl"
FORMAT_VERSION: Final = 1

Plan = Callable[[RegistryState], Iterable[Change]]
"""Tells changes one after another; each is folded before the next is asked for."""


class Reading:
    """The lines of a registry file, read one after another.

    ``offset`` is where the next line begins (bytes), ``number`` that of the last change, ``last`` the last line,
    ``changes`` what could be read where that is asked for, with `LOST` in place of what could not.
    """

    def __init__(self, path: Path, *, keep: bool = False) -> None:
        self.path = path
        self.state = RegistryState()
        self.offset = 0
        self.number = 0
        self.last = b""
        self.problems: list[str] = []
        self.changes: list[Change] | None = [] if keep else None
        self._unread = 0

    def take(self, raw: bytes) -> None:
        """Take in the next line.

        Raises
        ------
        StoreError
            When a newer autotrack wrote the file.
        """
        start, self.last = self.offset, raw
        self.offset += len(raw)
        try:
            data = load_line(raw, has_sum=True)
            if "registry" in data and not start:
                self._check_version(data["registry"])
                return
            number = data.pop("n")
            if type(number) is not int:
                raise TypeError("its number is none")
        except UNREADABLE_LINE as error:
            self._problem(start, error)
            self._unread += bool(start)
            return
        if not start:
            self._problem(start, "the line that says its format is missing")
        self._take_change(start, number, data)

    def end(self) -> None:
        """Nothing comes behind the last line."""
        self._lose(self._unread)

    def _take_change(self, start: int, number: int, change: Change) -> None:
        if number <= self.number:
            self._problem(start, f"its number is {number}, behind {self.number}")
            return
        missing = number - self.number - 1
        if missing and not self._unread:
            self._problem(start, f"the {missing:,} lines before it are missing" if missing > 1 else "a line is missing")
        self._lose(missing)
        self.number, self._unread = number, 0
        change.pop("c")
        try:
            self.state.fold(change)
        except UNREADABLE_LINE as error:
            self._problem(start, error)
            return
        if self.changes is not None:
            self.changes.append(change)

    def _check_version(self, version: Any) -> None:
        if type(version) is not int or version > FORMAT_VERSION:
            raise StoreError(
                f"{self.path} is of a newer autotrack (format {version!r:.20}), and this one cannot read it; use that"
            )

    def _lose(self, count: int) -> None:
        if count:
            change = {"change": LOST, "count": count}
            self.state.fold(change)
            if self.changes is not None:
                self.changes.append(change)

    def _problem(self, start: int, what: object) -> None:
        what = what if isinstance(what, str) else f"cannot be read: {str(what) or type(what).__name__:.200}"
        self.problems.append(f"{self.path.name}: the line at byte {start}: {what}")


class Registry:
    """The registry file of one folder, and what it comes to. Not thread-safe: the caller holds a lock.

    Parameters
    ----------
    folder : the store's folder. Reading makes nothing in it.
    """

    def __init__(self, folder: Path) -> None:
        self.path: Final = folder / REGISTRY
        self._seen: tuple[int, int, int] | None = None
        self._reading = Reading(self.path)

    def read(self) -> RegistryState:
        """What the file comes to now.

        Raises
        ------
        StoreError
            When it cannot be read, or a newer autotrack wrote it.
        """
        try:
            if self._seen is None or self._seen != _mark(os.stat(self.path)):
                self._read_on()
        except FileNotFoundError:
            if self._reading.offset:
                self._forget()
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror or error}") from error
        return self._reading.state

    def problems(self) -> list[str]:
        """What of it cannot be read, a sentence each. Errors as `read`."""
        self.read()
        return list(self._reading.problems)

    def change(self, plan: Plan) -> RegistryState:
        """Append the changes that a plan comes to, with nobody else's between them.

        Raises
        ------
        StoreError
            When they could not be kept; then none of them is. Also when the file is damaged.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._held() as fd:
                state = self.read()
                if self._reading.problems:
                    raise StoreError(
                        f"{self.path} is damaged ({self._reading.problems[0]}), so nothing is added to it; "
                        "autotrack fsck --repair mends it"
                    )
                try:
                    self._append(fd, plan)
                except BaseException:
                    self._forget()  # something may have been folded that is not kept
                    raise
                return state
        except OSError as error:
            raise StoreError(f"cannot write to {self.path}: {error.strerror or error}") from error

    def take_in(self, logged: Sequence[Logged]) -> None:
        """Make versions of the logged models that are none yet, in this order. Errors as `change`."""
        if not all(map(self.read().is_known, logged)):
            self.change(lambda state: _versions(state, logged))

    def suppose(self, logged: Sequence[Logged]) -> RegistryState:
        """What the registry would be with these models taken in, where it cannot be written to. Errors as `read`."""
        state = self.read()
        self._forget()
        for change in _versions(state, logged):
            state.fold(change)
        return state

    def repair(self, keep: Callable[[], object]) -> None:
        """Write the file anew without what cannot be read; numbers that may have stood there are left out.

        Parameters
        ----------
        keep : is called with the file locked, to keep it as it was.

        Raises
        ------
        OSError
            When it cannot be written; then it is as it was.
        """
        with self._held():
            reading = Reading(self.path, keep=True)
            for raw in self.path.read_bytes().split(b"\n")[:-1]:
                reading.take(raw + b"\n")
            reading.end()
            if not reading.problems:
                return
            keep()
            lines = [_line(number, change) for number, change in enumerate(reading.changes or (), 1)]
            aside = self.path.with_name(f"{self.path.name}.tmp-{os.urandom(4).hex()}")
            try:
                with open(aside, "xb") as file:
                    file.writelines([_header(), *lines])
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(aside, self.path)
            finally:
                aside.unlink(missing_ok=True)
            self._forget()

    def _forget(self) -> None:
        self._reading, self._seen = Reading(self.path), None

    def _read_on(self) -> None:
        with self.path.open("rb") as file:
            stat = os.fstat(file.fileno())
            reading = self._reading
            is_same = self._seen is not None and self._seen[0] == stat.st_ino and stat.st_size >= reading.offset
            if is_same:
                # A writer that had no room takes back what it appended: then another line may stand here.
                file.seek(reading.offset - len(reading.last))
                is_same = file.read(len(reading.last)) == reading.last
            if not is_same:
                self._forget()
                file.seek(0)
            data = file.read()
        reading, self._seen = self._reading, None
        for raw in data.split(b"\n")[:-1]:
            reading.take(raw + b"\n")
        self._seen = _mark(stat)

    @contextmanager
    def _held(self) -> Iterator[int]:
        with locked_in_place(self.path) as fd:
            content = self._tail(fd)
            if content:
                os.ftruncate(fd, os.fstat(fd).st_size - content)
            try:
                yield fd
            finally:
                if not os.fstat(fd).st_size:
                    self.path.unlink(missing_ok=True)  # there was nothing to write, or no room

    def _tail(self, fd: int) -> int:
        """The length of a last line that a writer was killed in the middle of (bytes)."""
        size = os.fstat(fd).st_size
        length = 4096
        while True:
            with self.path.open("rb") as file:
                file.seek(max(0, size - length))
                found = file.read().rfind(b"\n")
            if found >= 0:
                return min(size, length) - found - 1
            if length >= size:
                return size
            length *= 16

    def _append(self, fd: int, plan: Plan) -> None:
        reading = self._reading
        size, number = os.fstat(fd).st_size, reading.number
        lines = [] if size else [_header()]
        for change in plan(reading.state):
            number += 1
            lines.append(_line(number, change))
            reading.state.fold(change)
        data = b"".join(lines)
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        except BaseException:
            os.ftruncate(fd, size)
            raise
        reading.offset, reading.number = size + len(data), number
        reading.last = lines[-1] if lines else reading.last
        self._seen = _mark(os.fstat(fd))


def _mark(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _versions(state: RegistryState, logged: Iterable[Logged]) -> Iterator[Change]:
    for model in logged:
        if not state.is_known(model):
            yield state.take_in(model)


def _header() -> bytes:
    return with_sum({"registry": FORMAT_VERSION, "created": int(time.time() * 1000)})


def _line(number: int, change: Change) -> bytes:
    return with_sum({"n": number, **change})
