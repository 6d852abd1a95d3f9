"""What a run differs in from the one before it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from autotrack.entities import FAILED, Run
from autotrack.events import number_to_json
from autotrack.query.direction import direction
from autotrack.query.view import by_interest, is_about_the_fit
from autotrack.stores.base import Store

_CONTAINERS: Final = ("steps", "transformers", "transformer_list", "estimators")
"""Params that hold other estimators, whose own params stand beside them."""
_ESTIMATOR: Final = "estimator_name"


def before(store: Store, run: Run) -> Run | None:
    """The run before: of the same experiment, of the same estimator where there is one, and none that failed.

    For a run inside another one, those inside the same.
    """
    if run.start_time is None:
        return None
    parent = "IS NULL" if run.parent_run_id is None else f"= {_quoted(run.parent_run_id)}"
    conditions = [
        f"attributes.start_time <= {run.start_time}",
        f"attributes.run_id != {_quoted(run.run_id)}",
        f"attributes.status != {_quoted(FAILED)}",
        f"attributes.parent_run_id {parent}",
    ]
    estimator = run.tags.get(_ESTIMATOR)
    alike = f"tags.{_ESTIMATOR} = {_quoted(estimator)}" if estimator else ""
    named = f"attributes.run_name = {_quoted(run.name)}"
    for more in ([alike, named], [alike], []) if alike else ([named], []):
        # Two of one millisecond have no order, so that each would be the one before the other.
        found = store.search_runs(
            " AND ".join([*conditions, *more]), ["start_time DESC"], limit=2, experiment=run.experiment
        )
        for one in found:
            if (one.start_time, one.run_id) < (run.start_time, run.run_id):
                return one
    return None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def difference(old: Run, new: Run) -> dict[str, Any]:
    """What changed from one run to another.

    Returns
    -------
    ``run``: what the old one is; ``params``, ``metrics``, ``data``, ``code``, ``packages``: lists of mappings with
    ``key``, ``old``, ``new``; those of metrics with ``change``: ``"better"``, ``"worse"``, or ``"changed"`` where the
    name does not tell. ``None`` stands for what one of them lacks. ``same`` names the kinds in which nothing changed.
    """
    told = {
        "params": _params(old.params, new.params),
        "metrics": _metrics(old, new),
        "data": _data(old, new),
        "code": _changed(_code(old), _code(new)),
        "packages": _changed(_packages(old), _packages(new)),
    }
    known = {
        "params": new.params,
        "metrics": [key for key in new.metrics if key in old.metrics and not is_about_the_fit(key)],
        "data": new.datasets,
        "code": new.process,
    }
    return {
        "run": {
            "run_id": old.run_id,
            "run_name": old.name,
            "start_time": old.start_time,
            "same_estimator": bool(old.tags.get(_ESTIMATOR)) and old.tags.get(_ESTIMATOR) == new.tags.get(_ESTIMATOR),
        },
        **told,
        "is_any": any(told.values()),
        "same": [kind for kind, there in known.items() if there and not told[kind]],
    }


def part_params(found: dict[str, Any], changed: Mapping[str, bool]) -> None:
    """Set params apart (``minor``) that say little: defaults of what the old run lacks, and what only that one has.

    Parameters
    ----------
    found : from `difference`; its ``params`` are what is left.
    changed : of the new run's params, whether each differs from its default, where that is known.
    """
    minor = []
    for row in found["params"]:
        is_new_default = row["old"] is None and changed.get(row["key"]) is False
        is_gone = row["new"] is None and not found["run"]["same_estimator"]
        if is_new_default or is_gone:
            minor.append(row)
    found["minor"] = minor
    found["params"] = [row for row in found["params"] if row not in minor]


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = dict.fromkeys([*new, *old])
    return [{"key": key, "old": old.get(key), "new": new.get(key)} for key in keys if old.get(key) != new.get(key)]


def _params(old: Mapping[str, str], new: Mapping[str, str]) -> list[dict[str, Any]]:
    found = _changed(old, new)
    keys = {row["key"] for row in found}
    inside = any("__" in key for key in keys)

    def is_told(key: str) -> bool:
        """Whether what changed in an estimator is told by its own params."""
        last = key.rpartition("__")[2]
        return (inside and last in _CONTAINERS) or any(other.startswith(f"{key}__") for other in keys)

    return [row for row in found if not is_told(row["key"])]


def _metrics(old: Run, new: Run) -> list[dict[str, Any]]:
    found = []
    for key in by_interest(set(old.metrics) & set(new.metrics)):
        was, now = old.metrics[key], new.metrics[key]
        if is_about_the_fit(key) or was == now or (math.isnan(was) and math.isnan(now)):
            continue
        way = direction(key)
        change = "changed"
        if way and not (math.isnan(was) or math.isnan(now)):
            change = "better" if (now > was) == (way > 0) else "worse"
        row = {"key": key, "old": number_to_json(was), "new": number_to_json(now), "change": change}
        found.append({**row, "is_training": key.startswith("training_"), "is_more": now > was})
    return found


def _data(old: Run, new: Run) -> list[dict[str, Any]]:
    def told(run: Run) -> dict[str, str]:
        return {f"{data.name or 'unnamed'} ({data.context})": data.digest for data in run.datasets}

    return _changed(told(old), told(new))


def _code(run: Run) -> dict[str, Any]:
    git = run.process.get("git")
    told = {key: run.process.get(key) for key in ("script", "python")}
    arguments = run.process.get("args")
    told["arguments"] = " ".join(map(str, arguments)) if isinstance(arguments, (list, tuple)) else None
    if isinstance(git, Mapping):
        told["commit"] = f"{git.get('commit')}{' and changes' if git.get('dirty') else ''}"
    return told


def _packages(run: Run) -> dict[str, Any]:
    known = run.process.get("packages")
    return dict(known) if isinstance(known, Mapping) else {}
