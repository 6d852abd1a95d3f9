"""What of a run was captured, what was not and why, what was warned of, and what looked wrong in the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autotrack.entities import CHECK, SKIPPED, WARNING, Note, Run
from autotrack.query import text


@dataclass(frozen=True, slots=True)
class CaptureReport:
    """What became of the things that a run could have recorded. ``str()`` of it is for reading.

    Parameters
    ----------
    captured : what was recorded: params, metrics and tags with how many, datasets and models with which.
    skipped : notes on what was not recorded, or only in part, each with the reason.
    warnings : notes on what libraries warned of during the fit.
    checks : notes on what looked wrong in the data.
    """

    captured: Mapping[str, int | tuple[str, ...]]
    skipped: tuple[Note, ...]
    warnings: tuple[Note, ...]
    checks: tuple[Note, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as a mapping of JSON types."""
        return {
            "captured": {key: value if isinstance(value, int) else list(value) for key, value in self.captured.items()},
            "skipped": [_to_dict(note) for note in self.skipped],
            "warnings": [_to_dict(note) for note in self.warnings],
            "checks": [_to_dict(note) for note in self.checks],
        }

    def lines(self) -> Iterator[tuple[str, str]]:
        """The report as pairs of a heading and a sentence."""
        told = []
        for kind, value in self.captured.items():
            if value:
                told.append(f"{value} {kind}" if isinstance(value, int) else f"{kind} {', '.join(value)}")
        yield "captured", "; ".join(told) or "nothing"
        for heading, notes in (("skipped", self.skipped), ("warning", self.warnings), ("check", self.checks)):
            for note in notes:
                times = f" ({note.count} times)" if note.count > 1 else ""
                message = " ".join(note.message.split())  # warnings come with line ends
                yield heading, f"{note.subject}: {message}{times}"

    def __str__(self) -> str:
        return "\n".join(f"{heading:<9} {text.plain(sentence)}" for heading, sentence in self.lines())


def capture_report(run: Run) -> CaptureReport:
    """The report of a run, made of what it recorded and of its notes."""
    return CaptureReport(
        captured={
            "params": len(run.params),
            "metrics": len(run.metrics),
            "tags": len(run.tags),
            "datasets": tuple(f"{data.name} ({data.context})" for data in run.datasets),
            "models": tuple(model.path for model in run.models),
        },
        skipped=_of(run, SKIPPED),
        warnings=_of(run, WARNING),
        checks=_of(run, CHECK),
    )


def _of(run: Run, kind: str) -> tuple[Note, ...]:
    return tuple(note for note in run.notes if note.kind == kind)


def _to_dict(note: Note) -> dict[str, Any]:
    return {"subject": note.subject, "message": note.message, "count": note.count}
