"""``python -m benchmarks.serving``: measure both servers, print a table, write JSON."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import report, stats
from benchmarks.harness import Trouble
from benchmarks.limits import MISSED
from benchmarks.loads import Load
from benchmarks.ratios import Limit
from benchmarks.serving import cases, limits
from benchmarks.serving.measuring import KINDS, LARGE, LARGE_ARROW, SINGLE, Plan, Result, ceiling, measure
from benchmarks.serving.servers import AUTOTRACK, MLFLOW
from benchmarks.stats import Summary


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    remarks: list[str] = []
    kinds = KINDS
    if options.no_mlflow or importlib.util.find_spec("mlflow") is None:
        kinds = tuple(kind for kind in kinds if kind != MLFLOW)
        why = "left out with --no-mlflow" if options.no_mlflow else "not installed: pip install 'autotrack[bench]'"
        remarks.append(f"MLflow was skipped: {why}")
    if options.only_mlflow:
        kinds = (MLFLOW,)
    if options.quick:
        remarks.append("Two short rounds only (--quick): enough to see that it works, too few to judge by")
    about = report.machine(1)
    if (about["load"] or 0) > (about["cores"] or 1) / 2:
        remarks.append("The machine was busy with other work when this began: judge by a quiet one")
    reached: list[Load] = []
    with tempfile.TemporaryDirectory(prefix="autotrack-bench-", ignore_cleanup_errors=True) as folder:
        plan = Plan(
            folder=Path(folder),
            kinds=kinds,
            rounds=options.rounds or (2 if options.quick else 5),
            starts=options.starts or (1 if options.quick else 3),
            seconds=options.seconds or (0.5 if options.quick else 4.0),
            large_seconds=options.seconds or (1.0 if options.quick else 6.0),
            connections=options.connections,
            say=_say,
            options=tuple(options.serve or ()),
        )
        try:
            reached = ceiling(plan)
        except Trouble as trouble:
            remarks.append(f"The load generator's own ceiling is not known: {trouble}")
        chosen = [case for case in cases.EVERY if case.name in (options.only or [limits.JUDGED])]
        results = [measure(case, plan) for case in chosen]
    verdicts = limits.judge(results)
    print("\n".join(_table(about, reached, results, verdicts, remarks, options.connections)))
    names = ("rounds", "starts", "seconds", "connections", "quick", "only", "serve")
    found = {
        "format": report.FORMAT,
        "machine": about,
        "options": {name: getattr(options, name) for name in names},
        "ceiling": [asdict(load) for load in reached],
        "results": [asdict(result) for result in results],
        "limits": [verdict.to_json() for verdict in verdicts],
        "remarks": remarks,
    }
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    _say(f"wrote {options.out}")
    missed = any(verdict.verdict == MISSED for verdict in verdicts)
    return int(any(result.errors for result in results) or (options.check and missed))


def _table(
    about: dict[str, Any],
    reached: list[Load],
    results: list[Result],
    verdicts: list[Limit],
    remarks: list[str],
    connections: int,
) -> list[str]:
    libraries = ", ".join(f"{name} {version}" for name, version in about["libraries"].items())
    lines = [
        f"{about['cpu']}, {about['cores']} cores, load {about['load']}, Python {about['python']}, {about['date']}",
        libraries,
        f"One worker each, {connections} connections that stay open, a closed loop; medians of rounds (min–max).",
    ]
    if reached:
        best = max(reached, key=lambda load: load.per_second)
        lines.append(
            f"The load generator against an application that does nothing: {best.per_second:,.0f} requests/s, "
            f"p99 {best.p99 * 1e3:.2f} ms"
        )
    for result in results:
        lines += ["", f"{result.case}: {result.title}", *report.aligned(_rows(result))]
        lines += [f"  {name}: {error}" for name, error in result.errors.items()]
    if remarks:
        lines += ["", *remarks]
    judged = [
        (
            f"{verdict.measure}, ratio to MLflow's",
            "–" if verdict.value is None else f"{verdict.value:.3g}",
            f"{'at least' if verdict.at_least else 'at most'} {verdict.bound:.3g}",
            verdict.verdict,
        )
        for verdict in verdicts
    ]
    return [*lines, "", "Limits", *report.aligned([("measure", "measured", "limit", ""), *judged])]


def _rows(result: Result) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "autotrack", "MLflow", "ratio")]
    for request in (SINGLE, LARGE, LARGE_ARROW):
        values = [("requests/s", "per_second", 1.0, ""), ("p50", "p50", 1e3, " ms"), ("p99", "p99", 1e3, " ms")]
        for label, name, factor, unit in values:
            ours, theirs = (stats.summary(result.of(request, kind, name)) for kind in (AUTOTRACK, MLFLOW))
            # Arrow is beside MLflow's best way to take many rows, which is its JSON here.
            ratio = limits.load_ratio(result, LARGE if request == LARGE_ARROW else request, name, request)
            rows.append(
                (f"{request}: {label}", _spread(ours, factor, unit), _spread(theirs, factor, unit), _ratio(ratio))
            )
    ours, theirs = (stats.summary(result.starts.get(kind.name, [])) for kind in (AUTOTRACK, MLFLOW))
    rows.append(
        ("start to first answer", _spread(ours, 1, " s"), _spread(theirs, 1, " s"), _ratio(limits.start_ratio(result)))
    )
    held = [result.memory.get(kind.name, []) for kind in (AUTOTRACK, MLFLOW)]
    ours, theirs = (stats.summary(values) for values in held)
    rows.append(
        ("memory after all that", _spread(ours, 1e-6, " MB"), _spread(theirs, 1e-6, " MB"), _ratio(stats.ratio(*held)))
    )
    return rows


def _spread(summary: Summary | None, factor: float, unit: str) -> str:
    if summary is None:
        return "–"

    def text(value: float) -> str:
        scaled = value * factor
        return f"{scaled:,.0f}" if scaled >= 100 else f"{scaled:.3g}"

    if summary.n == 1:
        return f"{text(summary.median)}{unit}"
    return f"{text(summary.median)}{unit} ({text(summary.min)}–{text(summary.max)})"


def _ratio(summary: Summary | None) -> str:
    return "" if summary is None else f"{summary.median:.3g} ({summary.min:.3g}–{summary.max:.3g})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description="autotrack models serve and mlflow models serve on the same folder, under the same load, in turn.",
    )
    names = [case.name for case in cases.EVERY]
    parser.add_argument(
        "--only", metavar="MODEL", action="append", choices=names, help="this model (default: linear; may be repeated)"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="of load (default: 5)")
    parser.add_argument("--starts", type=int, metavar="N", help="of each server, to time them (default: 3)")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="of load in each round (default: 4; 6 for large ones)"
    )
    parser.add_argument("--connections", type=int, default=4, metavar="N", help="of the load generator (default: 4)")
    parser.add_argument(
        "--serve", metavar="OPTION", action="append", help="further argument of our server, as --serve=--max-batch=1"
    )
    parser.add_argument("--quick", action="store_true", help="two short rounds of everything: does it work at all?")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--no-mlflow", action="store_true", help="leave MLflow out")
    which.add_argument("--only-mlflow", action="store_true", help="leave ours out")
    parser.add_argument("--out", type=Path, default=Path("bench-serving.json"), metavar="FILE", help="for the JSON")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a limit is missed")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
