"""What must hold of our server, most of it beside MLflow's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks import stats
from benchmarks.ratios import Limit
from benchmarks.server.measuring import LOG_BATCH, MEMORY, SEARCH, START, Result, table_measure
from benchmarks.server.servers import AUTOTRACK, MLFLOW
from benchmarks.server.work import TABLES
from benchmarks.stats import Summary

_TABLE_SECONDS: Final = {100_000: 0.05, 1_000_000: 0.2}


def judge(result: Result) -> list[Limit]:
    """All limits, also those that were not measured."""
    return list(_limits(result))


def ratio(result: Result, measure: str) -> Summary | None:
    """Ours to MLflow's, round by round."""
    return stats.ratio(result.of(measure, AUTOTRACK), result.of(measure, MLFLOW))


def _limits(result: Result) -> Iterator[Limit]:
    for measure, bound, at_least in ((LOG_BATCH, 5.0, True), (START, 1 / 3, False), (MEMORY, 0.1, False)):
        found = ratio(result, measure)
        yield Limit(measure, None if found is None else found.median, bound, at_least)
    for measure in result.values:
        if measure.startswith(SEARCH):
            found = ratio(result, measure)
            yield Limit(measure, None if found is None else found.median, 0.2, False)
    for count, bound in _TABLE_SECONDS.items():
        for name in TABLES:
            measure = table_measure(name, count)
            median = stats.summary(result.of(measure, AUTOTRACK))
            yield Limit(measure, None if median is None else median.median, bound, False, "s")
