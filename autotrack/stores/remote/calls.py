"""Calls of the API of a server of ours; what its store raised is raised here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlencode

from autotrack.stores.mlflow.rest.address import Address
from autotrack.stores.mlflow.rest.transport import Refused, Transport
from autotrack.stores.remote import wire

API: Final = "/api/2.0/autotrack"
_MAKE_SOMETHING: Final = ("registry/create_model_version", "registry/create_registered_model")
"""The calls of which two are not the same as one."""


class Calls:
    """The calls to one server. Safe for threads."""

    def __init__(self, address: Address) -> None:
        self._transport = Transport(address)

    @property
    def url(self) -> str:
        """The server's address, without secrets."""
        return self._transport.address.url

    def ask(self, call: str, **told: Any) -> dict[str, Any]:
        """Make a call.

        Raises
        ------
        AutotrackError
            As the server's store raised it.
        StoreError
            When the server cannot be reached, or answers otherwise.
        """
        with _as_raised_there():
            return self._transport.json("POST", f"{API}/{call}", told, repeatable=call not in _MAKE_SOMETHING)

    def send_entries(self, lines: Sequence[bytes]) -> None:
        """Send entries that are JSON already."""
        with _as_raised_there():
            self._transport.post(f"{API}/entries", b'{"entries":[' + b",".join(lines) + b"]}")

    def upload(self, call: str, source: Path, **query: str) -> None:
        """Send a file, piece by piece."""
        with _as_raised_there():
            self._transport.upload(f"{API}/{call}?{_query(query)}", source)

    def download(self, call: str, target: IO[bytes], **query: str) -> None:
        """Fetch a file, piece by piece."""
        with _as_raised_there():
            self._transport.download(f"{API}/{call}?{_query(query)}", target)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()


@contextmanager
def _as_raised_there() -> Iterator[None]:
    try:
        yield
    except Refused as refusal:
        kind = wire.ERRORS.get(refusal.kind)
        if kind is None:
            raise
        raise kind(refusal.said) from None


def _query(values: dict[str, str]) -> str:
    # Lone surrogates too, which a file's name may have.
    return urlencode(values, errors="surrogatepass")


def dumps(value: Any) -> bytes:
    """JSON of ASCII characters, which carries every text, also one that UTF-8 cannot."""
    return json.dumps(value, separators=(",", ":")).encode()
