"""The URI of a database: what it says, and what of it may be shown."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode

from autotrack.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_DRIVERS: Final = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
_MODULES: Final = {"sqlite": "sqlite3", "postgresql": "psycopg", "mysql": "pymysql"}
_EXTRAS: Final = {"sqlite": "sqlite", "postgresql": "postgres", "mysql": "mysql"}
_SECRETS: Final = {"password", "passwd", "sslpassword", "ssl_key_password", "passfile"}
_ARTIFACTS: Final = "artifacts"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is.

    Parameters
    ----------
    url : what SQLAlchemy opens, with the password.
    shown : the URI for people, without it.
    artifacts : where artifacts are kept, where that is not the database itself.
    """

    url: URL
    shown: str
    artifacts: str | None = None

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def place(self) -> str:
        """The file, or the host with its port."""
        if self.is_sqlite:
            return self.url.database or ""
        return f"{self.url.host or 'this machine'}" + (f":{self.url.port}" if self.url.port else "")

    def without_secrets(self, message: str) -> str:
        """A message of a driver, with the password taken out wherever it stands."""
        found = [self.url.password, *(value for key, value in self.url.query.items() if key in _SECRETS)]
        for secret in found:
            if isinstance(secret, str) and secret:
                message = message.replace(secret, "***").replace(quote(secret, safe=""), "***")
        return message


def read(uri: str) -> Address:
    """What a URI says.

    Raises
    ------
    StoreError
        When it cannot be understood, or what is needed to open it is not installed.
    """
    scheme, _, rest = uri.partition(":")
    base, _, driver = scheme.lower().partition("+")
    full = _DRIVERS[base]
    if driver and full.partition("+")[2] != driver:
        raise StoreError(f"{masked(uri)}: the driver {driver} is not supported; write {base}:{_masked_rest(rest)}")
    backend = full.partition("+")[0]
    missing = [name for name in ("sqlalchemy", "alembic", _MODULES[backend]) if find_spec(name) is None]
    if missing:
        raise StoreError(
            f"{masked(uri)} needs {', '.join(missing)}, not installed here: pip install 'autotrack[{_EXTRAS[backend]}]'"
        )
    import sqlalchemy as sa

    rest, artifacts = _split_artifacts(rest)
    try:
        url = sa.make_url(f"{full}:{rest}")
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError(
            f"{masked(uri)} is not the URI of a database; write {base}://user:password@host/database, "
            "with special characters of the password escaped (%40 for @), or sqlite:///FILE"
        ) from None
    if backend == "sqlite":
        if not url.database or url.database.startswith(("file:", ":memory:")):
            raise StoreError(f"{uri} names no file; write sqlite:///FILE, or memory: for runs that need not last")
        url = url.set(database=os.path.abspath(os.path.expanduser(url.database)))
    elif not url.database:
        raise StoreError(f"{masked(uri)} names no database; write {base}://user:password@host/database")
    if artifacts is not None and not artifacts:
        raise StoreError(f"{masked(uri)}: artifacts= is empty; write a folder or s3://bucket/prefix, or leave it out")
    shown = url.set(drivername="postgresql" if base == "postgres" else base)
    hidden = {key: "***" if key in _SECRETS else value for key, value in shown.query.items()}
    told = shown.set(query=hidden).render_as_string(hide_password=True).replace(quote("***"), "***")
    return Address(url, told, artifacts)


def with_artifacts(shown: str, artifacts: str) -> str:
    """A URI with the place of its artifacts."""
    return f"{shown}{'&' if '?' in shown else '?'}{_ARTIFACTS}={quote(artifacts, safe=':/')}"


def masked(uri: str) -> str:
    """A URI, which need not be a good one, without what may be a password."""
    return re.sub(r"((?:password|passwd)=)[^&]*", r"\1***", re.sub(r"(://[^/@:]*:).*(@)", r"\1***\2", uri))


def _masked_rest(rest: str) -> str:
    return masked("x:" + rest)[2:]


def _split_artifacts(rest: str) -> tuple[str, str | None]:
    """Take ``artifacts=`` off, which is ours and not the driver's."""
    before, mark, query = rest.partition("?")
    if not mark:
        return rest, None
    pairs = parse_qsl(query, keep_blank_values=True)
    artifacts = [value for key, value in pairs if key == _ARTIFACTS]
    others = urlencode([(key, value) for key, value in pairs if key != _ARTIFACTS])
    return before + (f"?{others}" if others else ""), artifacts[-1] if artifacts else None
