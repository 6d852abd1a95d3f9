"""What runs differ in: a row for each param, metric, tag or fact, with a value per run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotrack.events import number_to_json
from autotrack.query.direction import direction
from autotrack.query.view import RunView, by_interest


@dataclass(frozen=True, slots=True)
class Row:
    """One param, metric, tag or fact: a value per run (``None`` where it has none), and which are the best."""

    kind: str
    key: str
    values: tuple[Any, ...]
    best: frozenset[int] = frozenset()

    @property
    def differs(self) -> bool:
        """Whether not all runs have the same; a value that is not there is another one."""
        return len({repr(value) for value in self.values}) > 1


def rows_of(views: Sequence[RunView], everything: bool, *, facts: bool = True) -> list[Row]:
    """The params and metrics that runs differ in; ``everything`` for those that are equal, and tags, too.

    Parameters
    ----------
    facts : with everything, also the environment.
    """
    rows = [Row("params", key, _values(views, "params", key)) for key in _keys(views, "params")]
    for key in by_interest(_keys(views, "metrics")):
        values = _values(views, "metrics", key)
        rows.append(Row("metrics", key, values, best(key, values)))
    if everything:
        rows += [Row("tags", key, _values(views, "tags", key)) for key in sorted(_keys(views, "tags"))]
        told = [flat(view.environment) for view in views] if facts else []
        for key in dict.fromkeys(key for mapping in told for key in mapping):
            rows.append(Row("environment", key, tuple(mapping.get(key) for mapping in told)))
        return rows
    return [row for row in rows if row.differs]


def best(key: str, values: Sequence[float | None]) -> frozenset[int]:
    """Which values of a metric are the best; none where its name does not tell, or all are alike."""
    way = direction(key)
    known = [value for value in values if value is not None and value == value]
    if not way or len(known) < 2 or min(known) == max(known):
        return frozenset()
    found = max(known) if way > 0 else min(known)
    return frozenset(index for index, value in enumerate(values) if value == found)


def flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Mappings within mappings as one, with keys such as ``git.commit``; lists as text."""
    found: dict[str, Any] = {}
    for key, value in facts.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
    return found


def values_of(row: Row) -> list[Any]:
    """A row's values as JSON carries them."""
    return [number_to_json(value) if isinstance(value, float) else value for value in row.values]


def _keys(views: Sequence[RunView], kind: str) -> list[str]:
    return list(dict.fromkeys(key for view in views for key in getattr(view, kind)))


def _values(views: Sequence[RunView], kind: str, key: str) -> tuple[Any, ...]:
    return tuple(getattr(view, kind).get(key) for view in views)
