"""What a run left behind, in one shape for both libraries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded run.

    Parameters
    ----------
    name : for people: the estimator's class, with a number where a script has several of it.
    estimator_class : with its module; empty where the run tells none.
    status : ``"FINISHED"``, ``"FAILED"`` …
    params, metrics, tags : as they stand in the store, the last value of each metric.
    files : paths of the artifacts that are no models.
    calls : what ``metric_info.json`` says.
    columns : those of ``cv_results.csv``, as text.
    plots : names of the plots that are kept as data.
    datasets : ``(context, rows)`` of each, ``rows`` ``None`` where they are not told.
    models : names of the fitted models.
    children : the runs made inside this one, in the order in which they were made.
    """

    name: str
    estimator_class: str = ""
    status: str = "FINISHED"
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    files: frozenset[str] = frozenset()
    calls: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    plots: frozenset[str] = frozenset()
    datasets: tuple[tuple[str, int | None], ...] = ()
    models: tuple[str, ...] = ()
    children: tuple[Record, ...] = ()

    def walk(self) -> Iterator[Record]:
        """This run and all inside it."""
        yield self
        for child in self.children:
            yield from child.walk()


def numbered(names: list[str]) -> list[str]:
    """``A, B, A`` → ``A, B, A #2``."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return result
