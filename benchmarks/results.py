"""What one measurement gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from benchmarks import stats
from benchmarks.stats import Summary
from benchmarks.variants import BARE, Variant

SECONDS: Final = "seconds"
BYTES: Final = "bytes"

Round = Mapping[str, float] | None
"""What one round gave, by name; ``None`` where the variant did not join."""


@dataclass(slots=True)
class Result:
    """Values of each variant, round by round.

    Parameters
    ----------
    name : for ``--only``.
    title : for people.
    unit : ``"seconds"`` or ``"bytes"``: also the name of the main value in each round.
    rounds : what each round gave, for each variant.
    errors : why a variant gave nothing, or gave up.
    notes : what a reader of the numbers must know.
    """

    name: str
    title: str
    unit: str
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def value(self, variant: Variant, name: str | None = None) -> Summary | None:
        """What the variant took."""
        return stats.summary(self._values(variant, name))

    def added(self, variant: Variant, name: str | None = None) -> Summary | None:
        """What the variant added to bare, paired by round."""
        return stats.added(self._values(variant, name), self._values(BARE, name))

    def ratio(self, variant: Variant, name: str | None = None, to: Variant = BARE) -> Summary | None:
        """How many times bare, or another one, the variant took, paired by round."""
        return stats.ratio(self._values(variant, name), self._values(to, name))

    def names(self, variant: Variant) -> list[str]:
        """The names of the values that the variant's rounds gave."""
        return list(dict.fromkeys(name for found in self.rounds.get(variant.name, ()) if found for name in found))

    def to_json(self, variants: tuple[Variant, ...]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for variant in variants:
            if variant.name not in self.rounds:
                continue
            shown[variant.name] = {
                name: {
                    "samples": self._values(variant, name),
                    "summary": _plain(self.value(variant, name)),
                    "added": None if variant == BARE else _plain(self.added(variant, name)),
                    "ratio": None if variant == BARE else _plain(self.ratio(variant, name)),
                }
                for name in self.names(variant)
            }
        told = {"name": self.name, "title": self.title, "unit": self.unit}
        return {**told, "variants": shown, "errors": self.errors, "notes": self.notes}

    def _values(self, variant: Variant, name: str | None) -> list[float | None]:
        key = name or self.unit
        return [None if found is None else found.get(key) for found in self.rounds.get(variant.name, ())]


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured of one store.

    Parameters
    ----------
    store : its name with what it holds, as the column of a table.
    runs : how many it holds.
    name : what was measured.
    unit : ``"seconds"`` or ``"bytes"``.
    samples : one or more values.
    found : how many runs a search found.
    is_limited : whether it is one of the searches that a limit is about.
    """

    store: str
    runs: int
    name: str
    unit: str
    samples: Sequence[float]
    found: int | None = None
    is_limited: bool = False

    @property
    def summary(self) -> Summary:
        found = stats.summary(self.samples)
        assert found is not None
        return found


@dataclass(slots=True)
class Figures:
    """What a measurement of stores gave, in place of a `Result`: stores are compared, and none is bare."""

    name: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self, variants: tuple[Variant, ...] = ()) -> dict[str, Any]:
        figures = [{**asdict(figure), "summary": _plain(figure.summary)} for figure in self.figures]
        return {"name": self.name, "title": self.title, "figures": figures, "errors": self.errors, "notes": self.notes}


def _plain(summary: Summary | None) -> dict[str, float] | None:
    return None if summary is None else asdict(summary)
