"""The runs that stores are measured with: the same ones each time, as many as are asked for.

Each run has the entries that a fit with its model writes, 11 of them: start, 2 tags and 2 more, 10 params, one
dataset of 4 columns, 10 metrics in three entries, the model, end, 2 artifacts. One run in 100 is deleted by one
more. ``RUNS_PER_JOURNAL`` runs share a journal, which begins with two entries about the process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from autotrack.entities import DELETED, FAILED, FINISHED, Artifact, Dataset, LoggedModel, Metric
from autotrack.events import (
    FORMAT_VERSION,
    ArtifactLogged,
    DatasetLogged,
    Entry,
    Event,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsSet,
)
from autotrack.journal import JOURNALS, SUFFIX, Header, event_line, header_line
from autotrack.owners import Identity

RUNS_PER_JOURNAL: Final = 100
FAMILY: Final = 20
"""Of so many runs in a row, the first is the parent of the five behind it."""
METRICS: Final = (
    *("fit_seconds", "n_iter", "training_score", "training_log_loss", "training_roc_auc", "training_f1_score"),
    *("training_precision_score", "training_recall_score", "training_accuracy_score", "accuracy_score_test_x"),
)
"""Each is spread evenly over 0 to 1, and independent of the others."""
SOLVERS: Final = ("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga")
EXPERIMENTS: Final = ("Default", "churn", "credit", "demand", "fraud")
_START: Final = 1_700_000_000_000


def run_id(number: int) -> str:
    """The id of a run, counted from 0."""
    return hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).hexdigest()


def is_deleted(number: int) -> bool:
    """Whether the run is deleted in the end."""
    return number % 100 == 99


def journals(n_runs: int) -> Iterator[list[Entry]]:
    """The entries of each journal."""
    for start in range(0, n_runs, RUNS_PER_JOURNAL):
        yield journal(start, min(n_runs, start + RUNS_PER_JOURNAL))


def journal_id(start: int) -> str:
    """The id of the journal whose first run this is."""
    return f"20260101T000000-{start:012x}"


def journal(start: int, stop: int) -> list[Entry]:
    """The entries of one journal, with the runs from ``start`` up to ``stop``."""
    process = run_id(start)[::-1]
    events: list[Event] = [
        ProcessDescribed(process, {"script": "/home/me/project/train.py", "user": f"user{start % 7}", "pid": start}),
        ProcessDescribed(process, {"platform": "Linux", "packages": {f"package-{i}": f"{i}.2.0" for i in range(100)}}),
    ]
    values = _random(start)
    for number in range(start, stop):
        events += run(number, process, values[number - start])
    return [Entry(journal_id(start), place, event) for place, event in enumerate(events, 1)]


def run(number: int, process: str, values: list[float]) -> list[Event]:
    """The events of one run, from 20 random numbers between 0 and 1."""
    name, time = run_id(number), _START + number * 1000
    offset = number % FAMILY
    parent = run_id(number - offset) if 0 < offset <= 5 else None
    metrics = [Metric(key, value, 0, time + 500) for key, value in zip(METRICS, values)]
    digest = f"sha256:{run_id(number % 50) * 2}"
    columns = tuple({"name": f"column {i} (cm)", "dtype": "float64", "missing": 0} for i in range(4))
    events: list[Event] = [
        RunStarted(name, "LogisticRegression", time, EXPERIMENTS[int(values[10] * 5)], parent, process),
        TagsSet(
            name,
            {
                "estimator_name": "LogisticRegression",
                "estimator_class": "sklearn.linear_model._logistic.LogisticRegression",
                "team": f"team-{int(values[11] * 100)}",
                "git_commit": name,
            },
        ),
        ParamsLogged(name, _params(values)),
        DatasetLogged(name, Dataset("X", "train", "pandas.DataFrame", digest, (150, 4), columns, {"dtype": "int64"})),
        MetricsLogged(name, (metrics[0],)),
        MetricsLogged(name, (metrics[1],)),
        ModelLogged(name, LoggedModel("model", "sklearn.linear_model._logistic.LogisticRegression", "cloudpickle", 99)),
        MetricsLogged(name, tuple(metrics[2:])),
        RunEnded(name, FAILED if number % 50 == 7 else FINISHED, time + 900),
        ArtifactLogged(name, Artifact("fit_trace.json", 185, f"sha256:{name * 2}")),
        ArtifactLogged(name, Artifact("plots/training.json", 1738, f"sha256:{name[::-1] * 2}")),
    ]
    return [*events, LifecycleSet(name, DELETED, time + 950)] if is_deleted(number) else events


def write_journals(folder: Path, n_runs: int) -> int:
    """Write the runs as the journals of a folder store; how many entries these have."""
    (folder / JOURNALS).mkdir(parents=True, exist_ok=True)
    count = 0
    for entries in journals(n_runs):
        name = entries[0].journal_id
        header = Header(name, FORMAT_VERSION, _START, Identity("elsewhere", 1, "1", "1"))
        lines = [header_line(header), *(event_line(entry.number, entry.event) for entry in entries)]
        (folder / JOURNALS / (name + SUFFIX)).write_bytes(b"".join(lines))
        count += len(entries)
    return count


def _params(values: list[float]) -> dict[str, str]:
    return {
        "C": repr(values[12] * 10),
        "class_weight": "None",
        "fit_intercept": str(values[13] < 0.5),
        "l1_ratio": repr(round(values[14], 2)),
        "max_iter": str(100 * (1 + int(values[15] * 10))),
        "n_jobs": "None",
        "random_state": str(int(values[16] * 1000)),
        "solver": SOLVERS[int(values[17] * len(SOLVERS))],
        "tol": repr(values[18] / 1000),
        "warm_start": "False",
    }


def _random(start: int) -> list[list[float]]:
    import numpy as np

    found: list[list[float]] = np.random.default_rng([20260101, start]).random((RUNS_PER_JOURNAL, 20)).tolist()
    return found
