"""Limits on ratios of ours to MLflow's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.limits import MISSED, OK, UNKNOWN


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit, on a median over rounds; ``value`` is ``None`` where it was not measured."""

    measure: str
    value: float | None
    bound: float
    at_least: bool
    unit: str = "ratio"

    @property
    def verdict(self) -> str:
        if self.value is None:
            return UNKNOWN
        held = self.value >= self.bound if self.at_least else self.value <= self.bound
        return OK if held else MISSED

    def to_json(self) -> dict[str, Any]:
        bound = {"at_least" if self.at_least else "at_most": self.bound}
        return {"measure": self.measure, "value": self.value, **bound, "unit": self.unit, "verdict": self.verdict}
