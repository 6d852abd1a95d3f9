"""What it costs to log a model, beside ``joblib.dump`` of the same estimator to the same disk.

All variants write in one process and take turns, so that the estimator, the disk and its cache are the same for each.
"""

from __future__ import annotations

import json
from typing import Final

from benchmarks import variants
from benchmarks.harness import Plan, Trouble, Workers, run_in
from benchmarks.results import SECONDS, Result

NAME: Final = "models"
SMALL: Final = "models-small"
TITLE: Final = "log a random forest of 200 MB; bare is joblib.dump of it"
SMALL_TITLE: Final = "log a small model (LogisticRegression, iris); bare is joblib.dump of it"

_TREES: Final = 110
"""Of 1.8 MB each."""


def forest(plan: Plan, workers: Workers) -> Result:
    """A forest, whose bytes are what takes the time."""
    trees = 10 if plan.quick else _TREES
    result = Result(NAME, TITLE if not plan.quick else f"{TITLE} ({trees} of {_TREES} trees)", SECONDS)
    return _measure(plan, result, trees, plan.rounds_of(9), 1)


def small(plan: Plan, workers: Workers) -> Result:
    """A model of a few hundred bytes, where everything else takes the time."""
    return _measure(plan, Result(SMALL, SMALL_TITLE, SECONDS), 0, plan.rounds_of(200), 3)


def _measure(plan: Plan, result: Result, trees: int, rounds: int, mlflow_rounds: int) -> Result:
    joining = [variant.name for variant in variants.WITH_MODEL if variant in plan.variants]
    folder = plan.folder / result.name
    folder.mkdir()
    plan.say(f"{result.name}: {rounds} rounds")
    options = json.dumps({"variants": joining, "trees": trees, "rounds": rounds, "mlflow_rounds": mlflow_rounds})
    try:
        _, printed = run_in(plan, folder, ["-m", "benchmarks.children.models", options])
    except Trouble as trouble:
        result.errors[variants.BARE.name] = str(trouble)
        return result
    found = json.loads(printed)
    for name in joining:
        result.rounds[name] = [None if value is None else {SECONDS: value} for value in found["seconds"][name]]
    result.notes.append(f"the file of joblib has {found['bytes']:,} bytes")
    return result
