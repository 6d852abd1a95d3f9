"""Our failures never reach the user's script.

`shield` swallows ``Exception`` and never ``BaseException``: a Ctrl-C that happens to land in our code is the user's.
What was swallowed is said once per place and kind, through the logger ``autotrack``. Tests subscribe to `on_error` so
that a swallowed error fails them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType

logger = logging.getLogger("autotrack")

on_error: list[Callable[[str, Exception], None]] = []

silent = False
_said: set[tuple[str, str]] = set()


class shield:  # noqa: N801 - used as `with shield("what failed"):`
    """Swallow and report an ``Exception``. ``doing`` completes the sentence "could not …"."""

    __slots__ = ("doing",)

    def __init__(self, doing: str) -> None:
        self.doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        report(self.doing, error)
        return True


def report(doing: str, error: Exception) -> None:
    """Say that we could not do something: once, and never by raising."""
    for listener in on_error:
        listener(doing, error)
    warn(f"could not {doing}", error)


def warn(what: str, error: BaseException | None = None) -> None:
    """One warning per text and kind of error, on the logger ``autotrack`` (stderr unless logging is configured)."""
    kind = type(error).__name__ if error is not None else ""
    cause = (what, kind)
    refusal = _refusal(error)
    if refusal is not None:
        # A full disk refuses the journal, the model and each figure: one cause, said once.
        cause = ("the operating system refuses", str(refusal))
    if silent or cause in _said:
        return
    _said.add(cause)
    reason = f": {kind}: {error}" if error is not None else ""
    try:
        logger.warning("autotrack %s%s. Your program goes on unchanged; only the record is affected.", what, reason)
        if error is not None:
            logger.debug("autotrack %s", what, exc_info=error)
    except Exception:  # noqa: BLE001, S110 - a logging handler of the user's that raises must not stop the fit
        pass


def say(text: str) -> None:
    """A warning that stands for itself, on the logger ``autotrack``."""
    if silent:
        return
    try:
        logger.warning("autotrack %s.", text)
    except Exception:  # noqa: BLE001, S110 - as in `warn`
        pass


def _refusal(error: BaseException | None) -> int | None:
    """The errno of the operating system's refusal behind an error, where there is one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__
    return None


def forget() -> None:
    """Let everything be said again (for tests, and when autologging is switched on anew)."""
    _said.clear()
