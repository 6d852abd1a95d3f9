"""Runs whose every text was made by somebody who means harm, or by a program that went wrong."""

from __future__ import annotations

from pathlib import Path

from autotrack.entities import Artifact, Dataset, Metric, Note
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    Entry,
    Event,
    MetricsLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsSet,
)
from autotrack.plots.files import path_of, to_json
from autotrack.stores import open_store

SCRIPT = "</script><script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>\"'`{{7*7}}"
ODD = "\ud800 \u202e\x00 é 表"


def write(folder: Path, files: Path) -> list[str]:
    """Fill a store with two such runs and a search; gives the ids."""
    store = open_store(str(folder))
    ids = ["a" * 32, "b" * 32, "c" * 32]
    for number, run_id in enumerate(ids):
        name = f"{SCRIPT} {ODD}"
        dataset = Dataset(name, "train", name, name, (3, None), ({"name": name, "dtype": name},), {"name": name})
        events: list[Event] = [
            ProcessDescribed(
                f"p{number}", {"script": name, "args": [name], "packages": {SCRIPT: f"{number}"}, name: number}
            ),
            RunStarted(run_id, name, 1_700_000_000_000 + number, SCRIPT, None, f"p{number}"),
            ParamsLogged(run_id, {SCRIPT: f"{SCRIPT}{number}", "C": str(10.0**number), "kernel": ODD}),
            TagsSet(run_id, {SCRIPT: f"{SCRIPT}{number}", "estimator_name": SCRIPT}),
            MetricsLogged(
                run_id,
                (
                    *(Metric(SCRIPT, value, step) for step, value in enumerate([0.5, float("nan"), 0.25 * number])),
                    Metric("score", float("inf") if number else float("nan")),
                    Metric("f1_score", 0.5 + number / 10),
                ),
            ),
            DatasetLogged(run_id, dataset),
            NoteLogged(run_id, Note("warning", SCRIPT, name)),
            RunEnded(run_id, "FAILED" if number else "FINISHED", 1_700_000_001_000, name),
        ]
        line = {"name": SCRIPT, "x": [0, 0.5, 1], "y": [0, "NaN", 1], "auc": 0.5}
        plots = {
            f"roc_curve_{SCRIPT}": {"kind": "roc_curve", "title": SCRIPT, "subtitle": SCRIPT, "series": [line]},
            "confusion_matrix_x": {
                "kind": "confusion_matrix",
                "title": "",
                "labels": [SCRIPT, "b"],
                "counts": [[1, 2], [3, 4]],
            },
            "roc_curve_broken": {"kind": "roc_curve", "series": [{"x": None}, "no line"]},
            "confusion_matrix_broken": {"kind": "confusion_matrix", "labels": 3, "counts": [1]},
        }
        kept = {
            path_of("evaluation"): to_json(plots),
            "plots/none.json": b"{",
            "code.py": f"{SCRIPT}\n{number}".encode(),
        }
        if number == 2:
            kept["cv_results.csv"] = _table()
        store.apply([Entry(f"j{number}", place, event) for place, event in enumerate(events, 1)])
        for place, (path, content) in enumerate(kept.items(), len(events) + 1):
            (files / "content").write_bytes(content)
            store.put_artifact(run_id, path, files / "content")
            store.apply([Entry(f"j{number}", place, ArtifactLogged(run_id, Artifact(path, len(content))))])
    store.close()
    return ids


def _table() -> bytes:
    quoted = SCRIPT.replace('"', '""')
    lines = [f'param_C,"param_{quoted}",params,mean_test_score,std_test_score,rank_test_score,mean_fit_time']
    lines += [f'{c},"{quoted}{name}",{{}},0.{name}{c},0.1,{name},0.5' for c in (1, 2) for name in (3, 4)]
    return "\n".join(
        [
            *lines,
            '9,"',
        ]
    ).encode()
