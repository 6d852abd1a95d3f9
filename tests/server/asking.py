"""The API of a store, asked without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx

from autotrack.server.app import App, ErrorPage
from autotrack.server.options import ServerOptions
from autotrack.server.site import Site
from autotrack.stores.base import Store

API = "/api/2.0/mlflow/"


class Client:
    """Asks a room of the server over a store, on an event loop of its own; closes neither store nor files."""

    def __init__(
        self,
        store: Store,
        options: ServerOptions | None = None,
        rooms: tuple[str, ...] = ("autotrack.server.rest",),
        error_page: ErrorPage | None = None,
    ) -> None:
        self.store = store
        self.site = Site(store, options)
        self._runner = asyncio.Runner()
        self.app = App(self.site, rooms=rooms, error_page=error_page)
        transport = httpx.ASGITransport(self.app)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://testserver")

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()
        self.site.close()

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Any request."""
        return self._runner.run(self._client.request(method, path, **arguments))

    def together(self, *requests: tuple[str, str, Any]) -> list[httpx.Response]:
        """Several requests at once: method, path below the API, JSON."""

        async def ask() -> list[httpx.Response]:
            asked = (self._client.request(method, API + path, json=data) for method, path, data in requests)
            return list(await asyncio.gather(*asked))

        return self._runner.run(ask())

    def raw(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """A POST of any bytes."""
        return self.ask("POST", API + path, content=body, headers=dict(headers or {}))

    def post(self, path: str, /, **data: Any) -> Any:
        """A POST that goes well."""
        return _good(self.raw(path, json.dumps(data).encode()))

    def get(self, path: str, /, **params: Any) -> Any:
        """A GET that goes well."""
        return _good(self.ask("GET", API + path, params=params))

    def refused(self, method: str, path: str, status: int = 400, /, **data: Any) -> tuple[str, str]:
        """The ``error_code`` and message of a request that does not go well."""
        arguments: dict[str, Any] = {"params": data} if method == "GET" else {"json": data}
        answer = self.ask(method, API + path, **arguments)
        assert answer.status_code == status, answer.text
        told = answer.json()
        return told["error_code"], told["message"]

    # What many tests begin with

    def experiment(self, name: str, **data: Any) -> str:
        """A new experiment's id."""
        return str(self.post("experiments/create", name=name, **data)["experiment_id"])

    def run(self, experiment_id: str = "0", **data: Any) -> str:
        """A new run's id."""
        made = self.post("runs/create", experiment_id=experiment_id, **data)
        return str(made["run"]["info"]["run_id"])

    def read(self, run_id: str) -> Any:
        """A run."""
        return self.get("runs/get", run_id=run_id)["run"]

    def found(self, filter: str = "", **data: Any) -> list[str]:
        """The ids of the runs that a search finds, in its order."""
        data.setdefault("experiment_ids", ["0"])
        return [run["info"]["run_id"] for run in self.post("runs/search", filter=filter, **data).get("runs", [])]


def pairs(texts: Mapping[str, str]) -> list[dict[str, str]]:
    """A mapping as the API has it."""
    return [{"key": key, "value": value} for key, value in texts.items()]


def mapping(told: list[dict[str, Any]]) -> dict[str, Any]:
    """Undo `pairs`; of metrics the values."""
    return {one["key"]: one["value"] for one in told}


def _good(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return json.loads(answer.content)
