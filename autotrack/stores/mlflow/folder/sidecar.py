"""Our own record beside MLflow's files: append-only lines, each an event with its place.

``autotrack.jsonl`` in a run's folder holds the events of that run, ``.autotrack.jsonl`` at the top those that describe
processes. They are the truth of what autotrack wrote: MLflow's files cannot hold all of it. The first line is a header;
each other line is ``{"j": journal id, "n": number, "type": …}``. Rules for changing it are those of `autotrack.events`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from autotrack.errors import StoreError
from autotrack.events import FORMAT_VERSION, Entry, Event, from_json, to_json
from autotrack.stores.mlflow.folder import files
from autotrack.stores.state import Place

RUN: Final = "autotrack.jsonl"
PROCESSES: Final = ".autotrack.jsonl"

_dump: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Log:
    """What was read of one sidecar so far; `refresh` reads on.

    Parameters
    ----------
    path : the file, which need not be there.
    fold : called with the place and the event of each line.
    """

    def __init__(self, path: Path, fold: Callable[[Place, Event], None]) -> None:
        self.path = path
        self.header: dict[str, Any] = {}
        self.last: dict[str, int] = {}
        self.problems: list[str] = []
        self.too_new = ""
        self.offset = 0
        self._fold = fold

    def refresh(self, descriptor: int | None = None) -> bool:
        """Read what was appended, up to the last whole line. False for a file that is shorter than what was read of it.

        Raises
        ------
        OSError
            When the file cannot be read.
        """
        if descriptor is None:
            with self.path.open("rb") as file:
                return self._read(file.fileno())
        return self._read(descriptor)

    def append(self, descriptor: int, entries: Sequence[Entry]) -> None:
        """Append entries that are not there yet, and fold them. The caller holds the file's lock and has refreshed.

        Raises
        ------
        OSError
            When they cannot be written whole; then none of them stands there.
        StoreError
            When a newer version wrote the file.
        """
        if self.too_new:
            raise StoreError(self.too_new)
        new = []
        numbers = dict(self.last)
        for entry in entries:
            if entry.number > numbers.get(entry.journal_id, 0):
                numbers[entry.journal_id] = entry.number
                new.append(entry)
        if not new:
            return
        lines = [_dump({"j": entry.journal_id, "n": entry.number, **to_json(entry.event)}) + "\n" for entry in new]
        data = "".join(lines).encode()
        try:
            os.ftruncate(descriptor, self.offset)  # a torn line of a killed writer, if any
            write_all(descriptor, data)
        except OSError:
            os.ftruncate(descriptor, self.offset)
            raise
        for entry in new:
            self._take(entry.journal_id, entry.number, entry.event)
        self.offset += len(data)

    def _read(self, descriptor: int) -> bool:
        size = os.fstat(descriptor).st_size
        if size < self.offset:
            return False
        if size == self.offset:
            return True
        os.lseek(descriptor, self.offset, os.SEEK_SET)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(size - self.offset)
        whole = data[: data.rfind(b"\n") + 1]
        position = self.offset
        for line in whole.split(b"\n")[:-1]:
            self._line(line, position)
            position += len(line) + 1
        self.offset = position
        return True

    def _line(self, line: bytes, position: int) -> None:
        try:
            data = json.loads(line)
            if position == 0 and "autotrack" in data:
                self.header = data
                if int(data["autotrack"]) > FORMAT_VERSION:
                    self.too_new = (
                        f"{self.path} is of format {data['autotrack']}; this autotrack reads up to {FORMAT_VERSION}, "
                        "a newer one is needed"
                    )
                    self.problems.append(self.too_new)
                return
            if self.too_new:
                return
            self._take(str(data["j"]), int(data["n"]), from_json(data))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self.problems.append(f"{self.path}: the line at byte {position} cannot be read ({str(error)[:200]})")

    def _take(self, journal_id: str, number: int, event: Event) -> None:
        if number > self.last.get(journal_id, 0):
            self.last[journal_id] = number
            self._fold(Place(journal_id, number), event)


def header(**about: Any) -> bytes:
    """The first line of a sidecar."""
    return (_dump({"autotrack": FORMAT_VERSION, **about}) + "\n").encode()


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it at the end of an open file.

    Raises
    ------
    OSError
        When not all could be written.
    """
    os.lseek(descriptor, 0, os.SEEK_END)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Held(AbstractContextManager["Held"]):
    """A sidecar that is open and locked.

    Raises
    ------
    OSError
        When it cannot be opened.
    """

    def __init__(self, path: Path, *, wait: bool = True) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.is_ours = files.lock(self.descriptor, wait=wait)
        try:
            there = path.stat()
            here = os.fstat(self.descriptor)
            self.is_in_place = (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
        except OSError:  # the run's folder was moved while we waited
            self.is_in_place = False

    def close(self) -> None:
        """Unlock and close it."""
        os.close(self.descriptor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
