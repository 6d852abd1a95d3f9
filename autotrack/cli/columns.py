"""Which columns the table of runs shows, and what stands in them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from autotrack.entities import Run
from autotrack.events import number_to_json
from autotrack.query import table, text
from autotrack.query.direction import direction
from autotrack.query.view import is_about_the_fit, summary

SHORT_ID: Final = 8
NAME_WIDTH: Final = 32
NAME_WIDTH_NARROW: Final = 18
VALUE_WIDTH: Final = 16
ATTRIBUTES: Final = tuple(name for name in table.COLUMNS if name != "artifact_uri")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: ``kind`` is ``"metrics"``, ``"params"``, ``"tags"`` or ``"attributes"``."""

    kind: str
    key: str

    @property
    def name(self) -> str:
        """Its name in `search_runs`."""
        return self.key if self.kind == "attributes" else f"{self.kind}.{self.key}"

    @property
    def right(self) -> bool:
        return self.kind == "metrics" or self.key == "duration"

    def header(self, width: int) -> str:
        """Its key, on as many lines as a column of that width needs."""
        return folded(text.plain(self.key), width)

    def value(self, run: Run) -> Any:
        """As JSON carries it; ``None`` where the run has none."""
        if self.kind == "attributes":
            return summary(run)[self.key]
        value = getattr(run, self.kind).get(self.key)
        return number_to_json(value) if self.kind == "metrics" and value is not None else value

    def cells(self, runs: Sequence[Run]) -> list[str]:
        """As people read it, for each run."""
        if self.kind == "metrics":
            return text.aligned([run.metrics.get(self.key) for run in runs])
        return [self._cell(run) for run in runs]

    def _cell(self, run: Run) -> str:
        match self.kind, self.key:
            case "attributes", "start_time":
                return text.stamp(run.start_time)
            case "attributes", "end_time":
                return text.stamp(run.end_time)
            case "attributes", "duration":
                return text.seconds(run.duration)
        value = self.value(run)
        return "" if value is None else text.plain(str(value))


def chosen(names: Sequence[str], runs: Sequence[Run]) -> list[Column]:
    """The columns that a user named: ``metrics.x``, ``params.x``, ``tags.x``, an attribute, or a bare unique name.

    Raises
    ------
    click.BadParameter
        For a bare name that is none of these.
    """
    known = {kind: table.keys(runs, kind) for kind in table.KINDS}
    columns = []
    for name in names:
        kind, dot, key = name.partition(".")
        if dot and kind in table.KINDS and key:
            columns.append(Column(kind, key))
        elif name in ATTRIBUTES or name == "name":
            columns.append(Column("attributes", "run_name" if name == "name" else name))
        else:
            found = [Column(kind, name) for kind in table.KINDS if name in known[kind]]
            if not found:
                everything = [*ATTRIBUTES, *(f"{kind}.{key}" for kind in table.KINDS for key in known[kind])]
                bare = [key for kind in table.KINDS for key in known[kind]]
                near = difflib.get_close_matches(name, [*everything, *bare], n=3, cutoff=0.5)
                hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(ATTRIBUTES)}"
                raise click.BadParameter(f"no column {name!r} in these runs; {hint}", param_hint="'--columns'")
            columns += found
    return columns


def every(runs: Sequence[Run]) -> list[Column]:
    """All columns, as `search_runs` has them."""
    columns = [Column("attributes", name) for name in ATTRIBUTES]
    return columns + [Column(kind, key) for kind in table.KINDS for key in table.keys(runs, kind)]


def telling(runs: Sequence[Run]) -> list[Column]:
    """The metrics and params that tell these runs apart, the most telling first."""
    metrics = [Column("metrics", key) for key in _common_first(runs, "metrics")]
    held_out = [column for column in metrics if not _is_training(column.key)]
    held_out.sort(
        key=lambda column: (direction(column.key) < 1, column.key.startswith("std_"))
    )  # scores before errors, each the commonest first
    score = [column for column in metrics if column.key == "training_score"]
    params = [
        Column("params", key)
        for key in _common_first(runs, "params")
        if len({run.params[key] for run in runs if key in run.params}) > 1
    ]
    # One result, what led to it, then turn and turn about: a narrow terminal still shows cause and effect.
    order = held_out[:1] + params[:2] + held_out[1:3] + params[2:4] + (score if not held_out else [])
    rest = [column for column in held_out + params + score if column not in order]
    return order + rest


def in_reading_order(columns: Iterable[Column]) -> list[Column]:
    """Params before metrics, each in the order chosen."""
    return sorted(columns, key=lambda column: {"params": 0, "metrics": 1}.get(column.kind, 2))


def folded(name: str, width: int) -> str:
    """A long name on several lines of about the same length, broken behind underscores, dots or blanks."""
    count = len(_filled(name, width))
    narrower = next(narrow for narrow in range(1, width + 1) if len(_filled(name, narrow)) == count)
    return "\n".join(_filled(name, narrower))


def _filled(name: str, width: int) -> list[str]:
    lines = [""]
    for part in _parts(name):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines]


def _parts(name: str) -> list[str]:
    parts = [""]
    for character in name:
        parts[-1] += character
        if character in "_. -/":
            parts.append("")
    return [part for part in parts if part]


def _is_training(key: str) -> bool:
    return key.startswith("training_") or is_about_the_fit(key)


def _common_first(runs: Sequence[Run], kind: str) -> list[str]:
    counts: dict[str, int] = {}
    for run in runs:
        for key in getattr(run, kind):
            counts[key] = counts.get(key, 0) + 1
    return sorted(counts, key=lambda key: (-counts[key], key))
