"""Models that are fitted step by step, in processes that are killed: each step that had returned is there."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from sklearn.datasets import load_iris
from sklearn.linear_model import SGDClassifier

import autotrack
from autotrack.stores.local import LocalStore
from benchmarks.soak import work

KILLS = 15


def step_by_step(uri: str, label: int, report: int) -> None:
    """Fit one model for ever, telling of each step."""
    autotrack.autolog(store=uri)
    X, y = load_iris(return_X_y=True)
    model = SGDClassifier(random_state=label)
    while True:
        model.partial_fit(X, y, classes=[0, 1, 2])
        os.write(report, b".")


def killed_step_by_step(uri: str, label: int, chance: random.Random) -> int:
    """Kill that; gives the number of steps that returned."""
    steps, delay = chance.randrange(1, 6), chance.uniform(0.0, 0.02)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            step_by_step(uri, label, writing)
        finally:
            os._exit(1)
    os.close(writing)
    returned = 0
    while returned < steps:
        told = os.read(reading, 1000)
        assert told, "the loop ended by itself"
        returned += len(told)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    while told := os.read(reading, 1000):
        returned += len(told)
    os.close(reading)
    return returned


def test_each_step_that_had_returned_is_there_once(tmp_path: Path) -> None:
    chance = random.Random(5)
    folder = tmp_path / "store"
    work.warm_up()  # or each child imports all that itself
    returned = {label: killed_step_by_step(str(folder), label, chance) for label in range(1, KILLS + 1)}
    store = LocalStore(folder)
    assert [finding for finding in store.check() if not finding.is_note] == []
    runs = store.search_runs()
    by_label: dict[int, Any] = {int(run.params["random_state"]): run for run in runs}
    assert len(runs) == len(by_label) == KILLS
    for label, steps in returned.items():
        run = by_label[label]
        history = store.metric_history(run.run_id, "training_score")
        assert [point.step for point in history] == list(range(len(history)))
        assert steps <= len(history) <= steps + 1
        # The loop was not over: its model is written when it is.
        assert (run.status, run.models) == ("KILLED", ())
    store.close()
