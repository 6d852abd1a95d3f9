"""What becomes of files in a spool: cleared away once they are in the store, or kept in quarantine."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from autotrack import journal
from autotrack.events import Entry, to_json
from autotrack.journal import SUFFIX, Problem
from autotrack.spool import ACK, Spool, ack_path, write_whole
from autotrack.stores.artifacts.folder import folder_name_is_safe

LINES: Final = ".lines"
"""Lines of a journal that could not be read, as they stand there."""
REFUSED: Final = ".refused.json"
"""An entry that the store refused, and why."""

_RUN: Final = re.compile(rb'"run_id":\s*"([^"\\]+)"')
_STARTED: Final = re.compile(rb'"type":\s*"run_started",\s*"run_id":\s*"([^"\\]+)"')
_PIECE: Final = 1 << 20


class Clearing:
    """Clears journals away; remembers what it read of the others."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._borrowed: dict[Path, tuple[int, set[str]]] = {}

    def clear(self, path: Path) -> None:
        """Remove a journal that is in the store whole, and the files of its runs that no other journal needs."""
        spool = self._spool
        try:
            named, started = run_ids(path)
            there = {run_id for run_id in named if folder_name_is_safe(run_id) and (spool.artifacts / run_id).is_dir()}
            if there:
                others = [other for other in spool.paths() if other != path and not spool.ack(other).done]
                others += spool.quarantined()
                for other in others:
                    there -= self._borrowed_by(other)
                if not there <= started:  # a run of another process, which may have files of its own to send
                    there -= set().union(*(run_ids(other)[1] for other in others))
            for run_id in there:
                shutil.rmtree(spool.artifacts / run_id, ignore_errors=True)
            path.unlink()
        except FileNotFoundError:  # another shipper was here
            pass
        self._borrowed.pop(path, None)
        ack_path(path).unlink(missing_ok=True)

    def _borrowed_by(self, path: Path) -> set[str]:
        """The runs that a journal names and did not start: those of a process that forked, for instance."""
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return set()
        known = self._borrowed.get(path)
        if known is None or known[0] != size:
            named, started = run_ids(path)
            # What is in quarantine keeps all it names, started or not.
            known = self._borrowed[path] = size, named - (started if path.parent == self._spool.journals else set())
        return known[1]


def sweep(spool: Spool) -> None:
    """Remove what shippers that were killed left: acknowledgements of no journal."""
    try:
        names = set(os.listdir(spool.journals))
    except OSError:
        return
    for name in names:
        if name.endswith(ACK) and name.removesuffix(ACK) + SUFFIX not in names:
            (spool.journals / name).unlink(missing_ok=True)


def run_ids(path: Path) -> tuple[set[str], set[str]]:
    """The runs that a file names, whatever it is, and those of them that it starts."""
    named: set[str] = set()
    started: set[str] = set()
    try:
        with path.open("rb") as file:
            rest = b""
            while piece := file.read(_PIECE):
                text = rest + piece
                named.update(found.decode("utf-8", "replace") for found in _RUN.findall(text))
                started.update(found.decode("utf-8", "replace") for found in _STARTED.findall(text))
                rest = text[-300:]
    except FileNotFoundError:
        pass
    return named, started


def keep_lines(spool: Spool, path: Path, offset: int, problems: Sequence[Problem]) -> None:
    """Copy lines that could not be read into quarantine; doing it again changes nothing."""
    target = _place(spool, f"{path.name.removesuffix(SUFFIX)}@{offset}{LINES}")
    with path.open("rb") as file, target.with_name(f".{target.name}").open("wb") as copy:
        for problem in problems:
            if problem.span is not None:
                file.seek(problem.span[0])
                copy.write(file.read(problem.span[1] - problem.span[0]))
    os.replace(target.with_name(f".{target.name}"), target)


def keep_entry(spool: Spool, path: Path, entry: Entry, reason: str) -> Path:
    """Write an entry that the store refused into quarantine, and where."""
    target = _place(spool, f"{path.name.removesuffix(SUFFIX)}@{entry.number}{REFUSED}")
    line = {"n": entry.number, **to_json(entry.event)}
    write_whole(target, {"journal": entry.journal_id, "reason": reason, "entry": line})
    return target


def set_aside(spool: Spool, path: Path) -> None:
    """Move a file that is no journal that this version reads into quarantine."""
    os.replace(path, _place(spool, path.name))
    ack_path(path).unlink(missing_ok=True)


def readmit(spool: Spool) -> None:
    """Move journals back that this version reads, and the one that set them aside did not."""
    for path in spool.quarantined():
        if path.name.endswith(SUFFIX) and not (spool.journals / path.name).exists():
            try:
                journal.read_header(path)
                os.replace(path, spool.journals / path.name)
            except (OSError, ValueError):
                continue


def refusal(path: Path) -> str:
    """Why an entry is in quarantine; empty for a file that is something else."""
    if not path.name.endswith(REFUSED):
        return ""
    try:
        return str(json.loads(path.read_bytes())["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _place(spool: Spool, name: str) -> Path:
    spool.quarantine.mkdir(exist_ok=True, mode=0o700)
    return spool.quarantine / name
