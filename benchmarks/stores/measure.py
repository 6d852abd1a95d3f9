"""The measurement ``stores``: each store in a process of its own, one after the other."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import ROOT, Plan, Trouble, Workers, run_in
from benchmarks.results import BYTES, SECONDS, Figure, Figures
from benchmarks.stores import data
from benchmarks.stores.searches import LIMIT, SEARCHES

NAME: Final = "stores"
TITLE: Final = f"stores: taking in events, and finding the first {LIMIT} runs"
DEFAULT: Final = (
    *(("local", 100_000), ("sqlite", 100_000), ("postgresql", 100_000)),
    *(("local", 20_000), ("mlflow", 20_000)),
)
"""The stores that are measured unless others are asked for, with how many runs each."""
_RUNS: Final = 100_000
_QUICK_RUNS: Final = 1000
_ROUNDS: Final = 7
FOLD: Final = "fold journals, per event"
APPLY: Final = "apply, per event"


def measure(plan: Plan, workers: Workers) -> Figures:
    """Load each store with the same runs and ask it the same questions."""
    result = Figures(NAME, TITLE)
    for store, usual in [(store, _RUNS) for store in plan.stores] or DEFAULT:
        scheme = store.partition(":")[0].partition("+")[0]
        if scheme == "mlflow" and (importlib.util.find_spec("mlflow") is None or plan.without_mlflow):
            continue
        n_runs = plan.runs or (_QUICK_RUNS if plan.quick else usual)
        label = f"{scheme}, {n_runs:,} runs"
        plan.say(f"{NAME}: {label}")
        try:
            with _place(store) as uri, tempfile.TemporaryDirectory(dir=plan.folder) as folder:
                arguments = ["-m", "benchmarks.children.stores", uri, str(n_runs), str(plan.rounds_of(_ROUNDS))]
                _, printed = run_in(plan, Path(folder), arguments)
        except Trouble as trouble:
            result.errors[label] = str(trouble)
        else:
            result.figures += _figures(label, n_runs, json.loads(printed))
    result.notes += [
        f"A run has 11 events, 10 params, 10 metrics, 4 tags, a dataset, a model, 2 artifacts; {data.RUNS_PER_JOURNAL} "
        "runs share a journal.",
        "The local folder's journals are folded into a new index. apply is given one journal's events at a time.",
        "MLflow's runs were inserted into its tables in bulk; apply is its API (create_run, log_batch, "
        "update_run_info), with 200 runs, per event of ours.",
    ]
    return result


@contextmanager
def _place(store: str) -> Iterator[str]:
    """The URI to measure: ``sqlite`` and ``postgresql`` alone stand for a database made for this."""
    if store == "sqlite":
        yield "sqlite:///runs.db"
    elif store == "postgresql":
        with postgres_server() as server:
            yield server.create("benchmark")
    else:
        yield store


@contextmanager
def postgres_server() -> Iterator[Any]:
    """A PostgreSQL server of our own, as the tests have; ``create(name)`` makes a database and gives its URI."""
    sys.path.append(str(ROOT / "tests"))
    try:
        import pytest
        import services
    except ImportError as error:
        raise Trouble(f"a PostgreSQL server is started as the tests do: {error}") from error
    finally:
        sys.path.remove(str(ROOT / "tests"))
    with ExitStack() as stack:
        try:
            server = stack.enter_context(services.postgres_server())
        except (pytest.skip.Exception, RuntimeError, OSError, subprocess.SubprocessError) as error:
            raise Trouble(str(error)) from error
        yield server


def _figures(label: str, n_runs: int, found: dict[str, Any]) -> Iterator[Figure]:
    for name, key in ((FOLD, "fold"), (APPLY, "apply")):
        if key in found:
            yield Figure(label, n_runs, name, SECONDS, found[key])
    for search in SEARCHES:
        if search.name in found["searches"]:
            rows = found["found"][search.name]
            samples = found["searches"][search.name]
            yield Figure(label, n_runs, search.name, SECONDS, samples, rows, is_limited=search.is_limited)
    for name, samples in found["other"].items():
        yield Figure(label, n_runs, name, SECONDS, samples)
    if "bytes" in found:
        yield Figure(label, n_runs, "index on disk", BYTES, [found["bytes"]])
    yield Figure(label, n_runs, "peak memory of the process", BYTES, [found["peak_bytes"]])
