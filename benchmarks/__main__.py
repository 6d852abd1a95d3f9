"""``python -m benchmarks``: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import limits, measures, report, variants
from benchmarks.harness import Plan, Workers


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    if options.list:
        for measure in measures.ALL:
            print(f"{measure.name:20} {measure.title}")
        return 0
    remarks: list[str] = []
    joining: tuple[variants.Variant, ...] = variants.EVERY
    if options.no_mlflow or importlib.util.find_spec("mlflow") is None:
        joining = tuple(variant for variant in variants.EVERY if variant.library != "mlflow")
        why = "left out with --no-mlflow" if options.no_mlflow else "not installed: pip install 'autotrack[bench]'"
        remarks.append(f"MLflow was skipped: {why}")
        _say(remarks[-1])
    if importlib.util.find_spec("sqlalchemy") is None:
        joining = tuple(variant for variant in joining if variant != variants.SHIPPED)
        remarks.append("Shipping to a database was skipped: pip install 'autotrack[sqlite]'")
    if options.quick:
        remarks.append("Two rounds only (--quick): enough to see that it works, too few to judge by")
    about = report.machine(options.threads)
    if (about["load"] or 0) > (about["cores"] or 1) / 2:
        remarks.append("The machine was busy with other work when this began: judge by a quiet one")
    # MLflow's processes may still be writing when they are stopped.
    with tempfile.TemporaryDirectory(prefix="autotrack-bench-", ignore_cleanup_errors=True) as folder:
        plan = Plan(
            folder=Path(folder),
            variants=joining,
            threads=options.threads,
            rounds=options.rounds,
            quick=options.quick,
            full=options.full,
            limit=options.limit,
            say=_say,
            stores=tuple(options.store or ()),
            runs=options.runs,
        )
        with Workers(plan) as workers:
            chosen = [measure for measure in measures.ALL if not options.only or measure.name in options.only]
            results = [measure.measure(plan, workers) for measure in chosen]
            remarks += _recorded(workers)
    verdicts = limits.judge({result.name: result for result in results})
    print(report.table(about, results, verdicts, remarks))
    given = {
        name: getattr(options, name)
        for name in ("rounds", "quick", "only", "full", "limit", "threads", "store", "runs")
    }
    found = report.to_json(about, given, results, verdicts, remarks)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    _say(f"wrote {options.out}")
    return int(options.check and any(verdict.verdict == limits.MISSED for verdict in verdicts))


def _recorded(workers: Workers) -> list[str]:
    """What the workers' stores hold, for who doubts that the timed work was done."""
    lines = []
    for name, found in workers.ends().items():
        if name != variants.BARE.name:
            told = found.get("error") or f"{found['runs']} runs and {found['models']} models of {found['fits']} fits"
            lines.append(f"{name} recorded: {told}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time scikit-learn alone, with autotrack and with MLflow's autolog, round by round in turn.",
    )
    names = [measure.name for measure in measures.ALL]
    parser.add_argument("--only", metavar="NAME", action="append", choices=names, help="this one (may be repeated)")
    parser.add_argument("--list", action="store_true", help="name what can be measured")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="rounds of everything, instead of its own number")
    parser.add_argument("--quick", action="store_true", help="two rounds of everything: does it work at all?")
    parser.add_argument("--full", action="store_true", help="also what takes MLflow minutes")
    parser.add_argument("--no-mlflow", action="store_true", help="leave MLflow out")
    parser.add_argument("--limit", type=float, default=600.0, metavar="SECONDS", help="for one fit or one process")
    # With more, the threads of one variant go on spinning for a while and take a core from the next.
    parser.add_argument(
        "--threads", type=_positive, default=1, metavar="N", help="of linear algebra and OpenMP (default: 1)"
    )
    parser.add_argument(
        "--store",
        metavar="STORE",
        action="append",
        help="for stores: local, sqlite, postgresql, mlflow, or the URI of an empty store (may be repeated)",
    )
    parser.add_argument("--runs", type=_positive, metavar="N", help="for stores: so many runs in each")
    parser.add_argument("--out", type=Path, default=Path("bench-results.json"), metavar="FILE", help="for the JSON")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a limit is missed")
    return parser


def _positive(text: str) -> int:
    number: Any = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected a whole number from 1 up")
    return int(number)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
