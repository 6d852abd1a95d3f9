"""Why something that MLflow records is not the same in autotrack: the only reasons that are accepted.

A reason applies only where what it says can be seen in the two records; anything else is unexplained.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from benchmarks.side_by_side.records import Record

_TIME: Final = re.compile(r"(mean|std)_(fit|score)_time")
_ADDRESS: Final = re.compile(r"\b0x[0-9a-f]+\b")
_NUMBER: Final = re.compile(r"-(\d+)(?=_)")
_MLFLOW_LONGEST_PARAM: Final = 6000


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that MLflow recorded and that autotrack recorded otherwise, or not.

    Parameters
    ----------
    kind : ``"run"``, ``"status"``, ``"param"``, ``"metric"``, ``"tag"``, ``"artifact"``, ``"call"`` (a line of
        ``metric_info.json``), ``"column"`` (of ``cv_results.csv``), ``"dataset"`` or ``"model"``.
    key : its name.
    value, our_value : what MLflow and autotrack recorded; the second is ``None`` where there is nothing.
    theirs, ours : the two runs; the second is ``None`` where there is none.
    """

    kind: str
    key: str
    value: Any
    our_value: Any
    theirs: Record
    ours: Record | None


class Reason(NamedTuple):
    """``name`` in one word, what the table says about it, and whether it explains a difference."""

    name: str
    text: str
    explains: Callable[[Difference], bool]


def _is_bookkeeping(found: Difference) -> bool:
    return found.kind == "tag" and found.key.startswith("mlflow.")


def _is_measured_time(found: Difference) -> bool:
    return found.kind in ("metric", "column") and bool(_TIME.fullmatch(found.key)) and found.our_value is not None


def _is_cut(found: Difference) -> bool:
    return (
        found.kind == "param"
        and len(found.value) == _MLFLOW_LONGEST_PARAM
        and found.value.endswith("...")
        and str(found.our_value).startswith(found.value[:-3])
    )


def _is_address(found: Difference) -> bool:
    if found.kind not in ("param", "call", "column") or found.our_value is None:
        return False
    theirs, ours = (_ADDRESS.sub("0x", str(value)) for value in (found.value, found.our_value))
    return theirs == ours


def _is_plot_as_data(found: Difference) -> bool:
    if found.kind != "artifact" or not found.key.endswith(".png") or found.ours is None:
        return False
    name = found.key.removesuffix(".png")
    return bool({name, name.removeprefix("training_")} & found.ours.plots)


def _is_diagram(found: Difference) -> bool:
    if found.key != "estimator.html" or found.ours is None:
        return False
    return "model" in found.ours.models


def _is_numbered_otherwise(found: Difference) -> bool:
    """The same result of the same metric and data stands under a higher number."""
    if found.ours is None or found.kind not in ("metric", "call"):
        return False
    name, number = _parts(found.key)
    recorded = found.ours.metrics if found.kind == "metric" else found.ours.calls
    return any(
        _parts(key)[0] == name and _parts(key)[1] > number and value == found.value for key, value in recorded.items()
    )


def _parts(key: str) -> tuple[str, int]:
    """``f1_score-2_test`` → ``f1_score_test``, 2."""
    match = _NUMBER.search(key)
    return (key, 1) if match is None else (key[: match.start()] + key[match.end() :], int(match.group(1)))


KNOWN: Final = (
    Reason(
        "bookkeeping",
        "`mlflow.*` tags are MLflow's own bookkeeping: user, script, kind of autologging, parent, a random name. "
        "autotrack keeps script, git, packages and machine in `run.environment`, the parent in `run.parent_run_id`, "
        "and names a run after what was fitted.",
        _is_bookkeeping,
    ),
    Reason(
        "time",
        "A time that the search measured: recorded by both, of two processes.",
        _is_measured_time,
    ),
    Reason(
        "address",
        "The printed form of an object holds its address in memory, which is another one in each process; all else in "
        "it is the same.",
        _is_address,
    ),
    Reason(
        "cut",
        "MLflow cuts params at 6,000 characters; autotrack keeps the whole value.",
        _is_cut,
    ),
    Reason(
        "plot",
        "MLflow draws a PNG while `fit` waits; autotrack keeps the plot's data in `plots/training.json` and draws it "
        "when asked: `run.plot(name)`, `autotrack plot`.",
        _is_plot_as_data,
    ),
    Reason(
        "diagram",
        "scikit-learn's HTML diagram of the estimator (some 20 kB of style sheet a run in MLflow). autotrack keeps the "
        "fitted model, which draws the same diagram when it is shown: `run.model()` in a notebook.",
        _is_diagram,
    ),
    Reason(
        "number",
        "The same value of the same call stands under a higher number, because autotrack also recorded an earlier "
        "call of that metric which MLflow missed (a sliced or copied prediction, a scorer).",
        _is_numbered_otherwise,
    ),
)


def explain(found: Difference) -> Reason | None:
    """The first reason that explains a difference; ``None`` where none does."""
    return next((reason for reason in KNOWN if reason.explains(found)), None)
