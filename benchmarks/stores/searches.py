"""What is asked of a store that holds the runs of `benchmarks.stores.data`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.stores import data

LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class Search:
    """One call of ``search_runs`` with a limit of `LIMIT`.

    Parameters
    ----------
    name : for people.
    filter, order_by, experiment : as they are passed.
    share : of the active runs that the filter finds, about; ``None`` for a fixed few.
    in_mlflow : whether MLflow can be asked the same.
    is_limited : whether the limit on searches is about it: a filter on one metric, sorted by another.
    """

    name: str
    filter: str | None
    order_by: tuple[str, ...] = ()
    experiment: str | None = None
    share: float | None = 1.0
    in_mlflow: bool = True
    is_limited: bool = False


_BY: Final = ("metrics.training_log_loss",)
SEARCHES: Final = (
    Search("newest first", None),
    Search("every run, by metric", None, _BY),
    Search("metric, 1 run in 2, by metric", "metrics.training_score > 0.5", _BY, share=0.5, is_limited=True),
    Search("metric, 1 in 100, by metric", "metrics.training_score > 0.99", _BY, share=0.01, is_limited=True),
    Search("metric, 1 in 10,000, by metric", "metrics.training_score > 0.9999", _BY, share=0.0001, is_limited=True),
    Search("metric, none, by metric", "metrics.training_score > 2", _BY, share=0.0, is_limited=True),
    Search("metric, 1 in 100, newest first", "metrics.training_score > 0.99", share=0.01),
    Search("param = text, 1 in 6, by metric", "params.solver = 'saga'", ("metrics.n_iter DESC",), share=1 / 6),
    Search("param < number, 1 in 1,000, by metric", "params.C < 0.01", _BY, share=0.001, in_mlflow=False),
    Search(
        "metric and param, by param", "metrics.n_iter > 0.9 and params.solver = 'sag'", ("params.C DESC",), share=1 / 60
    ),
    Search("tag LIKE, 1 in 9, by metric", "tags.team LIKE 'team-1%'", _BY, share=0.11),
    Search("tag LIKE, none, newest first", "tags.team LIKE 'nobody%'", share=0.0),
    Search("status, 1 in 50, by metric", "attributes.status = 'FAILED'", _BY, share=0.02),
    Search("one experiment, 1 in 10, by metric", "metrics.training_score > 0.5", _BY, "churn", share=0.1),
    Search(
        "or and not, by metric",
        "not metrics.training_score < 0.9 or params.max_iter = '200'",
        _BY,
        share=0.19,
        in_mlflow=False,
    ),
    Search("two orders", "metrics.training_score > 0.5", ("params.solver", "metrics.n_iter DESC"), share=0.5),
    Search("children of a run", f"parent_run_id = '{data.run_id(20)}'", share=None, in_mlflow=False),
)
