"""The comparison as Markdown for ``docs/compare-mlflow.md``, and in a few lines for the console."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.report import machine
from benchmarks.side_by_side.comparing import Comparison, Finding
from benchmarks.side_by_side.reasons import KNOWN
from benchmarks.side_by_side.running import ALONE, AUTOTRACK, MLFLOW

BEGIN: Final = "<!-- made by `make compare-mlflow`: do not edit below -->"
END: Final = "<!-- made by `make compare-mlflow`: do not edit above -->"
_LONGEST: Final = 80
_KINDS: Final = ("param", "metric", "tag", "dataset", "model", "artifact", "plot", "run")
_LIBRARIES: Final = ("autotrack", "mlflow", "scikit-learn", "numpy", "pandas")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one script.

    Parameters
    ----------
    name : the script's.
    runs : how many runs MLflow and autotrack recorded, children too.
    seconds : of the whole process, by variant.
    comparison : of what was recorded.
    troubles : what went wrong besides: another output, a script that failed.
    """

    name: str
    runs: tuple[int, int]
    seconds: Mapping[str, float]
    comparison: Comparison
    troubles: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        return not self.troubles and not self.comparison.unexplained


def console(results: Sequence[Result]) -> str:
    """A line for each script, then each unexplained difference."""
    lines = [f"{'':22} {'same':>6} {'explained':>10} {'UNEXPLAINED':>12} {'only autotrack':>15} {'seconds':>18}"]
    for result in results:
        found = result.comparison
        seconds = " / ".join(f"{result.seconds.get(name, float('nan')):.1f}" for name in (ALONE, AUTOTRACK, MLFLOW))
        lines.append(
            f"{result.name:22} {found.same:6} {len(found.explained):10} {len(found.unexplained):12} "
            f"{sum(found.only_ours.values()):15} {seconds:>18}"
        )
    lines.append("(seconds: the whole process alone / with autotrack / with MLflow's autolog)")
    for result in results:
        lines += [f"{result.name}: {trouble}" for trouble in result.troubles]
        lines += [f"UNEXPLAINED {result.name}: {_line(finding)}" for finding in result.comparison.unexplained]
    return "\n".join(lines)


def markdown(results: Sequence[Result], threads: int) -> str:
    """The generated part of the document."""
    about = machine(threads)
    libraries = ", ".join(f"{name} {about['libraries'][name]}" for name in _LIBRARIES if name in about["libraries"])
    day = dt.datetime.now(dt.UTC).date().isoformat()
    return "\n".join(
        [
            f"Measured on {day}: {libraries}, Python {about['python']}, {about['cores']} cores.",
            "",
            *_scripts(results),
            "",
            *_unexplained(results),
            "",
            *_reasons(results),
            "",
            *_only_ours(results),
        ]
    )


def write(path: Path, generated: str) -> None:
    """Put the generated part between its marks, and leave the rest of the document as it is.

    Raises
    ------
    ValueError
        When the marks are not there.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path}: the marks {BEGIN!r} and {END!r} are missing")
    path.write_text(f"{before}{BEGIN}\n\n{generated}\n\n{END}{after}", encoding="utf-8")


def _scripts(results: Sequence[Result]) -> list[str]:
    lines = [
        "| script | runs: MLflow, autotrack | the same | explained | unexplained | only autotrack "
        "| seconds: alone, autotrack, MLflow |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        found = result.comparison
        seconds = [result.seconds.get(name) for name in (ALONE, AUTOTRACK, MLFLOW)]
        lines.append(
            f"| `{result.name}` | {result.runs[0]}, {result.runs[1]} | {found.same} | {len(found.explained)} "
            f"| {len(found.unexplained)} | {sum(found.only_ours.values())} "
            f"| {', '.join('–' if value is None else f'{value:.1f}' for value in seconds)} |"
        )
    everything = [result.comparison for result in results]
    total = {name: sum(result.seconds.get(name, 0.0) for result in results) for name in (ALONE, AUTOTRACK, MLFLOW)}
    lines.append(
        f"| **all** | {sum(result.runs[0] for result in results)}, {sum(result.runs[1] for result in results)} "
        f"| {sum(found.same for found in everything)} | {sum(len(found.explained) for found in everything)} "
        f"| {sum(len(found.unexplained) for found in everything)} "
        f"| {sum(sum(found.only_ours.values()) for found in everything)} "
        f"| {', '.join(f'{value:.1f}' for value in total.values())} |"
    )
    return lines


def _unexplained(results: Sequence[Result]) -> list[str]:
    found = [(result.name, finding) for result in results for finding in result.comparison.unexplained]
    troubles = [(result.name, trouble) for result in results for trouble in result.troubles]
    if not found and not troubles:
        return ["**Unexplained differences: none.** All scripts printed the same in all three processes."]
    lines = [
        f"**Unexplained differences: {len(found)}**, which is a fault of autotrack's until the contrary is shown:",
        "",
    ]
    lines += ["| script | run | what | MLflow | autotrack |", "|---|---|---|---|---|"]
    lines += [
        f"| `{name}` | {finding.run} | {finding.kind} `{finding.key}` | {_cell(finding.value)} "
        f"| {_cell(finding.our_value)} |"
        for name, finding in found
    ]
    return lines + ["", *(f"`{name}`: {trouble}" for name, trouble in troubles)]


def _reasons(results: Sequence[Result]) -> list[str]:
    explained = [finding for result in results for finding in result.comparison.explained]
    counts = Counter(finding.reason.name for finding in explained if finding.reason is not None)
    lines = ["| explained | how often | why |", "|---|---|---|"]
    return lines + [f"| {reason.name} | {counts[reason.name]} | {reason.text} |" for reason in KNOWN]


def _only_ours(results: Sequence[Result]) -> list[str]:
    counts: Counter[tuple[str, str]] = Counter()
    for result in results:
        counts.update(result.comparison.only_ours)
    lines = ["| only autotrack has | how many | which |", "|---|---|---|"]
    for kind in _KINDS:
        names = {key: count for (found, key), count in counts.items() if found == kind}
        if names:
            listed = sorted(names.items(), key=lambda item: (-item[1], item[0]))
            text = ", ".join(f"`{key}`" + (f" × {count}" if count > 1 else "") for key, count in listed)
            lines.append(f"| {kind}s | {sum(names.values())} | {text} |")
    return lines


def _line(finding: Finding) -> str:
    ours = "nothing" if finding.our_value is None else _short(finding.our_value)
    return f"{finding.run}: {finding.kind} {finding.key}: MLflow {_short(finding.value)}, autotrack {ours}"


def _cell(value: Any) -> str:
    return "nothing" if value is None else "`" + _short(value).replace("|", "\\|").replace("`", "'") + "`"


def _short(value: Any) -> str:
    text = " ".join((repr(value) if isinstance(value, float) else str(value)).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
