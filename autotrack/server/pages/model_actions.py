"""What the pages change of registered models: descriptions, tags, aliases, versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from autotrack.errors import ModelError
from autotrack.query import registering
from autotrack.server import problems
from autotrack.server.pages import views
from autotrack.server.pages.bodies import json_object
from autotrack.server.pages.run_page import model_of
from autotrack.server.problems import Problem
from autotrack.server.routing import WRITE, Endpoint
from autotrack.stores.registry import RegistryStore, checked_name, checked_tags

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from autotrack.server.site import Site

MOST_BYTES: Final = 2**20
T = TypeVar("T")


async def describe(site: Site, request: Request) -> Response:
    """Give a model or a version another description, and set or take away tags (``null``)."""
    asked = await json_object(request, MOST_BYTES)
    name, version = _text(asked, "name"), _number(asked)
    description, tags = asked.get("description"), asked.get("tags")
    if description is not None and not isinstance(description, str):
        raise Problem(problems.INVALID, "description: expected a text")
    if tags is not None and not isinstance(tags, dict):
        raise Problem(problems.INVALID, "tags: expected values by key")

    def apply(registry: RegistryStore) -> None:
        known = checked_tags(tags)
        if version is None:
            registry.update_registered_model(name, description=description, tags=known)
        else:
            registry.update_model_version(name, version, description=description, tags=known)

    return await _done(site, apply)


async def alias(site: Site, request: Request) -> Response:
    """Let an alias point to a version; without a version it is taken away."""
    asked = await json_object(request, MOST_BYTES)
    name, alias_, version = _text(asked, "name"), _text(asked, "alias"), _number(asked)

    def apply(registry: RegistryStore) -> None:
        if version is None:
            registering.delete_model_alias(name, alias_, store=registry)
        else:
            registering.set_model_alias(name, alias_, version, store=registry)

    return await _done(site, apply)


async def register(site: Site, request: Request) -> Response:
    """Make a model of a run the next version of a name; the answer has its number."""
    asked = await json_object(request, MOST_BYTES)
    run_id, path, name = (_text(asked, key) for key in ("run_id", "path", "name"))

    def apply(registry: RegistryStore) -> dict[str, Any]:
        model = model_of(registry.get_run(run_id), path)
        if model is None:
            raise ModelError(f"run {run_id} has no model {path[:200]!r}")
        made = registry.create_model_version(checked_name(name.strip()), run_id, model.path, digest=model.digest)
        return {"name": made.name, "version": made.version}

    return await _done(site, apply)


async def delete(site: Site, request: Request) -> Response:
    """Delete a version, or without one the model; runs and files stay."""
    asked = await json_object(request, MOST_BYTES)
    name, version = _text(asked, "name"), _number(asked)

    def apply(registry: RegistryStore) -> None:
        if version is None:
            registry.delete_registered_model(name)
        else:
            registry.delete_model_version(name, version)

    return await _done(site, apply)


async def _done(site: Site, apply: Callable[[RegistryStore], T]) -> Response:
    return views.json(await site.read(apply, site.registry) or {})


def _text(asked: dict[str, Any], key: str) -> str:
    value = asked.get(key)
    if not isinstance(value, str) or not value.strip():
        raise Problem(problems.INVALID, f"{key}: expected a text that is not blank")
    return value


def _number(asked: dict[str, Any]) -> int | None:
    value = asked.get("version")
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise Problem(problems.INVALID, f"version: expected a number, not {value!r:.100}")
    return value


ENDPOINTS: Final = [
    Endpoint("POST", "/actions/models/describe", describe, WRITE),
    Endpoint("POST", "/actions/models/alias", alias, WRITE),
    Endpoint("POST", "/actions/models/register", register, WRITE),
    Endpoint("POST", "/actions/models/delete", delete, WRITE),
]
