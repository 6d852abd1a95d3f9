"""What our server and MLflow's are expected to answer to a body, and how that reads as a table.

``python tests/serving/peer_outcomes.py`` prints the table of differences for the documentation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What both are expected to answer.

    Parameters
    ----------
    mlflow, ours : HTTP statuses.
    code : of our error.
    columns : that our error names.
    equals : name of another body, whose answer by MLflow is ours to this one; empty for MLflow's to this one.
    reason : why ours is another answer than MLflow's, in a sentence; empty where it is the same, or where both refuse.
    says : words that stand in our error's message.
    """

    mlflow: int
    ours: int
    code: str = ""
    columns: tuple[str, ...] = ()
    equals: str = ""
    reason: str = ""
    says: str = ""

    @property
    def kind(self) -> str:
        """In a word or two."""
        if self.mlflow == self.ours == 200:
            return "another answer" if self.equals else "the same answer"
        if self.mlflow == 200:
            return "stricter"
        if self.ours == 200:
            return "wider"
        return "a better status" if self.mlflow != self.ours else "refused by both"


def same() -> Outcome:
    """Both answer, and say the same."""
    return Outcome(200, 200)


def refused(code: str, *columns: str, mlflow: int = 400, ours: int = 400, says: str = "", reason: str = "") -> Outcome:
    """Neither answers."""
    return Outcome(mlflow, ours, code, columns, says=says, reason=reason)


def wider(equals: str, reason: str, mlflow: int = 400) -> Outcome:
    """We answer what MLflow refuses."""
    return Outcome(mlflow, 200, equals=equals, reason=reason)


def stricter(code: str, *columns: str, reason: str, says: str = "", ours: int = 400) -> Outcome:
    """We refuse what MLflow answers."""
    return Outcome(200, ours, code, columns, reason=reason, says=says)


def differs(equals: str, reason: str) -> Outcome:
    """Both answer, each something else."""
    return Outcome(200, 200, equals=equals, reason=reason)


def problems(name: str, expected: Outcome, theirs: Any, ours: Any, others: Mapping[str, Any]) -> Iterable[str]:
    """In what the servers' replies are not what is expected; ``others`` are MLflow's replies to all bodies."""
    if theirs.status != expected.mlflow:
        yield f"{name}: MLflow answers {theirs.status}, not {expected.mlflow}: {theirs.body[:300]!r}"
    if ours.status != expected.ours:
        yield f"{name}: autotrack answers {ours.status}, not {expected.ours}: {ours.body[:300]!r}"
        return
    if ours.content_type.partition(";")[0] != "application/json":
        yield f"{name}: autotrack answers with {ours.content_type}"
        return
    if ours.status == 200:
        reference = others[expected.equals] if expected.equals else theirs
        wanted, got = predictions(reference.body), predictions(ours.body)
        if not close(wanted, got):
            yield f"{name}: autotrack says {got}, not {wanted}"
        if expected.equals and theirs.status == 200 and close(got, predictions(theirs.body)):
            yield f"{name}: both say the same now"
        return
    told = json.loads(ours.body)
    error = told["error"]
    found = (error["code"], tuple(error["columns"]))
    if found != (expected.code, expected.columns):
        yield f"{name}: autotrack's error is {found}, not {(expected.code, expected.columns)}: {told['message']}"
    # How many values a row has to have is said as a number.
    for word in (expected.says, *(expected.columns if expected.code != "wrong_length" else ())):
        if word not in told["message"]:
            yield f"{name}: autotrack's error does not say {word!r}: {told['message']}"
    if "Traceback" in told["message"] or 'File "' in told["message"]:
        yield f"{name}: autotrack's error is a traceback"


def predictions(body: bytes) -> Any:
    """Of an answer in JSON; what is no answer equals nothing."""
    try:
        return json.loads(body)["predictions"]
    except (ValueError, KeyError):
        return math.nan


def close(first: Any, second: Any) -> bool:
    """Whether two answers are equal but for the last bits of a number, which hang on how rows lie in memory."""
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(close, first, second))
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=1e-9)
    return type(first) is type(second) and bool(first == second)


def markdown(tables: Mapping[str, Mapping[str, Outcome]]) -> str:
    """The differences as a table, and how many bodies there are of each kind."""
    lines = ["| model | body | MLflow | autotrack | why |", "|---|---|---|---|---|"]
    counts: dict[str, int] = {}
    for model, outcomes in tables.items():
        for name, outcome in outcomes.items():
            counts[outcome.kind] = counts.get(outcome.kind, 0) + 1
            if outcome.reason:
                ours = "answers" if outcome.ours == 200 else f"{outcome.ours} `{outcome.code}`"
                theirs = "answers" if outcome.mlflow == 200 else str(outcome.mlflow)
                lines.append(f"| {model} | {name} | {theirs} | {ours} | {outcome.reason} |")
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items(), key=lambda item: -item[1]))
    return "\n".join([f"{sum(counts.values())} bodies: {told}.", "", *lines, ""])


if __name__ == "__main__":
    from peer_expected import TABLES

    print(markdown(TABLES), end="")
