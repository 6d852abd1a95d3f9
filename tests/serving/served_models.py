"""Models to serve, the application without a network, and the real server in processes of its own."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, Ridge
from started import Started

from autotrack.models import infer_signature, write_model
from autotrack.models.loading import load_model
from autotrack.models.mlmodel import read_mlmodel
from autotrack.serving.app import Application, Served
from autotrack.serving.counters import Board
from autotrack.serving.options import ServingOptions
from autotrack.serving.preparing import prepare

JSON = {"content-type": "application/json"}
COLUMNS = ("age", "income", "tenure")

SLOW = """
import os, time
from sklearn.base import BaseEstimator

class Slow(BaseEstimator):
    "Takes as many seconds as its first row says, and ends badly where that is negative."

    def fit(self, X, y=None):
        self.feature_names_in_ = list(X.columns)
        return self

    def predict(self, X):
        seconds = float(X["seconds"].iloc[0])
        if seconds == -1:
            raise OSError("the disk of the model is full: /secret/path")
        if seconds == -2:
            raise SystemExit(3)
        time.sleep(seconds)
        return X["seconds"].to_numpy() * 2
"""
"""It stands in no module, as what a script defines, so that it is pickled whole."""


def frame(rows: int = 60) -> pd.DataFrame:
    """Numbers in three columns."""
    return pd.DataFrame(np.random.default_rng(7).normal(size=(rows, 3)), columns=list(COLUMNS))


def write(folder: Path, model: Any, X: Any, *, example: bool = False) -> Path:
    """Write a fitted model with its signature."""
    options = {"input_example": X[:2]} if example else {}
    signature = infer_signature(X, model.predict(X[:5])).signature
    write_model(folder, model, run_id="0" * 32, signature=signature, created=1_780_000_000_000, **options)
    return folder


def regression(folder: Path) -> Path:
    """A model of three columns of numbers, with an input example."""
    X = frame()
    return write(folder, Ridge().fit(X, X.sum(axis=1)), X, example=True)


def classification(folder: Path) -> Path:
    """One that has probabilities, of labels that are texts."""
    X = frame()
    y = np.where(X["age"] > 0, "stays", "leaves")
    return write(folder, LogisticRegression().fit(X, y), X, example=True)


def slow(folder: Path) -> Path:
    """One whose call takes as long as is asked for."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(SLOW, namespace)
    X = pd.DataFrame({"seconds": [0.0, 0.0]})
    return write(folder, namespace["Slow"]().fit(X), X)


def served(folder: Path, **options: Any) -> Served:
    """A folder's model, as the server prepares it."""
    return prepare(load_model(folder, trusted=True), read_mlmodel(folder), "models:/churn/3", ServingOptions(**options))


@contextlib.asynccontextmanager
async def application(ready: Served, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application itself, in this event loop."""
    board = Board(2)
    app = Application(ready, ServingOptions(**options), board, board.of(0))
    transport = httpx.ASGITransport(app=app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", timeout=30) as client:
            yield client
    finally:
        app.close()


class Serving(Started):
    """``autotrack models serve`` in a process of its own; ``url`` is where it answers."""

    def __init__(self, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "autotrack", "models", "serve", str(folder), "--trusted", "--port", "0"]
        super().__init__([*command, *arguments], environment)

    def post(self, data: Any, **options: Any) -> httpx.Response:
        """Ask for predictions of rows: the values of the columns, by name."""
        return httpx.post(f"{self.url}/invocations", json=data, timeout=30, **options)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it, and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(30)
        finally:
            self.kill()


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[Serving]:
    """A server that is gone afterwards."""
    server = Serving(folder, *arguments, environment=environment)
    try:
        yield server
    finally:
        server.kill()


def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
