"""``http://…`` and ``https://…``: a tracking server, ours or MLflow's; which one it is, it is asked when it is used.

With a server of ours a store speaks the API of `autotrack.server.native`, which loses nothing; with MLflow's, MLflow's.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, cast

from autotrack.stores.mlflow.rest.address import read_address

if TYPE_CHECKING:
    from autotrack.stores.base import Store

ABOUT: Final = "/api/2.0/autotrack/about"


def open_uri(uri: str) -> Store:
    """The store behind an address. Nothing is asked of it before it is used.

    Raises
    ------
    StoreError
        For a URI that is none, or when the package that speaks HTTP is missing.
    """
    from autotrack.stores.mlflow.rest import transport  # noqa: F401 - to be told here of what is missing

    return cast("Store", TrackingServer(uri))


class TrackingServer:
    """Becomes the store of the server's kind when something is asked of it; while it cannot be reached, it asks again.

    Parameters
    ----------
    uri : the server's address.

    Raises
    ------
    StoreError
        For a URI that is none; from every use, when the server cannot be reached.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._address = read_address(uri)
        self._lock = threading.Lock()
        self._store: Any = None

    @property
    def uri(self) -> str:
        """The server's address, without user, password or token."""
        return self._address.url

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._store is not None:
                self._store.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._opened(), name)

    def _opened(self) -> Any:
        with self._lock:
            if self._store is None:
                self._store = self._open()
            return self._store

    def _open(self) -> Any:
        from autotrack.stores.mlflow.rest.transport import Refused, Transport

        transport = Transport(self._address)
        try:
            transport.json("GET", ABOUT)
        except Refused as refusal:
            if refusal.status in (401, 403):
                raise
            from autotrack.stores.mlflow.rest.store import MlflowServerStore

            return MlflowServerStore(self._uri)
        finally:
            transport.close()
        from autotrack.stores.remote.store import AutotrackServerStore

        return AutotrackServerStore(self._address)
