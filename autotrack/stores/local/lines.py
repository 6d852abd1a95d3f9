"""Verifying the journal files of a folder, line by line."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autotrack import journal, packs
from autotrack.events import from_json
from autotrack.journal import NOBODY, SUFFIX, UNREADABLE_LINE, Header, NewerFormatError
from autotrack.stores.artifacts.folder import PARTIAL
from autotrack.stores.base import Finding

NEWER: Final = "newer"
UNREADABLE: Final = "unreadable"
DAMAGED: Final = "damaged"
_SECOND_LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What is wrong with one file: ``kind`` is `NEWER`, `UNREADABLE` as a whole, `DAMAGED` in parts, or blank."""

    name: str
    kind: str
    findings: tuple[Finding, ...]
    is_alive: bool = False


def check_file(path: Path) -> FileCheck:
    """Verify one file among the journals.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    if not path.name.endswith(SUFFIX):
        if PARTIAL.search(path.name):
            return FileCheck(path.name, "", ())  # what is being written, or garbage
        return FileCheck(path.name, "", (Finding(path.name, "is no journal, and not read", is_note=True),))
    if not path.is_file():
        message = "a link that leads nowhere" if path.is_symlink() else "no file"
        return FileCheck(path.name, UNREADABLE, (Finding(path.name, message),))
    try:
        if packs.is_pack(path.name):
            return _check_pack(path)
        return _check_journal(path)
    except NewerFormatError as error:
        return FileCheck(path.name, NEWER, (Finding(path.name, str(error)),))
    except ValueError as error:
        return FileCheck(path.name, UNREADABLE, (Finding(path.name, str(error)),))


def _check_journal(path: Path) -> FileCheck:
    with path.open("rb") as file:
        first = file.readline()
    if not first.endswith(b"\n"):
        return _check_headless(path, first)
    header = journal.read_header(path)
    is_alive = header.owner.pid != NOBODY and journal.is_alive(path, header)
    findings = list(_check_lines(path, header, len(first)))
    if findings and is_alive:
        # Its writer takes back what a full disk refused: what is damage stays.
        time.sleep(_SECOND_LOOK_SECONDS)
        again = set(_check_lines(path, header, len(first)))
        findings = [finding for finding in findings if finding in again]
    if header.is_damaged:
        if not any(True for chunk in [journal.read(path)] if chunk.entries):
            raise ValueError("not an autotrack journal: no line can be read")
        message = "its first line is damaged; what journal it is was told from the file's name"
        findings.insert(0, Finding(path.name, message))
    kind = DAMAGED if any(not finding.is_note for finding in findings) else ""
    name = path.name.removesuffix(SUFFIX).removesuffix(".copy")
    if header.owner.pid != NOBODY and header.journal != name:
        findings.append(Finding(path.name, f"it is the journal {header.journal}, under another name", is_note=True))
    torn = _torn(path)
    if torn and not (is_alive or journal.is_alive(path, header)) and torn == _torn(path):
        message = f"its last line is not finished ({torn} bytes): its process ended while it wrote that"
        findings.append(Finding(path.name, message, is_note=True))
    return FileCheck(path.name, kind, tuple(findings), is_alive)


def _check_headless(path: Path, first: bytes) -> FileCheck:
    if first[:1] not in (b"", b"{"):
        raise ValueError("not an autotrack journal")
    return FileCheck(path.name, "", ())  # a process that has just begun, or garbage


def _check_lines(path: Path, header: Header, begin: int) -> Iterator[Finding]:
    def lines() -> Iterator[tuple[int, bytes]]:
        position = begin
        with path.open("rb") as file:
            file.seek(begin)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield position, line
                position += len(line)

    return _check_sequence(path, path.name, header, lines(), ())


def _check_sequence(
    path: Path,
    subject: str,
    header: Header,
    lines: Iterable[tuple[int, bytes]],
    removed: tuple[tuple[int, int], ...],
) -> Iterator[Finding]:
    """Verify lines of one journal: each by itself, and that none is missing."""
    gone = {number for first, last in removed for number in range(first, last + 1)}
    expected, unreadable = 1, 0
    for start, line in lines:
        if line == b"\n":
            continue
        try:
            data = journal.load_line(line, has_sum=header.has_sums)
            if "n" not in data and "journal" in data:
                continue  # the header, behind a first line that is damaged
            number = int(data["n"])
            from_json(data)
        except UNREADABLE_LINE as error:
            unreadable += 1
            problem = journal.line_problem(path, start, line, error)
            yield Finding(subject, problem.message.removeprefix(f"{path.name}: "), run_id=problem.run_id)
            continue
        if header.owner.pid == NOBODY:
            continue  # entries that were applied need not be all
        missing = [each for each in range(expected, min(number, expected + 1000)) if each not in gone]
        if len(missing) > unreadable:
            yield Finding(subject, f"entries {expected} to {number - 1} are missing before the line at byte {start}")
        elif number < expected:
            yield Finding(subject, f"entry {number} at byte {start} comes again, or too late")
        expected, unreadable = max(expected, number + 1), 0


def _check_pack(path: Path) -> FileCheck:
    contents = packs.contents(path)
    findings = [Finding(path.name, problem.message.removeprefix(f"{path.name}: ")) for problem in contents.problems]
    for section in contents.sections:
        subject = f"{path.name} ({section.name})"
        lines = packs.lines(path, section)
        found = list(_check_sequence(path, subject, section.header, lines, section.removed))
        if not found and _digest(path, section) != section.digest:
            found = [Finding(subject, "its lines are not those that were packed: their digest is another")]
        findings += found
    expected = max((section.offset + section.length for section in contents.sections), default=0)
    if path.stat().st_size < expected:
        findings.append(Finding(path.name, "it is cut off"))
    return FileCheck(path.name, DAMAGED if findings else "", tuple(findings))


def _digest(path: Path, section: packs.Section) -> str:
    digest = hashlib.sha256()
    for _, line in packs.lines(path, section):
        digest.update(line)
    return digest.hexdigest()


def _torn(path: Path) -> int:
    """The length of the unfinished last line, in bytes."""
    with path.open("rb") as file:
        end = size = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - (1 << 16))
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return size - (start + found + 1)
            end = start
    return size
