"""What is asked of both servers."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.load import PLACE
from benchmarks.stores import data
from benchmarks.stores.searches import LIMIT, SEARCHES

_TIME: Final = 1_700_000_000_000


def whole_run() -> dict[str, Any]:
    """A ``runs/log-batch`` with all that a fit has: 24 params, 16 metrics and a curve of 50 points, 8 tags."""
    metrics = [
        {"key": f"{kind}_{name}", "value": 0.5 + number / 100, "timestamp": _TIME + number, "step": 0}
        for kind in ("training", "test")
        for number, name in enumerate(
            ("score", "accuracy", "precision", "recall", "f1_score", "log_loss", "roc_auc", "brier_score")
        )
    ]
    metrics += [{"key": "loss", "value": 1 / (step + 1), "timestamp": _TIME + step, "step": step} for step in range(50)]
    return {
        "run_id": PLACE.ljust(32, "_"),
        "metrics": metrics,
        "params": [{"key": f"param_{number}", "value": f"{number * 0.37:.5f}"} for number in range(24)],
        "tags": [{"key": f"tag_{number}", "value": f"value {number}"} for number in range(8)],
    }


def searches(experiments: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The bodies of ``runs/search``, by name: those of `benchmarks.stores.searches` that MLflow understands."""
    bodies: dict[str, dict[str, Any]] = {}
    for search in SEARCHES:
        if search.in_mlflow:
            names = list(data.EXPERIMENTS) if search.experiment is None else [search.experiment]
            body: dict[str, Any] = {"experiment_ids": [experiments[name] for name in names], "max_results": LIMIT}
            if search.filter:
                body["filter"] = search.filter
            if search.order_by:
                body["order_by"] = list(search.order_by)
            bodies[search.name] = body
    return bodies


TABLES: Final = {
    "newest first": "/runs",
    "newest first, JSON": "/runs.json",
    "by a metric": "/runs?order_by=metrics.training_score+DESC",
    "filtered, by a metric": "/runs?filter=metrics.training_score+%3E+0.5&order_by=metrics.training_log_loss",
    "one experiment": "/experiments/EXPERIMENT",
}
"""Addresses of the runs table, by name."""
