"""What tests do to journals that processes have written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from autotrack import journal

NOBODY = 999_999_999
"""A process id that no process has."""


def bury(path: Path, host: str = "") -> None:
    """Make a journal one of a process that is dead, of this machine or another; it is as old as it was."""
    stamp = path.stat().st_mtime_ns
    header = journal.read_header(path)
    dead = replace(header.owner, pid=NOBODY, host=host or header.owner.host)
    lines = path.read_bytes().partition(b"\n")[2]
    path.write_bytes(journal.header_line(replace(header, owner=dead)) + lines)
    os.utime(path, ns=(stamp, stamp))
