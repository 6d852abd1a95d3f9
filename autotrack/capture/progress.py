"""A bar on stderr for work that takes long: how much of it is done, and how well it went so far."""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import lru_cache
from typing import Any, Final

from autotrack.capture.guard import shield

_FEW: Final = 10
_PATIENCE: Final = 1.0
"""Without being asked for, a bar is drawn for so many parts or more, and once they have taken so many seconds."""

_COLUMNS: Final = 80
_FORMAT: Final = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit} [{elapsed}<{remaining}{postfix}]"


def is_wanted(setting: bool | None) -> bool:
    """Whether the option ``progress`` asks for a bar here; ``None`` does in a terminal and in a notebook."""
    return (_is_terminal() or _is_notebook()) if setting is None else setting


class Bar:
    """One bar, drawn as soon as it is worth it and wiped off when closed. Methods may be called from any thread.

    Parameters
    ----------
    label : what stands before the bar.
    at_once : draw it however little there is to do.
    unit : what is counted.
    few : without being asked for, it is drawn for so many parts or more.
    """

    def __init__(self, label: str, *, at_once: bool = False, unit: str = "fits", few: int = _FEW) -> None:
        self._label = label
        self._unit = unit
        self._few, self._patience = (1, 0.0) if at_once else (few, _PATIENCE)
        self._began = time.monotonic()
        self._total = 0
        self._best: float | None = None
        self._drawn: Any = None
        self._closed = False
        self._lock = threading.RLock()
        self._pid = os.getpid()

    def grow(self, parts: int, label: str) -> None:
        """So many more parts are to be done."""
        with self._lock:
            self._total += parts
            self._label = label

    def best(self, score: float) -> None:
        """The best score so far, shown when the bar is drawn next."""
        self._best = score

    def at(self, done: int) -> None:
        """So many parts are done."""
        if self._closed or self._pid != os.getpid():  # a fork may have taken the lock along, held
            return
        with self._lock, shield("draw the progress bar"):
            if self._closed or (self._drawn is None and not self._is_worth_it(done)):
                return
            if self._drawn is None:
                # With a delay it does not draw itself before it is told how much is done already.
                self._drawn = _tqdm()(
                    total=self._total,
                    desc=self._label,
                    leave=False,
                    file=sys.stderr,
                    bar_format=_FORMAT,
                    unit=self._unit,
                    miniters=1,
                    delay=1e-9,
                    **_width(),
                )
                self._drawn.start_t -= time.monotonic() - self._began
            bar = self._drawn
            changed = bar.n == 0 or bar.total != self._total
            bar.total = self._total
            if bar.desc != self._label:
                bar.set_description_str(self._label, refresh=False)
            if self._best is not None:
                bar.set_postfix_str(f"best {self._best:.4g}", refresh=False)
            if not bar.update(max(0, done - bar.n)) and changed:
                bar.refresh()

    def close(self) -> None:
        """Wipe the bar off; nothing is drawn any more."""
        if self._pid != os.getpid():
            return
        with self._lock:
            self._closed = True
            bar, self._drawn = self._drawn, None
            if bar is not None:
                with shield("wipe the progress bar off"):
                    bar.close()

    def _is_worth_it(self, done: int) -> bool:
        if done >= self._total or self._total < self._few:
            return False
        return time.monotonic() - self._began >= self._patience


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError, OSError):  # none, closed, or not quite a file
        return False


def _is_notebook() -> bool:
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None and hasattr(interactive, "get_ipython") else None
    return hasattr(shell, "kernel")


def _width() -> dict[str, Any]:
    """tqdm asks the terminal again each time, and draws nothing where that says that it has no columns."""
    try:
        known = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, ValueError, OSError):
        known = False
    return {"dynamic_ncols": True} if known else {"ncols": _COLUMNS}


@lru_cache(maxsize=1)
def _tqdm() -> Any:
    # Only now: most programs never draw a bar.
    from tqdm.std import tqdm

    class Plain(tqdm):  # type: ignore[misc, unused-ignore]
        """Without a thread that watches it, and without a semaphore of the operating system's."""

        monitor_interval = 0

    Plain.set_lock(threading.RLock())
    return Plain
