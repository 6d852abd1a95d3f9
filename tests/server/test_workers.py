"""Two workers over one store: what both add to one list at the same time is in it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from asking import Client

from autotrack.stores import open_store

EACH = 12


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[Client]]:
    """Two, each with its own connection to the file, its own event loop and its own writer."""
    clients = [Client(open_store(f"sqlite:///{tmp_path}/runs.db")) for _ in range(2)]
    yield clients
    for client in clients:
        client.close()
        client.store.close()


def at_once(workers: list[Client], requests: list[list[tuple[str, dict[str, Any]]]]) -> None:
    """Each worker answers its own requests, all at the same time."""

    def act(client: Client, asked: list[tuple[str, dict[str, Any]]]) -> None:
        answers = client.together(*[("POST", path, data) for path, data in asked])
        assert [answer.status_code for answer in answers] == [200] * len(asked), [answer.text for answer in answers]

    with ThreadPoolExecutor(len(workers)) as threads:
        for done in [threads.submit(act, client, asked) for client, asked in zip(workers, requests, strict=True)]:
            done.result()


def test_models_that_two_workers_add_to_a_run_are_all_there(workers: list[Client]) -> None:
    run_id = workers[0].run()
    ids = [[f"m-{worker}{number:031x}" for number in range(EACH)] for worker in (1, 2)]
    at_once(
        workers, [[("runs/outputs", {"run_id": run_id, "models": [{"model_id": one}]}) for one in own] for own in ids]
    )
    at_once(
        workers,
        [[("runs/log-inputs", {"run_id": run_id, "models": [{"model_id": one}]}) for one in own] for own in ids],
    )
    read = workers[0].read(run_id)
    everything = sorted(ids[0] + ids[1])
    assert sorted(model["model_id"] for model in read["outputs"]["model_outputs"]) == everything
    assert sorted(model["model_id"] for model in read["inputs"]["model_inputs"]) == everything


def test_metrics_of_a_model_from_two_workers_are_all_there(workers: list[Client]) -> None:
    run_id = workers[0].run()
    made = workers[0].post("logged-models", experiment_id="0", source_run_id=run_id)
    model_id = made["model"]["info"]["model_id"]
    asked: list[list[tuple[str, dict[str, Any]]]] = [
        [
            (
                "runs/log-metric",
                {"run_id": run_id, "key": f"{worker}-{number}", "value": number, "timestamp": 1, "model_id": model_id},
            )
            for number in range(EACH)
        ]
        for worker in range(2)
    ]
    at_once(workers, asked)
    metrics = workers[1].get(f"logged-models/{model_id}")["model"]["data"]["metrics"]
    assert sorted(one["key"] for one in metrics) == sorted(one[1]["key"] for own in asked for one in own)


def test_one_of_two_workers_makes_an_experiment_of_a_name(workers: list[Client]) -> None:
    with ThreadPoolExecutor(2) as threads:
        answers = [
            answer
            for made in threads.map(
                lambda one: one.together(*[("POST", "experiments/create", {"name": "raced"})] * 4), workers
            )
            for answer in made
        ]
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
