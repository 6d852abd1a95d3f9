"""The results as a table to read and as JSON."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from benchmarks import variants
from benchmarks.limits import Verdict
from benchmarks.results import BYTES, Figures, Result
from benchmarks.stats import Summary

FORMAT: Final = 1
_LIBRARIES: Final = ("autotrack", "mlflow", "scikit-learn", "numpy", "scipy", "pandas", "joblib", "cloudpickle")


def machine(threads: int) -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


def table(
    about: dict[str, Any], results: Iterable[Result | Figures], verdicts: Sequence[Verdict], remarks: Sequence[str]
) -> str:
    """The report as text."""
    libraries = ", ".join(f"{name} {version}" for name, version in about["libraries"].items())
    lines = [
        f"{about['cpu']}, {about['cores']} cores, {about['threads']} threads, load {about['load']}, "
        f"Python {about['python']}, {about['date']}",
        libraries,
        "Medians (min–max). Added and ratio: against bare in the same round.",
    ]
    for result in results:
        lines += [
            "",
            f"{result.name}: {result.title}",
            *aligned(_store_rows(result) if isinstance(result, Figures) else _rows(result)),
        ]
        lines += [f"  {name}: {error}" for name, error in result.errors.items()]
        lines += [f"  {note}" for note in result.notes]
    if remarks:
        lines += ["", *remarks]
    judged = [(v.measure, _limit_value(v.value, v.unit), _limit_value(v.at_most, v.unit), v.verdict) for v in verdicts]
    lines += ["", "Limits", *aligned([("measure", "measured", "at most", ""), *judged])]
    return "\n".join(lines)


def to_json(
    about: dict[str, Any],
    options: dict[str, Any],
    results: Iterable[Result | Figures],
    verdicts: Iterable[Verdict],
    remarks: Sequence[str],
) -> dict[str, Any]:
    """The report as data. Times are in seconds, memory in bytes."""
    return {
        "format": FORMAT,
        "machine": about,
        "options": options,
        "results": [result.to_json(variants.EVERY) for result in results],
        "limits": [verdict.to_json() for verdict in verdicts],
        "remarks": list(remarks),
    }


def _rows(result: Result) -> list[tuple[str, ...]]:
    timed = any("thread_seconds" in result.names(variant) for variant in variants.EVERY)
    header = ["", "took" if result.unit != BYTES else "peak", "added", "ratio"]
    if timed:
        header += ["own thread added", "background", "first fit"]
    drifts = any("drift" in result.names(variant) for variant in variants.EVERY)
    if drifts:
        header += ["added per fit", "last/first 50"]
    rows: list[tuple[str, ...]] = [tuple(header)]
    for variant in variants.EVERY:
        if not result.names(variant):
            continue
        unit = result.unit
        added, ratio = result.added(variant), result.ratio(variant)
        is_bare = variant == variants.BARE
        row = [
            variant.name,
            _spread(result.value(variant), unit),
            "" if is_bare else _spread(added, unit),
            "" if is_bare or ratio is None else f"{ratio.median:.3g} ({ratio.min:.3g}–{ratio.max:.3g})",
        ]
        if timed:
            busy, first = result.added(variant, "thread_seconds"), result.value(variant, "first_seconds")
            behind = result.value(variant, "background_seconds")
            row += [
                "" if is_bare or busy is None else _amount(busy.median, unit),
                "" if is_bare or behind is None else _amount(behind.median, unit),
                "" if first is None else _amount(first.median, unit),
            ]
        if drifts:
            fits, drift = result.value(variants.BARE, "fits"), result.value(variant, "drift")
            row += [
                "" if is_bare or added is None or fits is None else _amount(added.median / fits.median, unit),
                "" if drift is None else f"{drift.median:.3f} ({drift.min:.3f}–{drift.max:.3f})",
            ]
        rows.append(tuple(row))
    return rows


def _store_rows(result: Figures) -> list[tuple[str, ...]]:
    """One column for each store, with how many runs a search found; one row for each thing measured."""
    stores = list(dict.fromkeys(figure.store for figure in result.figures))
    rows: dict[str, dict[str, str]] = {}
    for figure in result.figures:
        amount = _spread(figure.summary, figure.unit).removesuffix(" (once)")
        found = "" if figure.found is None else f" → {figure.found}"
        rows.setdefault(figure.name, {})[figure.store] = amount + found
    return [("", *stores), *((name, *(cells.get(store, "") for store in stores)) for name, cells in rows.items())]


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines of text, in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _spread(summary: Summary | None, unit: str) -> str:
    if summary is None:
        return "–"
    if summary.n == 1:
        return f"{_amount(summary.median, unit)} (once)"
    return f"{_amount(summary.median, unit)} ({_amount(summary.min, unit)}–{_amount(summary.max, unit)})"


def _amount(value: float, unit: str) -> str:
    if unit == BYTES:
        return f"{value / 1e6:,.0f} MB"
    if abs(value) >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.2f} ms" if abs(value) >= 1e-4 else f"{value * 1e6:.2f} µs"


def _limit_value(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    match unit:
        case "ms" | "µs":
            return f"{value:.2f} {unit}"
        case "share":
            return f"1/{1 / value:.0f}" if value > 0 else "nothing"
        case _:
            return f"{value:.3f}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        if name != "autotrack":
            return None
    import autotrack

    return autotrack.__version__


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
