"""A parameter search that has finished: its table of results, best params, and best candidates as child runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from autotrack.capture.progress import Bar, is_wanted
from autotrack.capture.recorder import RunRecorder, number
from autotrack.capture.sinks import now
from autotrack.entities import CANDIDATE, FAILED, FINISHED, SKIPPED, WARNING, Dataset, Metric, Note
from autotrack.integrations.sklearn.estimators import attribute, class_tags, is_search, last_step, printed, run_name
from autotrack.integrations.sklearn.searching import plots as search_plots
from autotrack.integrations.sklearn.searching.table import Table
from autotrack.integrations.sklearn.searching.underway import Underway
from autotrack.settings import Settings

RESULTS: Final = "cv_results.csv"
BEST_MODEL: Final = "best_estimator"

_SPLIT: Final = re.compile(r"split(\d+)_(.+)")
_MOST_COLUMNS: Final = 100
_MOST_NOTES: Final = 10
_MOST_NAMED: Final = 10
_NAME_CHARACTERS: Final = 100
_VALUE_CHARACTERS: Final = 30
_REASON_CHARACTERS: Final = 400


def begin(estimator: Any, settings: Settings) -> Underway | None:
    """Before the fit: what follows the search that the estimator is, or that the last step of a pipeline is."""
    search = last_step(estimator)
    if not is_search(search):
        return None
    bar = None
    if (
        not settings.silent
        and (settings.progress or not getattr(search, "verbose", 0))
        and is_wanted(settings.progress)
    ):
        bar = Bar(type(search).__name__, at_once=settings.progress is True)
    return Underway(search, bar)


def finished(estimator: Any) -> Any:
    """After the fit: the search that the estimator is, or that the last step of a pipeline is; else ``None``.

    What has ``cv_results_`` and ``best_params_`` as scikit-learn's searches have them is one.
    """
    search = last_step(estimator)
    attributes = attribute(search, "__dict__", {})
    if not is_search(search) and not ("cv_results_" in attributes and "best_params_" in attributes):
        return None
    results = attribute(search, "cv_results_")
    return search if isinstance(results, Mapping) and isinstance(results.get("params"), (list, tuple)) else None


def best_model(run: RunRecorder, search: Any) -> dict[str, Any]:
    """The best candidate, fitted on all of the data, by its path; nothing but a note where the search fitted none."""
    best = getattr(search, "best_estimator_", None)
    if best is not None:
        return {BEST_MODEL: best}
    reason = "refit=False" if getattr(search, "refit", None) is False else "it has no best_estimator_"
    run.note(SKIPPED, BEST_MODEL, f"the search fitted no best estimator: {reason}")
    return {}


def look_after(
    run: RunRecorder, search: Any, underway: Underway | None, dataset: Dataset | None, limit: int | None
) -> Callable[[], None]:
    """Gather the best params and score, and take copies of the rest before the user may change it.

    Gives back what writes the table and the child runs; it touches nothing of the user's.
    """
    best = getattr(search, "best_params_", None)
    if isinstance(best, Mapping):
        run.params({f"best_{name}": value for name, value in printed(best).items()})
    table = Table.copied(search.cv_results_)
    index = getattr(search, "best_index_", None)
    best_row = int(index) if isinstance(index, (int, np.integer)) and 0 <= index < table.rows else None
    refit = getattr(search, "refit", None)
    scorer = refit if isinstance(refit, str) and refit in table.scorers else next(iter(table.scorers), "")
    score = getattr(search, "best_score_", None)
    if score is None and best_row is not None and len(table.scorers) == 1:  # `refit` is a function
        score = table.columns[f"mean_test_{scorer}"][best_row]
    if score is not None:
        run.metrics({"best_cv_score": number(score)})
    seed = getattr(search, "estimator", None)
    params: dict[str, str] = {}
    if seed is not None and limit != 0:
        with run.attempt("candidates' params", "read the params of a search's estimator"):
            params = printed(seed.get_params(deep=not is_search(seed)))
    subtitle = run_name(search)
    errors = underway.errors(table.rows) if underway is not None else {}
    began = underway.began if underway is not None else now()
    candidates = Candidates(
        table, scorer, best_row if callable(refit) else None, errors, params, class_tags(seed),
        _slim(dataset), (began, underway.ended if underway is not None else began),
    )  # fmt: skip

    def write() -> None:
        with run.attempt(RESULTS, "write the table of a search's results"):
            run.artifact(RESULTS, table.to_csv().encode("utf-8", "surrogatepass"))
        if run.session.settings.log_plots:
            search_plots.write(run, table, scorer, subtitle)
        with run.attempt("candidates", "record the candidates of a search"):
            candidates.write(run, limit)

    return write


class Candidates:
    """The candidates of one search, ordered from the best to the worst.

    Parameters
    ----------
    table : the results, a copy of ours.
    scorer : the one whose ranks decide.
    first : the row of the best one, where something else than the ranks chose it.
    errors : row → tracebacks of its failed fits, one per fold that failed.
    params : those of the estimator that was tuned, as text.
    tags : of each child run.
    dataset : what the search saw.
    span : when the first candidate began and the last one ended, in milliseconds since the epoch.
    """

    def __init__(
        self,
        table: Table,
        scorer: str,
        first: int | None,
        errors: Mapping[int, list[str]],
        params: Mapping[str, str],
        tags: Mapping[str, str],
        dataset: Dataset | None,
        span: tuple[int, int],
    ) -> None:
        self._table = table
        self._scorer = scorer
        self._first = first
        self._errors = errors
        self._params = params
        self._tags = tags
        self._dataset = dataset
        self._span = span
        self._means = table.floats(f"mean_test_{scorer}")
        self._folds = sum(1 for name in table.numeric if re.fullmatch(rf"split\d+_test_{re.escape(scorer)}", name))

    def write(self, run: RunRecorder, limit: int | None) -> None:
        """Gather the best candidates as child runs, the failed ones too, and notes on those that failed."""
        histories = self._histories()
        rows = self._ordered(histories)
        good = [row for row in rows if not self._is_failed(row)]
        failed = sorted(row for row in rows if self._is_failed(row))
        self._note(run, failed)
        if limit is None:
            chosen = sorted(good + failed)
        else:
            chosen = good[:limit] + failed[:limit]
        times = self._times()
        for row in chosen:
            history = histories[row]
            start, end = times[history[0]][0], times[row][1]
            error = self._error(row) if self._is_failed(row) else None
            run.past_child(
                self._name(row),
                start=start,
                end=end,
                status=FAILED if error is not None else FINISHED,
                params={**self._params, **{name: str(value) for name, value in self._table.params[row].items()}},
                metrics=self._metrics(history, end),
                tags={**self._tags, CANDIDATE: str(row)},
                datasets=() if self._dataset is None else (self._dataset,),
                notes=self._partial(row) if error is None else (),
                error=error,
            )

    def _histories(self) -> dict[int, list[int]]:
        """The last row of each candidate → all of its rows: successive halving evaluates good ones again."""
        if "iter" not in self._table.numeric:
            return {row: [row] for row in range(self._table.rows)}
        rows: dict[int, list[int]] = {}
        for row, candidate in enumerate(self._table.identities):
            rows.setdefault(candidate, []).append(row)
        return {history[-1]: history for history in rows.values()}

    def _ordered(self, histories: Mapping[int, list[int]]) -> list[int]:
        """Best first; among equals the one that was tried first. Halving's survivors come before those it dropped."""
        ranks = self._table.floats(f"rank_test_{self._scorer}")
        if ranks is None:
            ranks = -self._means if self._means is not None else np.zeros(self._table.rows)
        rounds = self._table.floats("iter")
        rounds = np.zeros(self._table.rows) if rounds is None else rounds
        return sorted(histories, key=lambda row: (row != self._first, -rounds[row], ranks[row], row))

    def _is_failed(self, row: int) -> bool:
        if self._means is not None and np.isnan(self._means[row]):
            return True
        return 0 < self._folds <= len(self._errors.get(row, ()))

    def _error(self, row: int) -> str:
        errors = self._errors.get(row)
        return errors[0].rstrip() if errors else f"no score: mean_test_{self._scorer} is NaN"

    def _partial(self, row: int) -> tuple[Note, ...]:
        errors = self._errors.get(row)
        if not errors:
            return ()
        return (Note(WARNING, "failed fits", f"{len(errors)} of {self._folds} fits failed: {_reason(errors[0])}"),)

    def _note(self, run: RunRecorder, failed: list[int]) -> None:
        """Say on the search's run which candidates failed: one note per reason."""
        reasons: dict[str, list[int]] = {}
        for row in failed:
            reasons.setdefault(_reason(self._error(row)), []).append(row)
        for reason, rows in list(reasons.items())[:_MOST_NOTES]:
            named = "; ".join(f"{row} ({self._name(row)})" for row in rows[:_MOST_NAMED])
            more = f"; and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
            which = "candidate" if len(rows) == 1 else "candidates"
            run.note(WARNING, "failed candidates", f"{which} {named}{more} of {self._table.rows}: {reason}", len(rows))

    def _metrics(self, history: list[int], at: int) -> list[Metric]:
        """Every column of numbers by its own name; those of single folds by the fold as step."""
        points = []
        for name, column in self._table.numeric.items():
            if name.startswith("param"):
                continue
            split = _SPLIT.fullmatch(name)
            if split is not None:
                points.append(Metric(f"split_{split[2]}", float(column[history[-1]]), int(split[1]), at))
            elif not name.startswith("split"):
                points += [Metric(name, float(column[row]), step, at) for step, row in enumerate(history)]
        return points

    def _times(self) -> list[tuple[int, int]]:
        """When each row began and ended, were they worked off one after the other.

        The time of the whole search is divided as the rows' own times are: nobody tells when a worker began one.
        """
        began, ended = self._span
        fit, score = (self._table.floats(f"mean_{name}_time") for name in ("fit", "score"))
        if fit is None:
            return [(began, ended)] * self._table.rows
        seconds = np.nan_to_num(fit + (0 if score is None else score), posinf=0.0)
        total = float(seconds.sum())
        if total <= 0:
            return [(began, ended)] * self._table.rows
        ends = began + np.cumsum(seconds) / total * max(0, ended - began)
        starts = np.concatenate([[began], ends[:-1]])
        return [(int(start), int(end)) for start, end in zip(starts, ends)]

    def _name(self, row: int) -> str:
        parts = [f"{name}={_brief(value)}" for name, value in self._table.params[row].items()]
        name = ", ".join(parts) or "defaults"
        return name if len(name) <= _NAME_CHARACTERS else name[: _NAME_CHARACTERS - 1] + "…"


def _brief(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 1] + "…"


def _reason(error: str) -> str:
    """What stands behind the frames of a traceback, in one line."""
    lines = error.splitlines()
    start = max((i + 1 for i, line in enumerate(lines) if line.startswith('  File "')), default=0)
    while start < len(lines) - 1 and lines[start].startswith("    "):
        start += 1
    text = " ".join(" ".join(lines[start:]).split())
    return text if len(text) <= _REASON_CHARACTERS else text[: _REASON_CHARACTERS - 1] + "…"


def _slim(dataset: Dataset | None) -> Dataset | None:
    """What a child tells of the data: the search's own run describes very wide data, once."""
    return replace(dataset, columns=()) if dataset is not None and len(dataset.columns) > _MOST_COLUMNS else dataset
