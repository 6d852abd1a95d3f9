"""What ``/openapi.json`` says, and that schemathesis finds it kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from served_models import frame, served, write
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from autotrack.serving.app import Application
from autotrack.serving.counters import Board
from autotrack.serving.options import ServingOptions

schemathesis = pytest.importorskip("schemathesis")
TOKEN = "correct-horse-battery"


def mixed() -> tuple[Any, pd.DataFrame]:
    """Columns of several types, one with missing values; names that need care."""
    draw = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "the city": draw.choice(["a", "b"], 40),
            'how "many"/~,': draw.integers(0, 9, 40),
            "size": draw.normal(size=40).astype("float32"),
            "flag": draw.random(40) > 0.5,
            "gap": np.where(draw.random(40) > 0.8, np.nan, 1.5),
        }
    )
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["the city"]), remainder="drop")
    return make_pipeline(encoder, DummyClassifier()).fit(X, X["flag"]), X


def tensor() -> tuple[Any, np.ndarray]:
    X = frame().to_numpy()
    return Ridge().fit(X, X[:, 0]), X


class Running:
    """The application on an event loop in a thread; an ASGI application for any other loop."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        options = ServingOptions(token=TOKEN)
        ready = served(folder, token=TOKEN)

        async def make() -> Application:
            board = Board(1)
            return Application(ready, options, board, board.of(0))

        self._application = asyncio.run_coroutine_threadsafe(make(), self._loop).result()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        here = asyncio.get_running_loop()

        async def receive_here() -> Any:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(receive(), here))

        async def send_here(message: Any) -> None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(send(message), here))

        work = self._application(scope, receive_here, send_here)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def close(self) -> None:
        self._application.close()
        self._loop.call_soon_threadsafe(self._loop.stop)


@pytest.fixture(scope="module", params=[mixed, tensor], ids=lambda make: make.__name__)
def schema(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    model, X = request.param()
    running = Running(write(tmp_path_factory.mktemp("openapi") / "model", model, X, example=True))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    yield schemathesis.openapi.from_asgi("/openapi.json", running, headers=headers)
    running.close()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_what_is_described_is_accepted_and_what_is_not_is_refused(schema, mode):
    strategy = schema["/invocations"]["POST"].as_strategy(generation_mode=schemathesis.GenerationMode[mode])
    seen = set()

    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def check(case: Any) -> None:
        seen.add(case.media_type)
        case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"})

    check()
    assert "application/json" in seen


def test_the_other_routes_answer_as_they_are_described(schema):
    for path in ("/", "/health", "/metrics", "/openapi.json", "/ping", "/version"):
        case = schema[path]["GET"].Case()
        case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"})


def test_columns_types_and_what_may_be_missing_are_told(tmp_path):
    import json

    model, X = mixed()
    document = json.loads(served(write(tmp_path / "model", model, X)).openapi)
    assert document["openapi"] == "3.1.0"
    forms = document["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    by_name = {form["title"]: form for form in forms}
    assert set(by_name) == {"columns", "dataframe_split", "dataframe_records", "instances", "inputs", "list"}
    record = by_name["dataframe_records"]["properties"]["dataframe_records"]["items"]
    assert record["required"] == ["the city", 'how "many"/~,', "size", "flag"]
    kinds = {name: value["type"] for name, value in record["properties"].items()}
    assert list(kinds.values()) == ["string", "integer", "number", "boolean", ["number", "null"]]
    assert by_name["columns"]["properties"]["columns"] == {"const": list(X.columns)}
    assert "securitySchemes" not in document["components"]
