"""Putting a folder in the place of another one, so that there is one at every moment, where the system can."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from functools import lru_cache
from typing import Any, Final

_HERE: Final = -100
"""``AT_FDCWD``: paths are relative to the working folder."""
_EXCHANGE: Final = 2
"""``RENAME_EXCHANGE`` of renameat2(2)."""


def put_in_place(folder: str, target: str) -> None:
    """Move a folder to ``target``, where another one may stand, which goes.

    On Linux the two change places at once. Elsewhere, and on file systems that cannot, the old one is away for the time
    of two renames.

    Raises
    ------
    OSError
        When it cannot be moved; then the old one stands where it stood.
    """
    if exchange(folder, target):
        shutil.rmtree(folder, ignore_errors=True)
        return
    old = f"{target}.tmp-{os.urandom(4).hex()}"
    try:
        os.rename(target, old)
    except FileNotFoundError:
        os.rename(folder, target)
        return
    try:
        os.rename(folder, target)
    except OSError:
        os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def exchange(one: str, other: str) -> bool:
    """Whether two paths changed places; false where there is no other, or the system does not do that."""
    function = _renameat2()
    return function is not None and function(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


@lru_cache(maxsize=1)
def _renameat2() -> Any:
    if sys.platform != "linux":
        return None
    try:
        function = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):  # a C library without it
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return function
