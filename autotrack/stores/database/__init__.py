"""The SQL store: runs in SQLite, PostgreSQL, MySQL or MariaDB, by SQLAlchemy Core."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autotrack.stores.database.store import DatabaseStore

__all__ = ["open_uri"]


def open_uri(uri: str) -> DatabaseStore:
    """The store of a URI such as ``sqlite:///FILE`` or ``postgresql://user:password@host/database``.

    ``?artifacts=URI`` keeps artifacts in a folder or object store; without it they are kept in the database.

    Raises
    ------
    StoreError
        When the URI cannot be understood, or what it needs is not installed.
    """
    from autotrack.stores.database.address import read

    address = read(uri)
    from autotrack.stores.database.store import DatabaseStore

    return DatabaseStore(address)


def load(uri: str) -> None:
    """Import what an open database of this URI has imported; opens nothing.

    Raises
    ------
    StoreError
        As `open_uri`.
    """
    from autotrack.stores.database.address import read

    address = read(uri)
    from autotrack.stores.database import store  # noqa: F401

    address.url.get_dialect().import_dbapi()
