"""The application, without a network between."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from served_models import COLUMNS, JSON, application, classification, frame, regression, served, slow

from autotrack.models.loading import load_model
from autotrack.serving.app import SMALL, Served


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return regression(tmp_path_factory.mktemp("models") / "regression")


@pytest.fixture(scope="module")
def ridge(folder: Path) -> Served:
    return served(folder)


def run(ready: Served, ask: Callable[[httpx.AsyncClient], Awaitable[Any]], **options: Any) -> Any:
    async def go() -> Any:
        async with application(ready, **options) as client:
            return await ask(client)

    return asyncio.run(go())


def split(rows: Any) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(COLUMNS), "data": rows}}


def test_answers_are_those_of_the_model(ridge, folder):
    rows = frame(5)
    response = run(ridge, lambda client: client.post("/invocations", json=split(rows.to_numpy().tolist())))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["predictions"] == pytest.approx(load_model(folder, trusted=True).predict(rows), rel=1e-12)


@pytest.mark.parametrize("how_many", [1, 200, 5_000])
def test_large_and_small_requests_give_the_same(ridge, folder, how_many):
    rows = frame(how_many)
    body = json.dumps(split(rows.to_numpy().tolist())).encode()
    assert (len(body) > SMALL) == (how_many == 5_000)
    plain, packed = run(
        ridge,
        lambda client: asyncio.gather(
            client.post("/invocations", content=body, headers=JSON),
            client.post("/invocations", content=gzip.compress(body), headers={**JSON, "content-encoding": "gzip"}),
        ),
    )
    expected = load_model(folder, trusted=True).predict(rows)
    for response in (plain, packed):
        assert response.json()["predictions"] == pytest.approx(expected.tolist(), rel=1e-12)


def test_concurrent_requests_get_what_each_gets_alone_and_bad_ones_harm_nobody(ridge, folder):
    model = load_model(folder, trusted=True)
    rows = frame(200)

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        bodies = []
        for number in range(0, 200, 2):
            values = rows.iloc[number : number + 1 + number % 3].to_numpy().tolist()
            if number % 10 == 4:
                values[0][1] = None
            bodies.append(split(values))
        return await asyncio.gather(*(client.post("/invocations", json=body) for body in bodies))

    responses = run(ridge, ask)
    for number, response in zip(range(0, 200, 2), responses, strict=True):
        if number % 10 == 4:
            assert response.status_code == 400
            assert response.json()["error"]["columns"] == ["income"]
        else:
            expected = model.predict(rows.iloc[number : number + 1 + number % 3])
            assert response.json()["predictions"] == pytest.approx(expected.tolist(), rel=1e-12)


def test_a_missing_column_is_named(ridge):
    response = run(ridge, lambda client: client.post("/invocations", json={"columns": ["age"], "data": [[1]]}))
    assert response.status_code == 400
    assert response.json()["error"]["columns"] == ["income", "tenure"]


@pytest.mark.parametrize("route", ["/ping", "/health"])
def test_health_is_answered_as_mlflow_does(ridge, route):
    response = run(ridge, lambda client: client.get(route))
    assert (response.status_code, response.content) == (200, b"\n")
    assert response.headers["content-type"] == "application/json"


def test_the_version_is_mlflows(ridge):
    assert re.fullmatch(r"3\.\d+\.\d+", run(ridge, lambda client: client.get("/version")).text)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/ping/", 404),
        ("GET", "/invocations", 405),
        ("DELETE", "/ping", 405),
        ("PUT", "/", 405),
    ],
)
def test_wrong_paths_and_methods_are_answered_in_json(ridge, method, path, status):
    response = run(ridge, lambda client: client.request(method, path))
    assert response.status_code == status
    assert {"error", "error_code", "message"} <= response.json().keys()
    if status == 405:
        assert response.headers["allow"] == ("POST" if path == "/invocations" else "GET, HEAD")


def test_bodies_beyond_the_limit_are_refused_however_they_come(ridge):
    body = json.dumps(split([[0.5] * 3] * 500)).encode()

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        async def pieces():
            for start in range(0, len(body), 1000):
                yield body[start : start + 1000]

        packed = {**JSON, "content-encoding": "gzip"}
        bomb = gzip.compress(b" " * 3_000_000)
        return [
            await client.post("/invocations", content=body, headers=JSON),
            await client.post("/invocations", content=pieces(), headers=JSON),
            await client.post("/invocations", content=gzip.compress(body), headers=packed),
            await client.post("/invocations", content=bomb[:4000], headers=packed),
        ]

    responses = run(ridge, ask, max_body=4_000)
    assert [response.status_code for response in responses] == [413] * 4
    assert "--max-body" in responses[0].json()["message"]


def test_broken_and_unknown_encodings_are_the_clients_mistake(ridge):
    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        good = json.dumps(split([[1, 2, 3]])).encode()
        return [
            await client.post("/invocations", content=content, headers={**JSON, "content-encoding": encoding})
            for content, encoding in [
                (good, "br"),
                (good, "gzip"),
                (gzip.compress(good)[:-4], "gzip"),
                (good, "identity"),
                (gzip.compress(good[:9]) + gzip.compress(good[9:]), "gzip"),
            ]
        ]

    assert [response.status_code for response in run(ridge, ask)] == [415, 400, 400, 200, 200]


def test_a_model_that_fails_is_a_500_without_a_traceback(tmp_path, caplog):
    ready = served(slow(tmp_path / "slow"))

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.post("/invocations", json={"inputs": {"seconds": [s]}}) for s in (-1.0, -2.0, 0.0)]

    failed, ended, good = run(ready, ask)
    for response in (failed, ended):
        assert response.status_code == 500
        assert "Traceback" not in response.text
        assert "/secret/path" not in response.text
    assert good.json() == {"predictions": [0.0]}
    assert "the disk of the model is full" in caplog.text


def test_probabilities_by_parameter(tmp_path):
    ready = served(classification(tmp_path / "classification"))
    request = split(frame(2).to_numpy().tolist()) | {"params": {"predict_method": "predict_proba"}}
    response = run(ready, lambda client: client.post("/invocations", json=request))
    expected = load_model(tmp_path / "classification", trusted=True).predict_proba(frame(2))
    assert response.json()["predictions"] == [pytest.approx(row, rel=1e-12) for row in expected]


TOKEN = "correct-horse-battery"


@pytest.mark.parametrize(
    ("authorization", "is_right"),
    [
        (None, False),
        (f"Bearer {TOKEN}", True),
        (f"bearer  {TOKEN}", True),
        (f"Bearer {TOKEN}x", False),
        ("Bearer ", False),
        ("Bearer \xe4", False),
        (TOKEN, False),
        ("Basic YW5uOmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==", True),
        ("Basic YW5uOndyb25n", False),
        ("Basic %%%", False),
    ],
)
def test_a_token_is_asked_for_everywhere_but_for_health(folder, authorization, is_right):
    headers = {} if authorization is None else {"authorization": authorization.encode("latin-1")}

    async def ask(client: httpx.AsyncClient) -> dict[str, httpx.Response]:
        answers = {path: await client.get(path, headers=headers) for path in PATHS}
        answers["/invocations"] = await client.post("/invocations", json=split([[1, 2, 3]]), headers=headers)
        return answers

    answers = run(served(folder, token=TOKEN), ask, token=TOKEN)
    for path, response in answers.items():
        wanted = 200 if is_right or path in ("/ping", "/health") else 401
        assert response.status_code == wanted, path
        if wanted == 401:
            assert response.headers["www-authenticate"].startswith("Basic" if path == "/" else "Bearer")
        assert TOKEN not in response.text


PATHS = ("/", "/ping", "/health", "/version", "/metrics", "/openapi.json")


def test_metrics_count_what_happened(ridge):
    async def ask(client: httpx.AsyncClient) -> str:
        for rows in (1, 3):
            await client.post("/invocations", json=split([[1, 2, 3]] * rows))
        await client.post("/invocations", json={})
        await client.get("/nothing")
        return (await client.get("/metrics")).text

    series = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(run(ridge, ask))
        for sample in family.samples
    }
    requests = "autotrack_serving_requests_total"
    assert series[requests, ("route", "/invocations"), ("status", "200")] == 2
    assert series[requests, ("route", "/invocations"), ("status", "400")] == 1
    assert series[requests, ("route", "other"), ("status", "404")] == 1
    assert series["autotrack_serving_rows_total",] == 4
    assert series["autotrack_serving_batch_rows_bucket", ("le", "1.0")] == 1
    assert series["autotrack_serving_request_seconds_count",] == 3
    assert series["autotrack_serving_requests_in_flight",] == 1
    info = next(key for key in series if key[0] == "autotrack_serving_model_info")
    assert ("model", "models:/churn/3") in info
