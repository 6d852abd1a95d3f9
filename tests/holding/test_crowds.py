"""Many processes at once: eight with one store, twenty with a spool each while the server is restarted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from services import postgres_server

from benchmarks.soak import meanwhile, trials
from benchmarks.soak.trials import Trial
from benchmarks.soak.verdict import Verdict

PROCESSES, RUNS, FITS = 8, 40, 20


def all_there(found: Verdict) -> None:
    """Every run is there, once, and nobody said a word."""
    assert found.faults == []
    assert found.runs == found.returned == PROCESSES * RUNS
    assert found.killed == 0
    assert found.models >= PROCESSES * RUNS // FITS


def test_eight_processes_with_one_folder(tmp_path: Path) -> None:
    all_there(trials.crowd(Trial(tmp_path, str(tmp_path / "store")), PROCESSES, RUNS, FITS))


def test_eight_processes_with_one_database_server(tmp_path: Path, postgres_uri: str) -> None:
    all_there(trials.crowd(Trial(tmp_path, postgres_uri), PROCESSES, RUNS, FITS))


def test_eight_processes_with_one_database_file(tmp_path: Path) -> None:
    all_there(trials.crowd(Trial(tmp_path, f"sqlite:///{tmp_path}/runs.db"), PROCESSES, RUNS, FITS))


def test_a_fleet_of_twenty_whose_server_is_restarted_twice_and_of_which_some_are_killed(tmp_path: Path) -> None:
    with postgres_server() as server:
        trial, done = Trial(tmp_path, server.create("runs"), is_disturbed=True), Counter[str]()
        work = meanwhile.restarts(server, (2.5, 1.0), 0.5, done)
        found = trials.fleet(trial, 20, 12, 4, deaths=5, pause=0.1, seed=4, meanwhile=work)
    assert found.faults == []
    assert done["restarts"] == 2
    assert found.kills == 5
    assert 15 * 12 < found.returned <= found.runs < 20 * 12
