"""Who called this package."""

from __future__ import annotations

import sys


def level_outside() -> int:
    """The ``stacklevel`` of a warning that is to point at who called this package from outside."""
    frame = sys._getframe(1)
    level = 1
    while frame.f_back is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in ("autotrack", "contextlib"):
            break
        frame, level = frame.f_back, level + 1
    return level
