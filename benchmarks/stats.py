"""Medians, spreads, and comparisons paired by round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

Samples = Sequence[float | None]
"""One value for each round; ``None`` where the variant did not join."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The middle and the ends of some values."""

    median: float
    min: float
    max: float
    n: int


def summary(samples: Samples) -> Summary | None:
    """Summary of the values that are there; ``None`` when there are none."""
    values = [value for value in samples if value is not None]
    return Summary(median(values), min(values), max(values), len(values)) if values else None


def added(samples: Samples, base: Samples) -> Summary | None:
    """What was added to the base, round by round."""
    return _paired(samples, base, lambda value, bare: value - bare)


def ratio(samples: Samples, base: Samples) -> Summary | None:
    """How many times the base, round by round."""
    return _paired(samples, base, lambda value, bare: value / bare if bare else float("inf"))


def _paired(samples: Samples, base: Samples, compare: Callable[[float, float], float]) -> Summary | None:
    pairs = zip(samples, base, strict=False)
    return summary([compare(value, bare) for value, bare in pairs if value is not None and bare is not None])
