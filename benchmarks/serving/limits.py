"""What must hold of our server beside MLflow's, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from benchmarks import stats
from benchmarks.ratios import Limit
from benchmarks.serving.measuring import LARGE, SINGLE, Result
from benchmarks.serving.servers import AUTOTRACK, MLFLOW
from benchmarks.stats import Summary

JUDGED: Final = "linear"
"""The model whose prediction takes so little time that the server is what is measured."""


def judge(results: list[Result]) -> list[Limit]:
    """All limits, also those that were not measured."""
    return list(_limits(next((result for result in results if result.case == JUDGED), None)))


def _limits(result: Result | None) -> Iterator[Limit]:
    def of(ratio: Callable[[Result], Summary | None]) -> float | None:
        found = None if result is None else ratio(result)
        return None if found is None else found.median

    yield Limit("single rows: requests per second", of(lambda r: load_ratio(r, SINGLE, "per_second")), 5.0, True)
    yield Limit("single rows: p99", of(lambda r: load_ratio(r, SINGLE, "p99")), 1.0, False)
    yield Limit("10,000 rows: requests per second", of(lambda r: load_ratio(r, LARGE, "per_second")), 1.5, True)
    yield Limit("start to first answer", of(start_ratio), 1 / 3, False)


def load_ratio(result: Result, request: str, name: str, ours: str | None = None) -> Summary | None:
    """Ours to MLflow's, round by round; ``ours`` is another kind of request that ours got instead."""
    return stats.ratio(result.of(ours or request, AUTOTRACK, name), result.of(request, MLFLOW, name))


def start_ratio(result: Result) -> Summary | None:
    """Ours to MLflow's, round by round."""
    return stats.ratio(result.starts.get(AUTOTRACK.name, []), result.starts.get(MLFLOW.name, []))
