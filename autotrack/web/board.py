"""Numbers of several processes, in memory that they share: each writes its own row, whoever is asked adds them up.

A worker that takes the place of one that died goes on with its row, so no counter ever falls.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class Layout:
    """Where in a row which number stands. Filled once, when a module is imported."""

    def __init__(self) -> None:
        self.length = 0

    def place(self, count: int = 1) -> int:
        """Room for so many numbers; gives the first one's place."""
        start, self.length = self.length, self.length + count
        return start

    def histogram(self, bounds: Sequence[float], count: int = 1) -> Histogram:
        """Room for as many histograms over the same bounds."""
        return Histogram(self.place(count * (len(bounds) + 2)), tuple(bounds))


class Histogram:
    """How often values fell between bounds, and their sum; several of them, counted from 0."""

    def __init__(self, start: int, bounds: tuple[float, ...]) -> None:
        self.start = start
        self.bounds = bounds
        self.width = len(bounds) + 2

    def observe(self, row: Any, value: float, which: int = 0) -> None:
        """Count a value."""
        start = self.start + which * self.width
        row[start + bisect_left(self.bounds, value)] += 1
        row[start + self.width - 1] += value

    def of(self, total: Sequence[float], which: int = 0) -> Sequence[float]:
        """The counts between the bounds, beyond the last one, and the sum."""
        start = self.start + which * self.width
        return total[start : start + self.width]

    def buckets(self, total: Sequence[float], which: int = 0) -> tuple[list[tuple[str, float]], float]:
        """As Prometheus has them: counts up to each bound, and the sum."""
        *counts, whole = self.of(total, which)
        labels = [*(f"{bound:g}" if bound < 1 else str(bound) for bound in self.bounds), "+Inf"]
        return list(zip(labels, accumulate(counts))), whole


class SharedRows:
    """The rows of all workers, in one anonymous piece of memory that forked processes share."""

    def __init__(self, layout: Layout, workers: int) -> None:
        length = layout.length
        self._memory = mmap.mmap(-1, workers * length * 8)
        values = memoryview(self._memory).cast("d")
        self._rows = [values[index * length : (index + 1) * length] for index in range(workers)]

    def __getitem__(self, worker: int) -> Any:
        """The row of one worker."""
        return self._rows[worker]

    def total(self) -> list[float]:
        """All rows added up."""
        return [sum(column) for column in zip(*self._rows)]


def exposition(collect: Callable[[], Iterable[Metric]], accept: str = "") -> tuple[bytes, str]:
    """Series in Prometheus' text format, and its content type.

    Parameters
    ----------
    accept : the request's header: OpenMetrics for those who ask for it.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(collect))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collector:
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self.collect = collect
