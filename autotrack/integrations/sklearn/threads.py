"""The way into joblib's threads, which do not inherit context variables: what runs in them for an observed call."""

from __future__ import annotations

from typing import Any, Final

from autotrack.capture import scope
from autotrack.capture.trace import Node, by_key
from autotrack.integrations.base import Call, Watching
from autotrack.integrations.sklearn.searching.underway import Rounds, task_done

_MARK: Final = "_autotrack_quiet"
_FOR_US: Final = -1


def into_threads(call: Call, rounds: Rounds) -> Watching:
    """Mark the tasks of a `Parallel` that runs inside an observed call. The mark is a plain number, for pickles."""
    state = scope.quiet.get()
    if not state:
        yield None
        return
    mark = state.key() if isinstance(state, Node) else _FOR_US if state is scope.OURS else 1
    tasks = call.argument("iterable")
    running = rounds.begin(state, call.instance)
    if running is None:
        yield {"iterable": (_marked(task, mark) for task in tasks)}
        return
    try:
        outcome = yield {"iterable": (_marked(task, mark) for task in running.watched(tasks))}
        running.ended(outcome.value)
    finally:
        rounds.end(call.instance)


def in_thread(call: Call) -> Watching:
    """Run a marked task quietly, whatever thread it runs in, and time its fits where the call keeps a trace."""
    state, mark = scope.quiet.get(), vars(call.instance).get(_MARK)
    if state or not mark:
        outcome = yield None
    else:
        state = scope.OURS if mark == _FOR_US else by_key(mark)
        with scope.quietly(state):
            outcome = yield None
    if outcome.error is None:
        task_done(state, call, outcome.value)


def _marked(task: Any, mark: int) -> Any:
    function = task[0]
    if hasattr(function, "__dict__"):
        vars(function)[_MARK] = mark
    return task
