"""What must hold, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from benchmarks import models
from benchmarks.cases import SMALL
from benchmarks.results import Figures, Result
from benchmarks.stats import Summary
from benchmarks.stores import measure as stores
from benchmarks.variants import AUTOTRACK, BARE, MLFLOW, SHIPPED, STORE_DOWN, Variant

OK: Final = "ok"
MISSED: Final = "MISSED"
UNKNOWN: Final = "not measured"

Results = Mapping[str, Result | Figures]
_SEARCH_LIMITS: Final = (
    *(("local", 100_000, 50.0), ("sqlite", 100_000, 50.0), ("postgresql", 100_000, 50.0)),
    *(("local", 1_000_000, 150.0), ("sqlite", 1_000_000, 150.0)),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One limit.

    ``value`` is ``None`` where it was not measured; ``unit`` is ``"ratio"``, ``"share"``, ``"ms"`` or ``"µs"``.
    """

    measure: str
    value: float | None
    at_most: float
    unit: str

    @property
    def verdict(self) -> str:
        if self.value is None:
            return UNKNOWN
        return OK if self.value <= self.at_most else MISSED

    def to_json(self) -> dict[str, Any]:
        told = {"measure": self.measure, "value": self.value, "at_most": self.at_most, "unit": self.unit}
        return {**told, "verdict": self.verdict}


def judge(results: Results) -> list[Verdict]:
    """All limits, also those that were not measured."""
    return list(_verdicts(results))


def _verdicts(results: Results) -> Iterator[Verdict]:
    yield _ratio(results, "start-up", "start-up, ratio to importing sklearn.linear_model alone", 1.08)
    for name in SMALL:
        spent = _of(results, name, lambda result: _scaled(result.added(AUTOTRACK), 1e3))
        yield Verdict(f"time added to a small fit, model logged: {name}", spent, 3.0, "ms")
        yield Verdict(f"  the same as a share of what MLflow adds: {name}", _share(results, name), 1 / 500, "share")
    yield Verdict(
        "time added to neighbours, a share of what MLflow adds", _share(results, "neighbours"), 1 / 10, "share"
    )
    search = _of(results, "search-cancer", lambda result: _scaled(result.added(AUTOTRACK), 1e3))
    yield Verdict("time added to search-cancer, with its child runs and models", search, 30.0, "ms")
    folds = _of(results, "cross-val", lambda result: _scaled(result.added(AUTOTRACK), 1e3))
    yield Verdict("time added to cross-val", folds, 5.0, "ms")
    metric = _of(results, "metric", lambda result: _scaled(result.added(AUTOTRACK), 1e6))
    yield Verdict("time added to a metric after the fit", metric, 100.0, "µs")
    off = _of(results, "switched-off", lambda result: _scaled(result.added(AUTOTRACK), 1e6))
    yield Verdict("time added to a fit inside disabled()", off, 3.0, "µs")
    yield _ratio(results, "histboost", "histboost, ratio to bare", 1.25)
    yield _ratio(results, "memory-array", "peak memory of memory-array, ratio to bare", 1.05)
    yield _ratio(results, "memory-sparse", "peak memory of memory-sparse, ratio to bare", 1.1)
    part = _of(results, "mixed-frame", lambda result: _scaled(result.ratio(AUTOTRACK), 1.0))
    yield Verdict("time added to mixed-frame, ratio to the bare fit", None if part is None else part - 1, 0.15, "ratio")
    yield _ratio(results, "demo", "demo script, whole process, ratio to the script without the line", 1.25)
    drift = _of(results, "series", lambda result: _scaled(result.value(AUTOTRACK, "drift"), 1.0))
    yield Verdict("series: the last 50 fits, ratio to the first 50", drift, 1.1, "ratio")
    per_fit = _of(results, "series", _added_per_fit)
    yield Verdict("series: whole process with its exit, added per fit, model logged", per_fit, 6.0, "ms")
    for variant, state, at_most in ((SHIPPED, "is up", 1.1), (STORE_DOWN, "is down", 1.05)):
        against = _of(results, "shipping", partial(_against_a_folder, variant))
        yield Verdict(f"shipping: fits while the store {state}, ratio to fits into a folder", against, at_most, "ratio")
    yield _ratio(results, models.NAME, "models: logging a random forest of 200 MB, ratio to joblib.dump", 1.3)
    logged = _of(results, models.SMALL, lambda result: _scaled(result.value(AUTOTRACK), 1e3))
    yield Verdict("models: logging a small model", logged, 2.0, "ms")
    found = results.get(stores.NAME)
    yield from _of_stores(found if isinstance(found, Figures) else Figures(stores.NAME, ""))


def _of_stores(found: Figures) -> Iterator[Verdict]:
    folds = [figure.summary.median * 1e6 for figure in found.figures if figure.name == stores.FOLD]
    measure = "stores: time to fold an event into the local folder's index (20,000 a second)"
    yield Verdict(measure, max(folds, default=None), 50.0, "µs")
    for store, runs, at_most in _SEARCH_LIMITS:
        label = f"{store}, {runs:,} runs"
        slowest = [f.summary.median * 1e3 for f in found.figures if f.is_limited and f.store == label]
        yield Verdict(
            f"stores: the slowest search by one metric, sorted by another, {label}",
            max(slowest, default=None),
            at_most,
            "ms",
        )


def _ratio(results: Results, name: str, measure: str, at_most: float) -> Verdict:
    return Verdict(measure, _of(results, name, lambda result: _scaled(result.ratio(AUTOTRACK), 1.0)), at_most, "ratio")


def _share(results: Results, name: str) -> float | None:
    """What autotrack adds to a fit as a share of what MLflow adds."""

    def share(result: Result) -> float | None:
        ours, theirs = result.added(AUTOTRACK), result.added(MLFLOW)
        return ours.median / theirs.median if ours and theirs and theirs.median > 0 else None

    return _of(results, name, share)


def _added_per_fit(result: Result) -> float | None:
    added, fits = result.added(AUTOTRACK), result.value(BARE, "fits")
    return added.median / fits.median * 1e3 if added and fits else None


def _against_a_folder(variant: Variant, result: Result) -> float | None:
    return _scaled(result.ratio(variant, to=AUTOTRACK), 1.0)


def _of(results: Results, name: str, value: Callable[[Result], float | None]) -> float | None:
    result = results.get(name)
    return value(result) if isinstance(result, Result) else None


def _scaled(summary: Summary | None, factor: float) -> float | None:
    return None if summary is None else summary.median * factor
