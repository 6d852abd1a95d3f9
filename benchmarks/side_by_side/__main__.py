"""``python -m benchmarks.side_by_side``: run the scripts, compare, exit with 1 on an unexplained difference."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.side_by_side import report
from benchmarks.side_by_side.comparing import Comparison, compare
from benchmarks.side_by_side.reading import read_autotrack, read_mlflow
from benchmarks.side_by_side.records import Record
from benchmarks.side_by_side.running import ALONE, AUTOTRACK, MLFLOW, VARIANTS, Ran, ScriptFailed, Stores, run, scripts


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    if options.list:
        for script in scripts():
            print(f"{script.stem:22} {script.read_text(encoding='utf-8').splitlines()[0].strip(chr(34))}")
        return 0
    if importlib.util.find_spec("mlflow") is None:
        print("MLflow is not installed: pip install 'autotrack[mlflow]'", file=sys.stderr)
        return 2
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    chosen = [script for script in scripts() if script.stem in options.only or not (options.only or options.script)]
    chosen += options.script
    # MLflow's processes may still be writing when they are stopped.
    with tempfile.TemporaryDirectory(prefix="autotrack-side-by-side-", ignore_cleanup_errors=True) as folder:
        results = [side_by_side(script, Stores(Path(folder)), options.threads) for script in chosen]
    print(report.console(results))
    if options.write is not None:
        report.write(options.write, report.markdown(results, options.threads))
        print(f"wrote {options.write}", file=sys.stderr)
    return int(not all(result.is_fine for result in results))


def side_by_side(script: Path, stores: Stores, threads: int = 1) -> report.Result:
    """Run one script alone, under autotrack and under MLflow, and compare what they recorded."""
    stores.prepare(script.stem)
    ran: dict[str, Ran] = {}
    troubles: list[str] = []
    for variant in VARIANTS:
        print(f"{script.stem}: {variant}", file=sys.stderr, flush=True)
        try:
            ran[variant] = run(script, variant, stores, threads)
        except ScriptFailed as failed:
            troubles.append(str(failed))
    troubles += [
        f"printed something else under {variant}"
        for variant in (AUTOTRACK, MLFLOW)
        if variant in ran and ALONE in ran and ran[variant].printed != ran[ALONE].printed
    ]
    theirs: list[Record] = []
    ours: list[Record] = []
    if MLFLOW in ran:
        theirs = read_mlflow(stores.mlflow, script.stem)
    if AUTOTRACK in ran:
        ours = read_autotrack(stores.autotrack, script.stem)
    comparison = compare(theirs, ours) if {MLFLOW, AUTOTRACK} <= ran.keys() else Comparison((), {})
    return report.Result(
        name=script.stem,
        runs=(_count(theirs), _count(ours)),
        seconds={variant: found.seconds for variant, found in ran.items()},
        comparison=comparison,
        troubles=tuple(troubles),
    )


def _count(records: Sequence[Record]) -> int:
    return sum(1 for top in records for _ in top.walk())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.side_by_side",
        description="Run everyday scripts under MLflow's autolog and under autotrack and compare what was recorded.",
    )
    names = [script.stem for script in scripts()]
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=names, default=[], help="this one (may be repeated)"
    )
    parser.add_argument("--script", metavar="FILE", action="append", type=Path, default=[], help="one of yours")
    parser.add_argument("--list", action="store_true", help="name the scripts")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of linear algebra and OpenMP (default: 1)")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the tables into this document, between its marks"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
