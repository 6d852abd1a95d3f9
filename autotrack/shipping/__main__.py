"""``python -m autotrack.shipping SPOOL``: send what comes into a spool until nobody writes to it any more.

Standard input is one line of JSON: ``uri`` of the store, ``path`` with folders to look for modules in besides our own,
``folder`` to work in. Descriptor 3 may hold the shipper's lock already. `autotrack.capture.starting` starts it so.
"""

from __future__ import annotations

import os
import sys

_LOCK = 3


def main() -> None:
    """Leave whoever started us behind, and send; never returns."""
    os.closerange(_LOCK + 1, 65_536)  # nothing of the program that we come from stays open because of us
    os.setsid()
    if os.fork():
        os._exit(0)  # who started us waits for this, so that it has no child that it does not know
    try:
        _send()
    finally:
        os._exit(0)


def _send() -> None:
    import json

    line = sys.stdin.buffer.readline()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    os.set_inheritable(_LOCK, False)
    os.nice(10)
    given = json.loads(line)
    os.chdir(given["folder"])
    # At the end: a module of the script's must not stand in for one that a store needs.
    sys.path.extend(folder for folder in given["path"] if folder not in sys.path)
    from pathlib import Path

    from autotrack.shipping.process import main as ship
    from autotrack.spool import Spool

    ship(Spool(Path(sys.argv[-1])), given["uri"], _LOCK)


if __name__ == "__main__":
    main()
