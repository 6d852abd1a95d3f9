"""Loops of fits that are killed at random moments: what had returned is there, whole, once, and every status is right.

``python -m benchmarks.soak`` does the same three hundred times.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from services import postgres_server

from benchmarks.soak import meanwhile, trials
from benchmarks.soak.trials import Trial
from benchmarks.soak.verdict import Verdict

SECONDS = 7.0
MOST = 100


def holds(found: Verdict) -> None:
    """Nothing is wrong, and that was put to a test."""
    assert found.faults == []
    assert found.kills >= 5
    assert found.returned > found.kills / 2
    assert found.runs >= found.returned
    assert found.models >= found.returned
    assert found.killed > 0


def test_a_folder_that_is_read_and_swept_meanwhile(tmp_path: Path) -> None:
    trial, faults, done = Trial(tmp_path, str(tmp_path / "store")), list[str](), Counter[str]()
    work = meanwhile.is_read_and_swept(tmp_path / "store", 1, faults, done)
    found = trials.kills(trial, MOST, 1, SECONDS, work)
    assert faults == []
    assert done["sweeps"] > 0
    holds(found)


def test_a_database_whose_shipper_is_killed_meanwhile(tmp_path: Path, postgres_uri: str) -> None:
    trial, done = Trial(tmp_path, postgres_uri, is_disturbed=True), Counter[str]()
    holds(trials.kills(trial, MOST, 2, SECONDS, meanwhile.shippers_die(trial.spools, 2, done)))
    assert done["shippers killed"] > 0


def test_a_database_server_that_is_killed_and_restarted_meanwhile(tmp_path: Path) -> None:
    with postgres_server() as server:
        trial, done = Trial(tmp_path, server.create("runs"), is_disturbed=True), Counter[str]()
        holds(trials.kills(trial, MOST, 3, SECONDS, meanwhile.restarts(server, (3.0, 1.0, 1.5), 0.7, done)))
        assert done["restarts"] >= 1
