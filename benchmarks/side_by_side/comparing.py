"""What MLflow recorded of one script, item by item, against what autotrack recorded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.side_by_side.matching import pairs
from benchmarks.side_by_side.reasons import Difference, Reason, explain
from benchmarks.side_by_side.records import Record

TOLERANCE: Final = 1e-12
"""Relative or absolute, whichever is met."""

_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Finding:
    """One item of MLflow's.

    Parameters
    ----------
    run : names of the run and of those it stands in: ``"GridSearchCV › SVC #2"``.
    kind, key, value, our_value : as in `reasons.Difference`.
    same : whether autotrack has it, the same.
    reason : why it has not, where a known reason explains that.
    """

    run: str
    kind: str
    key: str
    value: Any
    our_value: Any
    same: bool
    reason: Reason | None = None

    @property
    def is_unexplained(self) -> bool:
        return not self.same and self.reason is None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of a script: what became of MLflow's items, and what only autotrack has, counted by kind and name."""

    findings: tuple[Finding, ...]
    only_ours: Mapping[tuple[str, str], int]

    @property
    def same(self) -> int:
        return sum(finding.same for finding in self.findings)

    @property
    def unexplained(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.is_unexplained]

    @property
    def explained(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.reason is not None]


def compare(theirs: Sequence[Record], ours: Sequence[Record]) -> Comparison:
    """Compare the runs of one script."""
    extra: Counter[tuple[str, str]] = Counter()
    return Comparison(tuple(_runs(theirs, ours, (), extra)), extra)


def _runs(
    theirs: Sequence[Record], ours: Sequence[Record], place: tuple[str, ...], extra: Counter[tuple[str, str]]
) -> Iterator[Finding]:
    paired, missing, more = pairs(theirs, ours)
    for them, us in paired:
        here = (*place, them.name)
        label = " › ".join(here)
        for kind, key, value, our_value in _items(them, us):
            same = alike(value, our_value)
            our_value = None if our_value is _MISSING else our_value
            difference = Difference(kind, key, value, our_value, them, us)
            yield Finding(label, kind, key, value, our_value, same, None if same else explain(difference))
        extra.update(_only_ours(them, us))
        yield from _runs(them.children, us.children, here, extra)
    for them in missing:
        difference = Difference("run", them.estimator_class, them.status, None, them, None)
        label = " › ".join((*place, them.name))
        yield Finding(label, "run", them.estimator_class, them.status, None, False, explain(difference))
    extra.update(("run", record.name.partition(" #")[0]) for top in more for record in top.walk())


def _items(them: Record, us: Record) -> Iterator[tuple[str, str, Any, Any]]:
    """Kind, name, MLflow's value and autotrack's of all that MLflow recorded of a run."""
    yield "status", "status", them.status, us.status
    named: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
        ("param", them.params, us.params),
        ("metric", them.metrics, us.metrics),
        ("tag", them.tags, us.tags),
        # Where the whole file is missing, that is one thing, told once below.
        ("call", them.calls if us.calls else {}, us.calls),
        ("column", them.columns if us.columns else {}, us.columns),
    )
    for kind, values, our_values in named:
        for key, value in values.items():
            yield kind, key, value, our_values.get(key, _MISSING)
    for path in sorted(them.files):
        yield "artifact", path, "there", "there" if path in us.files else _MISSING
    for name in them.models:
        yield "model", name, "there", "there" if name in us.models else _MISSING
    known = Counter(us.datasets)
    for context, rows in them.datasets:
        found = known[context, rows] > 0
        known[context, rows] -= 1
        yield "dataset", context, f"{rows} rows", f"{rows} rows" if found else _MISSING


def _only_ours(them: Record, us: Record) -> Iterator[tuple[str, str]]:
    sides: tuple[tuple[str, Any, Any], ...] = (
        ("param", them.params, us.params),
        ("metric", them.metrics, us.metrics),
        ("tag", them.tags, us.tags),
        ("artifact", them.files, us.files),
        ("model", them.models, us.models),
    )
    for kind, theirs, ours in sides:
        for key in ours:
            if key not in theirs:
                yield kind, key
    for context, rows in (Counter(us.datasets) - Counter(them.datasets)).elements():
        yield "dataset", f"{context}, {rows} rows"
    for name in us.plots:
        yield "plot", name


def alike(value: Any, our_value: Any) -> bool:
    """Equal; of numbers, also of those written as text in a column, to `TOLERANCE`; NaN is NaN."""
    if isinstance(value, tuple) and isinstance(our_value, tuple):
        return len(value) == len(our_value) and all(
            a == b or alike(_number(a), _number(b)) for a, b in zip(value, our_value, strict=True)
        )
    if isinstance(value, float) and isinstance(our_value, (float, int)):
        both_nan = math.isnan(value) and math.isnan(our_value)
        return both_nan or math.isclose(value, our_value, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(value == our_value)


def _number(text: str) -> Any:
    """The number that a text is, else a thing that is equal to nothing."""
    try:
        return float(text)
    except ValueError:
        return object()
