"""The scoring servers: how they are started."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.processes import HttpServer, Reply, free_port

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A scoring server: its name in reports, and the arguments that start it for a model folder on a port."""

    name: str
    arguments: tuple[str, ...]

    def command(self, model: Path, port: int) -> list[str]:
        """The command line."""
        given = {"MODEL": str(model), "PORT": str(port)}
        return [sys.executable, *(given.get(argument, argument) for argument in self.arguments)]


AUTOTRACK: Final = Kind("autotrack", ("-m", "autotrack", "models", "serve", "MODEL", "--port", "PORT", "--trusted"))
MLFLOW: Final = Kind(
    "mlflow",
    ("-m", "mlflow", "models", "serve", "-m", "MODEL", "--env-manager", "local", "--port", "PORT", "--workers", "1"),
)
TRIVIAL: Final = Kind(
    "trivial ASGI application",
    ("-m", "uvicorn", "benchmarks.serving.trivial:app", "--port", "PORT", "--log-level", "warning", "--no-access-log"),
)


class ModelServer(HttpServer):
    """A scoring server of a model folder, in a process of its own.

    Parameters
    ----------
    kind : which one.
    model : the folder.
    folder : where it runs and leaves its log.
    options : further arguments of its command.
    nice, limit : as for `HttpServer`.
    """

    def __init__(
        self,
        kind: Kind,
        model: Path,
        folder: Path,
        *,
        options: Sequence[str] = (),
        nice: int = 0,
        limit: float = 120.0,
    ) -> None:
        self.kind = kind
        port = free_port()
        command = [*kind.command(model, port), *options]
        super().__init__(kind.name, command, port, folder, ready="/ping", nice=nice, limit=limit)

    def start(self, first: bytes | None = None) -> float:
        """Start it and ask until it answers ``first``, the body of a request; ``None`` for ``GET /ping``."""
        return super().start() if first is None else self.start_until(lambda: self.post(first))

    def post(self, body: bytes, content_type: str | None = JSON, timeout: float = 60.0) -> Reply:
        """Ask for predictions."""
        headers = {} if content_type is None else {"Content-Type": content_type}
        return self.request("POST", "/invocations", body, headers, timeout)
