"""How the process ends, and what that means for runs that are still open.

Nothing is replaced to find out but ``sys.exit``, and that only while a run is open outside a ``with`` block:

- an uncaught exception stands in ``sys.last_value`` when ``atexit`` runs, so no excepthook is needed;
- SIGTERM and its like kill a process that does not handle them: the reader finds the owner dead and says KILLED, so no
  signal handler is needed; Ctrl-C is an uncaught ``KeyboardInterrupt``;
- ``sys.exit(1)`` leaves no trace that Python code could read later, so its code is noted on the way; a bare
  ``raise SystemExit`` is recognised by the main module's last instruction, which is no return.
"""

from __future__ import annotations

import dis
import sys
import threading
from types import FrameType
from typing import Any, Final

from autotrack.entities import FAILED, FINISHED, KILLED

_RETURNS: Final = frozenset(dis.opmap[name] for name in ("RETURN_VALUE", "RETURN_CONST") if name in dis.opmap)
_NOT_CALLED: Final = object()


class ProcessEnd:
    """Watches for the end of the process, from `watch` on."""

    def __init__(self) -> None:
        self._main: FrameType | None = None
        self._exit: Any = None
        self._ours: Any = None
        self._code: Any = _NOT_CALLED
        self._before: BaseException | None = None

    def watch(self) -> None:
        """Begin; calling it again does nothing."""
        if self._main is None:
            self._main = _main_frame()
            self._before = getattr(sys, "last_value", None)
        if self._ours is None:
            original = self._exit = sys.exit

            def exit_(status: Any = None, /) -> Any:
                self._code = status
                return original(status)

            exit_.__doc__, exit_.__name__, exit_.__qualname__ = original.__doc__, "exit", "exit"
            self._ours = sys.exit = exit_

    def unwatch(self) -> None:
        """Put ``sys.exit`` back, unless somebody has replaced it since."""
        if self._ours is not None and sys.exit is self._ours:
            sys.exit = self._exit
        self._ours = None

    def verdict(self) -> tuple[str, BaseException | str | None]:
        """Status and reason for a run that is open when the interpreter exits."""
        last = getattr(sys, "last_value", None)
        if last is not None and last is not self._before and not hasattr(sys, "ps1"):
            return (KILLED if isinstance(last, KeyboardInterrupt) else FAILED), last
        if self._main is None or self._returned():
            return FINISHED, None
        if self._code is _NOT_CALLED:
            return KILLED, "the script ended by SystemExit; its exit code is not known"
        if self._code is None or self._code == 0:
            return FINISHED, None
        return FAILED, f"the script ended by sys.exit({self._code!r})"

    def _returned(self) -> bool:
        frame = self._main
        return frame is not None and frame.f_code.co_code[frame.f_lasti] in _RETURNS


def _main_frame() -> FrameType | None:
    """The frame of the main module's own code, which outlives its execution; ``None`` in an interactive session."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    found = None
    main = getattr(sys.modules.get("__main__"), "__dict__", None)
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals is main:
            found = frame
        frame = frame.f_back
    return found if found is not None and "__file__" in found.f_globals else None
