"""What one measurement gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks import stats
from benchmarks.stats import Summary
from benchmarks.variants import BARE, Variant

SECONDS: Final = "seconds"
BYTES: Final = "bytes"


@dataclass(slots=True)
class Result:
    """Values of each variant, round by round.

    Parameters
    ----------
    name : for ``--only``.
    title : for people.
    unit : ``"seconds"`` or ``"bytes"``.
    samples : for each variant what each round gave.
    details : further values of the same shape, by their name.
    errors : why a variant gave nothing, or gave up.
    notes : what a reader of the numbers must know.
    """

    name: str
    title: str
    unit: str
    samples: dict[str, list[float | None]] = field(default_factory=dict)
    details: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def value(self, variant: Variant, detail: str | None = None) -> Summary | None:
        """What the variant took."""
        return stats.summary(self._of(detail).get(variant.name, ()))

    def added(self, variant: Variant, detail: str | None = None) -> Summary | None:
        """What the variant added to bare, paired by round."""
        of = self._of(detail)
        return stats.added(of.get(variant.name, ()), of.get(BARE.name, ()))

    def ratio(self, variant: Variant, detail: str | None = None) -> Summary | None:
        """How many times bare the variant took, paired by round."""
        of = self._of(detail)
        return stats.ratio(of.get(variant.name, ()), of.get(BARE.name, ()))

    def _of(self, detail: str | None) -> Mapping[str, list[float | None]]:
        return self.samples if detail is None else self.details.get(detail, {})

    def add(self, variant: Variant, values: Mapping[str, float] | None) -> None:
        """Take one round's values: the one named as the unit, and details. ``None``: it did not join."""
        for name in self.details if values is None else values:
            if name != self.unit:
                of = self.details.setdefault(name, {})
                of.setdefault(variant.name, []).append(None if values is None else values[name])
        self.samples.setdefault(variant.name, []).append(None if values is None else values[self.unit])

    def to_json(self) -> dict[str, Any]:
        variants: dict[str, Any] = {}
        for name, samples in self.samples.items():
            base = self.samples.get(BARE.name, ())
            variants[name] = {"samples": samples, "summary": stats.summary(samples)}
            if name != BARE.name:
                variants[name] |= {"added": stats.added(samples, base), "ratio": stats.ratio(samples, base)}
            for detail, of in self.details.items():
                variants[name].setdefault("details", {})[detail] = stats.summary(of.get(name, ()))
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "variants": variants,
            "errors": self.errors,
            "notes": self.notes,
        }
