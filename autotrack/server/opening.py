"""Which store is served, and how each of the server's processes opens it for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autotrack import settings
from autotrack.errors import SettingsError
from autotrack.spool import without_secrets
from autotrack.stores import check_known, load_store, open_store

if TYPE_CHECKING:
    from autotrack.stores.base import Store

_DATABASES: Final = frozenset({"sqlite", "postgresql", "postgres", "mysql", "mariadb"})
_IN_MEMORY: Final = "memory"


class Opener:
    """A store that is not open yet.

    Parameters
    ----------
    store : its URI or folder; the one in force when left out.
    artifacts : where a database keeps artifacts, where that is not itself.

    Raises
    ------
    SettingsError
        When ``artifacts`` does not go with the store.
    StoreError
        When no store knows the URI.
    """

    def __init__(self, store: str | None = None, artifacts: str | None = None) -> None:
        if store is None:
            self._uri = settings.store_uri()
        else:
            with settings.use_store(store):  # checks it and makes a relative folder absolute
                self._uri = settings.store_uri()
        check_known(self._uri)
        if artifacts is not None:
            self._uri = _with_artifacts(self._uri, artifacts)

    @property
    def shown(self) -> str:
        """The URI without secrets."""
        return without_secrets(self._uri)

    def check_workers(self, workers: int) -> None:
        """See that as many processes can share it.

        Raises
        ------
        SettingsError
        """
        if workers > 1 and settings.scheme_of(self._uri) == _IN_MEMORY:
            raise SettingsError(f"--workers {workers}: each would have a store {self.shown} of its own; use one")

    def load(self) -> None:
        """Import what opening it does."""
        load_store(self._uri)

    def open(self) -> Store:
        """The store, open."""
        return open_store(self._uri)


def _with_artifacts(uri: str, artifacts: str) -> str:
    from autotrack.stores.database.address import with_artifacts

    shown = without_secrets(uri)
    if settings.scheme_of(uri).partition("+")[0] not in _DATABASES:
        raise SettingsError(
            f"--artifacts {without_secrets(artifacts)}: only a database keeps its artifacts elsewhere; {shown} keeps "
            "them with its runs"
        )
    if any(part.startswith("artifacts=") for part in uri.partition("?")[2].split("&")):
        raise SettingsError(
            f"--artifacts {without_secrets(artifacts)}: {shown} says already where they are; leave one of them out"
        )
    return with_artifacts(uri, settings.anchored(artifacts))
