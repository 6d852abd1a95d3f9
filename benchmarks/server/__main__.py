"""``python -m benchmarks.server``: measure both tracking servers, print a table, write JSON."""

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
from benchmarks.limits import MISSED
from benchmarks.ratios import Limit
from benchmarks.server import limits
from benchmarks.server.measuring import LOG_BATCH, MEMORY, Plan, Result, measure
from benchmarks.server.servers import AUTOTRACK, KINDS, MLFLOW


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    remarks: list[str] = []
    kinds = KINDS
    if options.no_mlflow or importlib.util.find_spec("mlflow") is None:
        kinds = (AUTOTRACK,)
        why = "left out with --no-mlflow" if options.no_mlflow else "not installed: pip install 'autotrack[bench]'"
        remarks.append(f"MLflow was skipped: {why}")
    quick = options.quick
    about = report.machine(1)
    if (about["load"] or 0) > (about["cores"] or 1) / 2:
        remarks.append("The machine was busy with other work when this began: judge by a quiet one")
    with tempfile.TemporaryDirectory(prefix="autotrack-bench-", ignore_cleanup_errors=True) as folder:
        plan = Plan(
            folder=Path(folder),
            kinds=kinds,
            database=options.database,
            workers=options.workers,
            rounds=options.rounds or (1 if quick else 3),
            starts=options.starts or (1 if quick else 3),
            seconds=options.seconds or (1.0 if quick else 5.0),
            connections=options.connections,
            runs=options.runs if options.runs is not None else (500 if quick else 20_000),
            tables=tuple(options.table or ((1_000,) if quick else (100_000,))),
            table_store=options.table_store,
            say=_say,
        )
        result = measure(plan)
    verdicts = limits.judge(result)
    print("\n".join(_table(about, result, verdicts, remarks, plan)))
    names = ("database", "workers", "connections", "quick")
    found = {
        "format": report.FORMAT,
        "machine": about,
        "options": {name: getattr(options, name) for name in names} | {"runs": plan.runs, "tables": plan.tables},
        "result": asdict(result),
        "limits": [verdict.to_json() for verdict in verdicts],
        "remarks": remarks,
    }
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    _say(f"wrote {options.out}")
    missed = any(verdict.verdict == MISSED for verdict in verdicts)
    return int(bool(result.errors) or (options.check and missed))


def _table(about: dict[str, Any], result: Result, verdicts: list[Limit], remarks: list[str], plan: Plan) -> list[str]:
    libraries = ", ".join(f"{name} {version}" for name, version in about["libraries"].items())
    lines = [
        f"{about['cpu']}, {about['cores']} cores, load {about['load']}, Python {about['python']}, {about['date']}",
        libraries,
        f"{plan.database}, {plan.workers} workers each, {plan.connections} connections that stay open, searches over "
        f"{plan.runs:,} runs, tables in {plan.table_store}; medians of rounds (min–max).",
        "",
    ]
    rows: list[tuple[str, ...]] = [("", "autotrack", "MLflow", "ratio")]
    for name in result.values:
        ours, theirs = (stats.summary(result.of(name, kind)) for kind in (AUTOTRACK, MLFLOW))
        ratio = limits.ratio(result, name)
        shown = "" if ratio is None else f"{ratio.median:.3g} ({ratio.min:.3g}–{ratio.max:.3g})"
        rows.append((name, _spread(ours, name), _spread(theirs, name), shown))
    lines += report.aligned(rows)
    lines += [f"  {note}" for note in [*result.notes, *result.errors]]
    if remarks:
        lines += ["", *remarks]
    judged = [
        (
            verdict.measure,
            "–" if verdict.value is None else f"{verdict.value:.3g}",
            f"{'at least' if verdict.at_least else 'at most'} {verdict.bound:.3g} {verdict.unit}",
            verdict.verdict,
        )
        for verdict in verdicts
    ]
    return [*lines, "", "Limits", *report.aligned([("measure", "measured", "limit", ""), *judged])]


def _spread(summary: stats.Summary | None, name: str) -> str:
    if summary is None:
        return ""
    factor, unit = (1.0, "/s") if name == LOG_BATCH else (1e-6, " MB") if name == MEMORY else (1e3, " ms")
    middle, least, most = (f"{value * factor:.3g}" for value in (summary.median, summary.min, summary.max))
    return f"{middle}{unit}" if summary.n == 1 else f"{middle}{unit} ({least}–{most})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server",
        description="autotrack server and mlflow server over databases of the same kind, under the same load, in turn.",
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite", help="(default: sqlite)")
    parser.add_argument("--workers", type=int, default=4, metavar="N", help="of each server (default: 4)")
    parser.add_argument("--connections", type=int, default=8, metavar="N", help="of the load generator (default: 8)")
    parser.add_argument("--rounds", type=int, metavar="N", help="of writing and of each search (default: 3)")
    parser.add_argument("--starts", type=int, metavar="N", help="of each server, to time them (default: 3)")
    parser.add_argument("--seconds", type=float, metavar="S", help="of writing in each round (default: 5)")
    parser.add_argument("--runs", type=int, metavar="N", help="that are searched (default: 20,000; 0 for no searches)")
    parser.add_argument(
        "--table", type=int, action="append", metavar="N", help="runs of our runs table (default: 100,000; repeatable)"
    )
    parser.add_argument(
        "--table-store", choices=("local", "sqlite", "postgresql"), default="local", help="of these (default: local)"
    )
    parser.add_argument("--quick", action="store_true", help="a little of everything: does it work at all?")
    parser.add_argument("--no-mlflow", action="store_true", help="leave MLflow out")
    parser.add_argument("--out", type=Path, default=Path("bench-server.json"), metavar="FILE", help="for the JSON")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a limit is missed")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
