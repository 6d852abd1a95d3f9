"""``python -m benchmarks.soak``: kill, restart and crowd at length, and tell what the stores hold.

The servers are those of the tests: PostgreSQL, and MLflow where it is asked for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.soak import meanwhile, trials
from benchmarks.soak.trials import ROOT, Trial
from benchmarks.soak.verdict import Verdict

FITS_OF_A_CROWD: Final = 20
"""Of the runs of a crowd every so-maniest is a fit."""

_TRIALS: Final = (
    "kills-local",
    "kills-postgresql",
    "kills-restarts",
    "crowd-local",
    "crowd-postgresql",
    "crowd-sqlite",
    "fleet",
    "kills-mlflow",
    "fleet-mlflow",
)
_WITHOUT_MLFLOW: Final = tuple(name for name in _TRIALS if not name.endswith("mlflow"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trials; 1 where a store does not hold what it must."""
    options = _parser().parse_args(argv)
    chosen = options.only or (_TRIALS if options.mlflow else _WITHOUT_MLFLOW)
    faults = 0
    with tempfile.TemporaryDirectory(prefix="autotrack-soak-") as place:
        for name in chosen:
            folder = Path(place) / name
            folder.mkdir()
            began, done, more = time.monotonic(), Counter[str](), list[str]()
            found, trial = _one(name, folder, options, done, more)
            found.faults += more
            faults += len(found.faults)
            _print(name, time.monotonic() - began, trial, found, done)
    return int(faults > 0)


def _one(
    name: str, folder: Path, options: argparse.Namespace, done: Counter[str], faults: list[str]
) -> tuple[Verdict, Trial]:
    what, _, where = name.partition("-")
    with _store(where or "restarts", folder) as (store, server):
        is_disturbed = what != "crowd" and where != "local"
        trial = Trial(folder, store, is_disturbed)
        if what == "crowd":
            return trials.crowd(trial, 8, options.runs, FITS_OF_A_CROWD), trial
        if what == "fleet":
            work = meanwhile.restarts(server, (8.0, 4.0), 2.0, done)
            return trials.fleet(trial, options.fleet, 40, 5, options.fleet // 4, 0.2, options.seed, work), trial
        work = {
            "local": meanwhile.is_read_and_swept(folder / "store", 1, faults, done),
            "postgresql": meanwhile.shippers_die(trial.spools, options.seed, done),
        }.get(where) or meanwhile.restarts(server, [1.0, 3.0, 7.0, 2.0, 5.0] * 100, 1.0, done)
        return trials.kills(trial, options.kills, options.seed, 3600.0, work), trial


@contextmanager
def _store(where: str, folder: Path) -> Iterator[tuple[str, Any]]:
    """The URI of an empty store, and its server."""
    if where in ("local", "sqlite"):
        yield {"local": str(folder / "store"), "sqlite": f"sqlite:///{folder}/runs.db"}[where], None
        return
    services = _services()
    if where == "mlflow":
        with services.mlflow_tracking_server() as server:
            yield server.url, server
    else:
        with services.postgres_server() as server:
            yield server.create("soak"), server


def _services() -> Any:
    sys.path.append(str(ROOT / "tests"))
    try:
        import services
    finally:
        sys.path.remove(str(ROOT / "tests"))
    return services


def _print(name: str, seconds: float, trial: Trial, found: Verdict, done: Counter[str]) -> None:
    parts = ", ".join(f"{part} {spent:.1f} s" for part, spent in trial.seconds.items())
    print(f"{name}: {found.line()}")
    print(f"    {seconds:.1f} s in all: {parts}" + "".join(f"; {count} {what}" for what, count in done.items()))
    for line in [*found.faults[:50], *found.notes[:5]]:
        print(f"    {line}")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=300, metavar="N", help="moments, for each store (default: 300)")
    parser.add_argument("--runs", type=int, default=500, metavar="N", help="of each process of a crowd (default: 500)")
    parser.add_argument("--fleet", type=int, default=20, metavar="N", help="processes of a fleet (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="from which moments are drawn (default: 0)")
    parser.add_argument("--mlflow", action="store_true", help="also with MLflow's tracking server")
    parser.add_argument("--only", action="append", choices=_TRIALS, metavar="TRIAL", help=", ".join(_TRIALS))
    return parser


if __name__ == "__main__":
    sys.exit(main())
