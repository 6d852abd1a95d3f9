"""Which request goes where, and who may make it: no endpoint is without a scope, and what is none is not found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal

from starlette.routing import compile_path

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from autotrack.server.site import Site

Handler = Callable[["Site", "Request"], Awaitable["Response"]]


class Scope(Enum):
    """What a request has to be allowed: nothing, to read, or to write."""

    OPEN = "open"
    READ = "read"
    WRITE = "write"


OPEN: Final = Scope.OPEN
READ: Final = Scope.READ
WRITE: Final = Scope.WRITE


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and a path that are answered.

    Parameters
    ----------
    path : with parameters as Starlette writes them: ``/runs/{run_id}``, ``/artifacts/{path:path}``.
    scope : what a request has to be allowed.
    kind : whether programs ask or people do: their errors look different.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope
    kind: Literal["api", "page"] = "api"


class Table:
    """The endpoints, to be found by method and path.

    Raises
    ------
    ValueError
        When two are for one method and path.
    """

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self.endpoints = list(endpoints)
        self._exact: dict[str, dict[str, Endpoint]] = {}
        self._patterns: list[tuple[Any, dict[str, Any], dict[str, Endpoint]]] = []
        patterns: dict[str, dict[str, Endpoint]] = {}
        for endpoint in self.endpoints:
            home = patterns if "{" in endpoint.path else self._exact
            methods = home.setdefault(endpoint.path, {})
            if endpoint.method in methods:
                raise ValueError(f"two endpoints are {endpoint.method} {endpoint.path}")
            methods[endpoint.method] = endpoint
        for path, methods in patterns.items():
            regex, _, convertors = compile_path(path)
            self._patterns.append((regex, convertors, methods))

    def find(self, path: str) -> tuple[dict[str, Endpoint], dict[str, Any]]:
        """The endpoints of a path by method, and the path's parameters; both empty where there is none."""
        methods = self._exact.get(path)
        if methods is not None:
            return methods, {}
        for regex, convertors, found in self._patterns:
            match = regex.match(path)
            if match:
                return found, {name: convertors[name].convert(value) for name, value in match.groupdict().items()}
        return {}, {}
