"""What `autotrack.stores.registry.ModelRegistry` does, call by call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from autotrack.server.native.calls import Arguments, call
from autotrack.server.routing import READ, WRITE, Endpoint, Scope
from autotrack.stores.registry import RegistryStore
from autotrack.stores.remote import wire

if TYPE_CHECKING:
    from autotrack.server.site import Site

_CALLS: Final[dict[str, tuple[Scope, Callable[[RegistryStore, Arguments], Any]]]] = {
    "registered_models": (READ, lambda registry, told: [wire.plain(one) for one in registry.registered_models()]),
    "registered_model": (READ, lambda registry, told: wire.plain(registry.registered_model(told.text("name")))),
    "model_versions": (
        READ,
        lambda registry, told: [wire.plain(one) for one in registry.model_versions(told.text("name"))],
    ),
    "model_version": (
        READ,
        lambda registry, told: wire.plain(registry.model_version(told.text("name"), told.whole("version"))),
    ),
    "create_registered_model": (
        WRITE,
        lambda registry, told: wire.plain(
            registry.create_registered_model(
                told.text("name"), description=told.text("description"), tags=told.tags("tags")
            )
        ),
    ),
    "rename_registered_model": (
        WRITE,
        lambda registry, told: wire.plain(registry.rename_registered_model(told.text("name"), told.text("new_name"))),
    ),
    "create_model_version": (
        WRITE,
        lambda registry, told: wire.plain(
            registry.create_model_version(
                told.text("name"),
                told.text("run_id"),
                told.text("path"),
                digest=told.text("digest"),
                description=told.text("description"),
                tags=told.tags("tags"),
            )
        ),
    ),
    "update_registered_model": (
        WRITE,
        lambda registry, told: wire.plain(
            registry.update_registered_model(
                told.text("name"), description=told.optional_text("description"), tags=told.tags("tags")
            )
        ),
    ),
    "update_model_version": (
        WRITE,
        lambda registry, told: wire.plain(
            registry.update_model_version(
                told.text("name"),
                told.whole("version"),
                description=told.optional_text("description"),
                tags=told.tags("tags"),
            )
        ),
    ),
    "set_alias": (
        WRITE,
        lambda registry, told: registry.set_alias(told.text("name"), told.text("alias"), told.whole("version")),
    ),
    "delete_alias": (WRITE, lambda registry, told: registry.delete_alias(told.text("name"), told.text("alias"))),
    "delete_model_version": (
        WRITE,
        lambda registry, told: registry.delete_model_version(told.text("name"), told.whole("version")),
    ),
    "delete_registered_model": (
        WRITE,
        lambda registry, told: registry.delete_registered_model(told.text("name")),
    ),
}
"""By name: what a request has to be allowed, and what is done."""


def _endpoint(name: str) -> Endpoint:
    scope, act = _CALLS[name]

    def answer(site: Site, arguments: Arguments) -> Any:
        return {"value": act(site.registry, arguments)}

    return call(f"registry/{name}", answer, scope)


ENDPOINTS: Final = [_endpoint(name) for name in _CALLS]
