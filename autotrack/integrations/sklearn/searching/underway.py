"""A search while it runs: how far it is, how its candidates did, and which of their fits failed.

scikit-learn evaluates candidates in one or more calls of its `Parallel`; each is a `Round` here. Tasks and results come
in the order of candidates × folds, whatever runs them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from autotrack.capture.progress import Bar
from autotrack.capture.sinks import now
from autotrack.capture.trace import Node
from autotrack.integrations.base import Call, Watching


class Underway:
    """One search from its start to its end.

    Parameters
    ----------
    search : the estimator; only its ``id`` is kept.
    bar : what shows how far it is, or ``None``.

    Attributes
    ----------
    began, ended : milliseconds since the epoch; ``ended`` is when the last candidate was done.
    """

    def __init__(self, search: Any, bar: Bar | None) -> None:
        self.subject = id(search)
        self.bar = bar
        self.began = self.ended = now()
        self.rounds: list[Round] = []
        self._label = type(search).__name__
        refit = getattr(search, "refit", None)
        self._scorer = refit if isinstance(refit, str) else None
        self._best = -math.inf

    def errors(self, rows: int) -> dict[int, list[str]]:
        """The tracebacks of the failed fits of each candidate, by its row among so many.

        Empty where they cannot be told for sure.
        """
        folds = {found.folds for found in self.rounds}
        if len(folds) != 1 or 0 in folds or sum(found.size for found in self.rounds) != rows * min(folds):
            return {}
        (count,) = folds
        errors: dict[int, list[str]] = {}
        start = 0
        for found in self.rounds:
            for index, error in found.errors.items():
                errors.setdefault((start + index) // count, []).append(error)
            start += found.size
        return errors

    def close(self) -> None:
        """The search is over, however it ended."""
        if self.bar is not None:
            self.bar.close()

    def planned(self, candidates: int, folds: int) -> None:
        """A round of so many candidates × folds begins."""
        if self.bar is not None:
            self.bar.grow(candidates * folds, f"{self._label} {candidates} × {folds}")

    def score_of(self, result: Any) -> float | None:
        """The score by which candidates are compared, in what was returned for one fold."""
        scores = result.get("test_scores") if isinstance(result, Mapping) else None
        if isinstance(scores, Mapping):
            scores = scores.get(self._scorer, next(iter(scores.values()), None))
        return float(scores) if isinstance(scores, (int, float)) else None  # numpy's float64 is a float

    def candidate_done(self, mean: float) -> None:
        """A candidate has a score on every fold."""
        if self.bar is not None and mean > self._best:
            self._best = mean
            self.bar.best(mean)


class Round:
    """The tasks of one call of `Parallel`.

    Attributes
    ----------
    folds : 0 until the first task was seen, and for tasks that are no candidates × folds.
    size : so many results came back.
    errors : the traceback of each that failed, by its place.
    """

    def __init__(self, search: Underway) -> None:
        self.search = search
        self.folds = 0
        self.size = 0
        self.errors: dict[int, str] = {}
        self._done_before = sum(earlier.size for earlier in search.rounds)
        self._scores: dict[int, dict[int, float]] = {}
        self._starts: dict[int, int] = {}

    def watched(self, tasks: Iterable[Any]) -> Iterator[Any]:
        """The same tasks; the first one tells how many there are."""
        first = True
        for task in tasks:
            if first:
                first = False
                self._plan(task)
            yield task

    def ended(self, results: Any) -> None:
        """Keep what was returned of failures."""
        self.search.ended = now()
        if not self.folds or not isinstance(results, list):
            return
        self.size = len(results)
        for index, result in enumerate(results):
            error = result.get("fit_error") if isinstance(result, Mapping) else None
            if isinstance(error, str):
                self.errors[index] = error

    def progressed(self, done: int) -> None:
        """So many tasks of this round are done."""
        if self.folds and self.search.bar is not None:
            self.search.bar.at(self._done_before + done)

    def scored(self, candidate: int, fold: int, result: Any) -> None:
        """One task returned this; told twice, it counts once."""
        score = self.search.score_of(result)
        if score is None or not self.folds:
            return
        scores = self._scores.setdefault(candidate, {})
        scores[fold] = score
        if len(scores) == self.folds:
            self.search.candidate_done(sum(scores.values()) / self.folds)

    def batch_made(self, batch: Any, start: int) -> None:
        """A batch of tasks is sent off, the first of them at this place."""
        self._starts[id(batch)] = start

    def batch_done(self, batch: Any, results: Any) -> None:
        """A batch of tasks came back."""
        start = self._starts.pop(id(batch), None)
        if start is None or not self.folds or not isinstance(results, (list, tuple)):
            return
        for index, result in enumerate(results, start):
            self.scored(index // self.folds, index % self.folds, result)

    def _plan(self, task: Any) -> None:
        kwargs = task[2] if isinstance(task, tuple) and len(task) == 3 else {}
        candidate, fold = kwargs.get("candidate_progress"), kwargs.get("split_progress")
        if isinstance(candidate, tuple) and isinstance(fold, tuple):
            self.folds = fold[1]
            self.search.planned(candidate[1], fold[1])


class Rounds:
    """The rounds that run now in this process, and the observers that follow them through joblib."""

    def __init__(self) -> None:
        self._running: dict[int, Round] = {}

    def begin(self, state: Any, parallel: Any) -> Round | None:
        """The round that a call of `Parallel` is, where it is made by an observed search itself."""
        search = search_at(state)
        if search is None:
            return None
        found = Round(search)
        search.rounds.append(found)
        if search.bar is not None:
            self._running[id(parallel)] = found
        return found

    def end(self, parallel: Any) -> None:
        """The call of `Parallel` is over."""
        self._running.pop(id(parallel), None)

    def progress(self, call: Call) -> Watching:
        """``Parallel.print_progress``, which joblib calls here after each batch, wherever that ran."""
        yield None
        found = self._running.get(id(call.instance))
        if found is not None:
            found.progressed(getattr(call.instance, "n_completed_tasks", 0))

    def batch_made(self, call: Call) -> Watching:
        """``BatchCompletionCallBack(...)``, made for one batch just after its tasks were counted as sent."""
        yield None
        parallel: Any = getattr(call.instance, "parallel", None)
        found = self._running.get(id(parallel))
        sent, size = getattr(parallel, "n_dispatched_tasks", None), getattr(call.instance, "batch_size", None)
        if found is not None and isinstance(sent, int) and isinstance(size, int):
            found.batch_made(call.instance, sent - size)

    def batch_done(self, call: Call) -> Watching:
        """``BatchCompletionCallBack._register_outcome``, called with what a batch returned or raised."""
        yield None
        found = self._running.get(id(getattr(call.instance, "parallel", None)))
        outcome = call.argument("outcome")
        if found is not None and isinstance(outcome, Mapping):
            found.batch_done(call.instance, outcome.get("result"))

    def clear(self) -> None:
        """Forget what runs."""
        self._running.clear()


def search_at(state: Any) -> Underway | None:
    """The search whose own code runs at this place of a trace; ``None`` inside its candidates and elsewhere."""
    search = state.trace.search if type(state) is Node else None
    return search if isinstance(search, Underway) and search.subject == state.subject else None


def task_done(state: Any, call: Call, result: Any) -> None:
    """A task ran in this process: take note of its score, where a search shows how far it is."""
    search = search_at(state)
    if search is None or search.bar is None or not search.rounds:
        return
    candidate, fold = call.kwargs.get("candidate_progress"), call.kwargs.get("split_progress")
    if isinstance(candidate, tuple) and isinstance(fold, tuple):
        search.rounds[-1].scored(candidate[0], fold[0], result)
