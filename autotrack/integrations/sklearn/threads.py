"""The way into joblib's threads, which do not inherit context variables: what runs in them for an observed call."""

from __future__ import annotations

from typing import Any, Final

from autotrack.capture import scope
from autotrack.capture.trace import Node, by_key
from autotrack.integrations.base import Call, Watching

_MARK: Final = "_autotrack_quiet"


def into_threads(call: Call) -> Watching:
    """Mark the tasks of a `Parallel` that runs inside an observed call. The mark is a plain number, for pickles."""
    state = scope.quiet.get()
    if not state:
        yield None
        return
    mark = state.key() if isinstance(state, Node) else 1
    yield {"iterable": (_marked(task, mark) for task in call.argument("iterable"))}


def in_thread(call: Call) -> Watching:
    """Run a marked task quietly, whatever thread it runs in, and time its fits where the call keeps a trace."""
    mark = vars(call.instance).get(_MARK)
    if scope.quiet.get() or not mark:
        yield None
        return
    with scope.quietly(by_key(mark)):
        yield None


def _marked(task: Any, mark: int) -> Any:
    function = task[0]
    if hasattr(function, "__dict__"):
        vars(function)[_MARK] = mark
    return task
