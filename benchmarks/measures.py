"""What is measured, each a function from a plan to a `Result`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

from benchmarks import models, shipping, variants
from benchmarks.cases import MEMORY, TIMED, Case
from benchmarks.harness import ROOT, Plan, Workers, run, take_turns
from benchmarks.results import BYTES, SECONDS, Figures, Result, Round
from benchmarks.stores import measure as stores
from benchmarks.variants import Variant

WARM_UP: Final = "first_seconds"
SERIES: Final = 500
_EDGE: Final = 50
_MLFLOW_SERIES: Final = {True: 10, False: 50}
_DEMO: Final = ROOT / "examples" / "train_diabetes.py"


@dataclass(frozen=True, slots=True)
class Measure:
    """A named measurement."""

    name: str
    title: str
    measure: Callable[[Plan, Workers], Result | Figures]


def time_fits(case: Case, plan: Plan, workers: Workers) -> Result:
    """The time that the caller of ``fit`` waits, in processes that have fitted before."""
    result = Result(case.name, case.title, SECONDS)
    first: dict[str, float] = {}

    def once(variant: Variant) -> Round:
        if variant.name not in first:
            first[variant.name] = workers.ask(variant, case.name)[SECONDS]
        return {**workers.ask(variant, case.name), WARM_UP: first[variant.name]}

    joining: tuple[Variant, ...] = variants.ALL
    if case.slow_in_mlflow and not plan.full and variants.MLFLOW in plan.variants:
        joining = tuple(variant for variant in variants.ALL if variant.library != "mlflow")
        result.notes.append("MLflow takes minutes here and is left out; --full measures it")
    return take_turns(plan, result, joining, plan.rounds_of(case.rounds), _mlflow(plan, case.mlflow_rounds), once)


def start_up(plan: Plan, workers: Workers) -> Result:
    """A whole process that imports scikit-learn's linear models and nothing else, with the user's line and without."""
    result = Result("start-up", "python -c 'import sklearn.linear_model'", SECONDS)

    def once(variant: Variant) -> Round:
        code = "; ".join(part for part in (variant.switch_on_code, "import sklearn.linear_model") if part)
        return {SECONDS: run(plan, variant, ["-c", code])[0]}

    return _warm(plan, result, 21, 5, once)


def demo(plan: Plan, workers: Workers) -> Result:
    """The example script as a whole process, with its two lines about logging and without."""
    result = Result("demo", "examples/train_diabetes.py", SECONDS)
    source = _DEMO.read_text(encoding="utf-8")
    scripts = {variants.AUTOTRACK.name: str(_DEMO)}
    others = {
        variants.BARE: without_autotrack(source),
        variants.MLFLOW: source.replace("import autotrack", "import mlflow").replace("autotrack.", "mlflow.sklearn."),
    }
    for variant, text in others.items():
        path = plan.folder_of(variant) / _DEMO.name
        path.write_text(text, encoding="utf-8")
        scripts[variant.name] = str(path)

    def once(variant: Variant) -> Round:
        return {SECONDS: run(plan, variant, [scripts[variant.name], "0.05", "0.05"])[0]}

    return _warm(plan, result, 15, 3, once)


def without_autotrack(source: str) -> str:
    """A script without its lines ``import autotrack`` and ``autotrack.autolog()``."""
    lines = source.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("import autotrack", "autotrack.")))


def peak_memory(case: Case, plan: Plan, workers: Workers) -> Result:
    """The most memory that a process held which builds the data and fits once."""
    result = Result(case.name, case.title, BYTES)

    def once(variant: Variant) -> Round:
        _, printed = run(plan, variant, ["-m", "benchmarks.children.peak", variant.name, case.name])
        return {BYTES: float(json.loads(printed)["bytes"])}

    rounds = plan.rounds_of(case.rounds)
    return take_turns(plan, result, variants.WITH_MODEL, rounds, _mlflow(plan, case.mlflow_rounds), once)


def series(plan: Plan, workers: Workers) -> Result:
    """Many small fits in one process, timed whole. MLflow does fewer; what all would take is worked out."""
    n = 4 * _EDGE if plan.quick else SERIES
    result = Result("series", f"{n} small fits in a row (LogisticRegression, iris), whole process", SECONDS)

    def once(variant: Variant) -> Round:
        fits = min(n, _MLFLOW_SERIES[variant.model]) if variant.library == "mlflow" else n
        whole, printed = run(plan, variant, ["-m", "benchmarks.children.series", variant.name, str(fits)])
        seconds = json.loads(printed)["seconds"]
        if fits < n:
            # Start, end and first fit as they were; each further fit as the middle one.
            return {SECONDS: whole + (n - fits) * median(seconds[1:]), "fits": fits}
        first, last = median(seconds[:_EDGE]), median(seconds[-_EDGE:])
        return {SECONDS: whole, "fits": n, "drift": last / first}

    take_turns(plan, result, variants.ALL, plan.rounds_of(5), 1, once)
    if variants.MLFLOW in plan.variants:
        told = f"{_MLFLOW_SERIES[True]} fits with model and {_MLFLOW_SERIES[False]} without"
        result.notes.append(f"MLflow did {told}; what {n} would take is worked out from these")
    return result


def _warm(plan: Plan, result: Result, rounds: int, mlflow_rounds: int, once: Callable[[Variant], Round]) -> Result:
    """Take turns after a round that does not count, in which files are read and byte code is written."""
    take_turns(plan, Result(f"{result.name} (warm-up)", "", result.unit), variants.WITH_MODEL, 1, 1, once)
    return take_turns(plan, result, variants.WITH_MODEL, plan.rounds_of(rounds), _mlflow(plan, mlflow_rounds), once)


def _mlflow(plan: Plan, rounds: int) -> int:
    return 1 if plan.quick else min(rounds, plan.rounds or rounds)


ALL: Final = (
    *(Measure(case.name, case.title, partial(time_fits, case)) for case in TIMED),
    Measure("start-up", "python -c 'import sklearn.linear_model'", start_up),
    *(Measure(case.name, f"{case.title}, peak memory", partial(peak_memory, case)) for case in MEMORY),
    Measure("demo", "examples/train_diabetes.py, whole process", demo),
    Measure("series", f"{SERIES} small fits in a row, whole process", series),
    Measure(models.NAME, models.TITLE, models.forest),
    Measure(models.SMALL, models.SMALL_TITLE, models.small),
    Measure(stores.NAME, stores.TITLE, stores.measure),
    Measure(shipping.NAME, shipping.TITLE, shipping.measure),
)
