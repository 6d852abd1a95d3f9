"""Stores: where runs are kept. `open_store` finds one by its URI."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from autotrack.errors import StoreError
from autotrack.settings import scheme_of

if TYPE_CHECKING:
    from autotrack.stores.base import Store

__all__ = ["open_store"]

ENTRY_POINTS: Final = "autotrack.stores"

_BUILT_IN: Final = {
    "file": "autotrack.stores.local:open_uri",
    "memory": "autotrack.stores.memory:open_uri",
    "http": "autotrack.stores.mlflow.rest.store:open_uri",
    "https": "autotrack.stores.mlflow.rest.store:open_uri",
    "mlruns": "autotrack.stores.mlflow.folder:open_uri",
    **dict.fromkeys(("sqlite", "postgresql", "postgres", "mysql", "mariadb"), "autotrack.stores.database:open_uri"),
}


def open_store(uri: str | os.PathLike[str]) -> Store:
    """Open the store that a URI or path names.

    A path is a folder, and so is a ``file:`` URI; ``sqlite:``, ``postgresql:``, ``mysql:`` and ``mariadb:`` are
    databases, ``memory:`` lasts as long as the process. Other packages add schemes by an entry point of the group
    ``autotrack.stores``, named like the scheme, that loads to a callable taking the URI. For ``scheme+driver:…`` the
    whole word is looked up first, then the word before the ``+``.

    Raises
    ------
    StoreError
        When no store knows the scheme, or the store cannot be opened.
    """
    text = os.fspath(uri)
    if not isinstance(text, str) or not text.strip():
        raise StoreError(f"{text!r} names no store; write a folder such as './runs', or 'memory:'")
    scheme = scheme_of(text)
    if not scheme or isinstance(uri, os.PathLike):
        from autotrack.stores.local import LocalStore

        return LocalStore(text)
    return _factory(scheme, text)(text)


def load_store(uri: str) -> None:
    """Import what opening a store would, and open nothing: for a process that forks others, which open it.

    Raises
    ------
    StoreError
        When no store knows the scheme, or the URI is no good.
    """
    scheme = scheme_of(uri)
    if not scheme:
        import_module("autotrack.stores.local")
        return
    factory = _factory(scheme, uri)
    load = getattr(import_module(factory.__module__), "load", None)
    if callable(load):
        load(uri)


def check_known(uri: str) -> None:
    """Make sure that there is a store for a URI, without loading or opening it.

    Raises
    ------
    StoreError
        When no store knows the scheme; the message lists those that there are.
    """
    scheme = scheme_of(uri)
    names = (scheme, scheme.partition("+")[0])
    if scheme and not any(name in _BUILT_IN for name in names):
        from importlib.metadata import entry_points

        if not any(entry_points(group=ENTRY_POINTS, name=name) for name in names):
            raise _unknown(scheme, uri, entry_points(group=ENTRY_POINTS))


def _factory(scheme: str, uri: str) -> Callable[[str], Store]:
    names = dict.fromkeys((scheme, scheme.partition("+")[0]))
    for name in names:
        if name in _BUILT_IN:
            module, _, function = _BUILT_IN[name].partition(":")
            return cast("Callable[[str], Store]", getattr(import_module(module), function))
    from importlib.metadata import entry_points

    for name in names:
        for entry_point in entry_points(group=ENTRY_POINTS, name=name):
            return _load(entry_point, uri)
    raise _unknown(scheme, uri, entry_points(group=ENTRY_POINTS))


def _unknown(scheme: str, uri: str, others: Iterable[Any]) -> StoreError:
    from autotrack.spool import without_secrets

    uri = without_secrets(uri)
    return StoreError(
        f"no store for {scheme}: in {uri!r}; there are {', '.join(_known(others))} and folders "
        f"(a folder with a colon in its name is written ./{uri})"
    )


def _load(entry_point: Any, uri: str) -> Callable[[str], Store]:
    try:
        return cast("Callable[[str], Store]", entry_point.load())
    except Exception as error:
        package = entry_point.dist.name if entry_point.dist is not None else "an unknown package"
        raise StoreError(f"{uri!r}: the store {entry_point.name}: of {package} cannot be loaded: {error!r}") from error


def _known(others: Iterable[Any]) -> list[str]:
    return [f"{name}:" for name in sorted({*_BUILT_IN, *(other.name for other in others)})]
