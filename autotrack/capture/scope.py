"""Where we are: is anybody to be observed here, and which run is the user's ``with start_run()`` block?

Two context variables, so that threads and async tasks each have their own answer. They are separate because they nest
independently: a run started inside ``disabled()`` outlives it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

    from autotrack.capture.recorder import RunRecorder
    from autotrack.capture.trace import Node

F = TypeVar("F", bound=Callable[..., Any])


class _Ours:
    """The type of `OURS`."""

    __slots__ = ()


OURS: Final = _Ours()

quiet: ContextVar[bool | Node | _Ours] = ContextVar("autotrack_quiet", default=False)
"""True inside an observed call (observations do not nest), inside `disabled` and in our own threads.

Inside a fit that keeps a trace it is the trace's `Node` for the innermost fit, and where code of the user's runs for us
alone (its ``predict`` for the training metrics) it is `OURS`; both are as good as true.
"""

active_run: ContextVar[RunRecorder | None] = ContextVar("autotrack_active_run", default=None)


@contextmanager
def quietly(node: Node | _Ours | bool = True) -> Iterator[None]:
    """Nothing inside is observed; with a ``node`` the fits inside are timed below it."""
    token = quiet.set(node)
    try:
        yield
    finally:
        quiet.reset(token)


class disabled(ContextDecorator):  # noqa: N801 - reads like the built-in context managers
    """Record nothing inside, in this thread or task; also a decorator, and one object may be entered again.

    Example
    -------
    >>> with autotrack.disabled():
    ...     model.fit(X, y)
    """

    def __init__(self) -> None:
        # A stack per context: one object used as a decorator is entered by many threads and tasks at once.
        self._tokens: ContextVar[tuple[Token[bool | Node | _Ours], ...]] = ContextVar(
            "autotrack_disabled_tokens", default=()
        )

    def __enter__(self) -> disabled:
        self._tokens.set((*self._tokens.get(), quiet.set(True)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        *rest, token = self._tokens.get()
        self._tokens.set(tuple(rest))
        quiet.reset(token)

    def __call__(self, func: F) -> F:
        if not inspect.iscoroutinefunction(func):
            return super().__call__(func)

        @functools.wraps(func)
        async def quiet_coroutine(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await func(*args, **kwargs)

        return quiet_coroutine  # type: ignore[return-value]
