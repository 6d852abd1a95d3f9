"""Which store a question goes to."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from autotrack import settings
from autotrack.errors import SettingsError
from autotrack.hooks import before_read
from autotrack.stores.base import Store

StoreLike = Store | str | os.PathLike[str] | None


def source(store: StoreLike = None) -> Store:
    """The store that is meant: this one, the one of a URI or folder, or with ``None`` the one in force.

    Raises
    ------
    SettingsError
        When it is none of these.
    StoreError
        When the store cannot be opened.
    """
    for hook in before_read:
        hook()
    if store is None:
        return _open(settings.store_uri())
    if isinstance(store, (str, os.PathLike)):
        with settings.use_store(store):  # checks it and makes a relative folder absolute
            return _open(settings.store_uri())
    if isinstance(store, Store):
        return store
    raise SettingsError(f"store={store!r}: expected a URI or folder such as './runs', or an open store")


@contextmanager
def reading(store: StoreLike = None) -> Iterator[Store]:
    """As `source`, for a ``with`` block; a store that was opened for it is closed behind it."""
    opened = source(store)
    try:
        yield opened
    finally:
        if opened is not store:
            opened.close()


class Keeper:
    """Closes a store when nobody who holds this keeper is left."""

    def __init__(self, store: Store) -> None:
        weakref.finalize(self, store.close)


def _open(uri: str) -> Store:
    from autotrack.stores import open_store

    return open_store(uri)
