"""HTTP to a tracking server: one pool of connections, time limits, repeating with growing pauses, streams.

urllib3 does the work: it is small, pure Python without dependencies, safe for threads, and knows TLS, proxies and
``Retry-After``. What may be repeated is decided here: a request that only sets something may always be, one that makes
something new only as long as it surely did not reach the server.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from autotrack.errors import StoreError
from autotrack.stores.mlflow.rest.address import Address

try:
    import urllib3
    from urllib3.exceptions import HTTPError, MaxRetryError, SSLError
    from urllib3.util import Retry, Timeout
except ImportError as error:
    raise StoreError("a tracking server needs the package urllib3: pip install 'autotrack[http]'") from error

_REPEATED: Final = frozenset({408, 429, 500, 502, 503, 504})
_REFUSED: Final = frozenset({429, 503})
"""Answers that say that nothing was done."""

_CONNECTIONS: Final = 8
_CONNECT_SECONDS: Final = 10.0
_PIECE: Final = 1 << 20
_SHOWN: Final = 200


class Refused(StoreError):
    """The server answered, and did not do what it was asked to.

    Parameters
    ----------
    status : HTTP's number.
    code : MLflow's word for it, such as ``RESOURCE_DOES_NOT_EXIST``; empty where it gave none.
    kind : the name of the error that a server of ours tells of.
    said : its own message.
    """

    def __init__(self, message: str, status: int, code: str = "", kind: str = "", said: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.kind = kind
        self.said = said


class Transport:
    """Sends requests to one server. Safe for threads, and for forks: a child opens connections of its own."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.requests = 0
        self._lock = threading.Lock()
        self._pool: urllib3.PoolManager | None = None
        self._process = 0

    def json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        repeatable: bool = True,
    ) -> dict[str, Any]:
        """Call an endpoint that takes and gives JSON.

        Parameters
        ----------
        repeatable : whether doing it twice is doing it once.

        Raises
        ------
        Refused
            When the server says no.
        StoreError
            When it cannot be reached, or what answers is no MLflow.
        """
        data = None if body is None else dumps(body)
        headers = {"Content-Type": "application/json"} if data is not None else {}
        with self._send(method, path, data, headers, query, repeatable) as response:
            return self._parsed(method, path, response)

    def post(self, path: str, body: bytes) -> None:
        """Send JSON that is made already; doing it twice is doing it once.

        Raises
        ------
        StoreError
            As `json` does.
        """
        with self._send("POST", path, body, {"Content-Type": "application/json"}, None, True) as response:
            self._checked("POST", path, response)

    def upload(self, path: str, source: Path | bytes) -> None:
        """Send a file with ``PUT``, piece by piece.

        Raises
        ------
        StoreError
            When the file cannot be read or the server does not take it.
        """
        headers = {"Content-Type": "application/octet-stream"}
        if isinstance(source, bytes):
            with self._send("PUT", path, source, headers, None, True) as response:
                self._checked("PUT", path, response)
            return
        try:
            file = source.open("rb")
        except OSError as error:
            raise StoreError(f"cannot read {source}: {error}") from error
        with file:
            headers["Content-Length"] = str(os.fstat(file.fileno()).st_size)
            with self._send("PUT", path, file, headers, None, True) as response:
                self._checked("PUT", path, response)

    def read(self, path: str, query: Mapping[str, Any] | None = None) -> bytes:
        """The whole content of a small file.

        Raises
        ------
        StoreError
            As `json` does.
        """
        with self._send("GET", path, None, {}, query, True) as response:
            self._checked("GET", path, response)
            return bytes(response.data)

    def download(self, path: str, target: IO[bytes]) -> None:
        """Write a file's content to ``target``, piece by piece; begun anew when the connection breaks.

        Raises
        ------
        StoreError
            As `json` does.
        """
        attempts = max(1, self.address.retries)
        for attempt in range(1, attempts + 1):
            target.seek(0)
            target.truncate()
            with self._send("GET", path, None, {}, None, True, stream=True) as response:
                self._checked("GET", path, response)
                try:
                    for piece in response.stream(_PIECE):
                        target.write(piece)
                except HTTPError as error:
                    if attempt == attempts:
                        raise StoreError(
                            f"{self._place(path)}: the connection broke while reading: {_why(error)}"
                        ) from error
                    continue
            return

    def upload_part(self, url: str, headers: Mapping[str, str], data: bytes) -> str:
        """``PUT`` one part of a file to an address that the server signed, without our own secrets; gives its ETag.

        Raises
        ------
        StoreError
            When it is not taken.
        """
        self.requests += 1
        place = url.partition("?")[0]
        try:
            response = self._manager().request(
                "PUT", url, body=data, headers=dict(headers), retries=self._retries(True), redirect=False
            )
        except HTTPError as error:
            raise StoreError(f"cannot reach {place}: {_why(error)}") from error
        if response.status >= 300:
            raise Refused(f"{place} answered {response.status} to a part of a file", response.status)
        return str(response.headers.get("ETag", ""))

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._pool is not None and self._process == os.getpid():
                self._pool.clear()
            self._pool = None

    @contextmanager
    def _send(
        self,
        method: str,
        path: str,
        body: bytes | IO[bytes] | None,
        headers: dict[str, str],
        query: Mapping[str, Any] | None,
        repeatable: bool,
        stream: bool = False,
    ) -> Iterator[Any]:
        self.requests += 1
        if self.address.authorization is not None:
            headers = {**headers, "Authorization": self.address.authorization}
        url = self.address.url + path
        if query:
            from urllib.parse import urlencode

            url += "?" + urlencode({key: value for key, value in query.items() if value is not None})
        try:
            response = self._manager().request(
                method,
                url,
                body=body,
                headers=headers,
                retries=self._retries(repeatable),
                redirect=False,
                preload_content=not stream,
            )
        except HTTPError as error:
            raise StoreError(f"cannot reach the tracking server {self.address.url}: {_why(error)}") from error
        try:
            yield response
        finally:
            if stream:
                response.drain_conn() if response.status >= 300 else response.close()
            response.release_conn()

    def _manager(self) -> urllib3.PoolManager:
        with self._lock:
            if self._pool is None or self._process != os.getpid():
                self._pool = self._new_pool()
                self._process = os.getpid()
            return self._pool

    def _new_pool(self) -> urllib3.PoolManager:
        from urllib.request import getproxies, proxy_bypass

        address = self.address
        seconds = address.timeout or None
        options: dict[str, Any] = {
            "maxsize": _CONNECTIONS,
            "timeout": Timeout(connect=min(_CONNECT_SECONDS, seconds or _CONNECT_SECONDS), read=seconds),
            "headers": {"User-Agent": "autotrack", "Accept": "application/json, */*"},
        }
        if not address.verify:
            options |= {"cert_reqs": "CERT_NONE", "assert_hostname": False}
        if address.ca_certs:
            options["ca_certs"] = address.ca_certs
        if address.client_cert:
            options["cert_file"] = address.client_cert
        scheme, _, rest = address.url.partition("://")
        proxy = getproxies().get(scheme)
        if proxy and not proxy_bypass(rest.partition("/")[0]):
            return urllib3.ProxyManager(proxy, **options)
        return urllib3.PoolManager(**options)

    def _retries(self, repeatable: bool) -> Retry:
        total = self.address.retries
        return Retry(
            total=total,
            read=total if repeatable else 0,
            other=total if repeatable else 0,
            redirect=0,
            allowed_methods=None,
            status_forcelist=_REPEATED if repeatable else _REFUSED,
            raise_on_status=False,
            backoff_factor=0.2,
            backoff_jitter=0.2,
            backoff_max=10,
        )

    def _parsed(self, method: str, path: str, response: Any) -> dict[str, Any]:
        self._checked(method, path, response)
        try:
            data = json.loads(response.data or b"{}")
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise StoreError(f"{self._place(path)} is no MLflow tracking server: it answered {_shown(response)}")
        return data

    def _checked(self, method: str, path: str, response: Any) -> None:
        status = response.status
        if status < 300:
            return
        place = self._place(path)
        if status < 400:
            target = str(response.headers.get("Location", "")).partition("?")[0]
            raise StoreError(
                f"{place} sends one on to {target[:_SHOWN]!r} (a login page?); write the address that answers itself"
            )
        try:
            data = json.loads(response.data)
            code, message, kind = str(data["error_code"]), str(data.get("message", "")), str(data.get("error", ""))
        except (ValueError, KeyError, TypeError, AttributeError, HTTPError):
            code, message, kind = "", "", ""
        if status in (401, 403):
            way = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            said = "it wants to know who you are" if status == 401 else "you may not do this"
            raise Refused(f"{method} {place}: {said} ({status} {message or response.reason}); {way}", status, code)
        if not code:
            raise Refused(f"{method} {place}: answered {_shown(response)}; is that an MLflow tracking server?", status)
        raise Refused(f"{method} {place}: {code}: {message[:1000]}", status, code, kind, message)

    def _place(self, path: str) -> str:
        return self.address.url + path


def dumps(body: Mapping[str, Any]) -> bytes:
    """JSON as the server reads it."""
    return json.dumps(body, separators=(",", ":")).encode()


def _shown(response: Any) -> str:
    """What answered, in a few words."""
    kind = str(response.headers.get("Content-Type", "")).partition(";")[0] or "no type"
    try:
        text = " ".join(bytes(response.data[:_SHOWN]).decode("utf-8", "replace").split())
    except HTTPError:
        text = ""
    return f"{response.status} {response.reason or ''} ({kind}) {text!r}"


def _why(error: BaseException) -> str:
    """The reason in the innermost error, without the object's address that urllib3 puts before it."""
    if isinstance(error, MaxRetryError) and error.reason is not None:
        error = error.reason
    text = str(error)
    if ">: " in text:
        text = text.rpartition(">: ")[2]
    elif "): " in text and text.startswith(("HTTP", "<")):
        text = text.rpartition("): ")[2]
    if isinstance(error, SSLError):
        text += " (MLFLOW_TRACKING_SERVER_CERT_PATH names a file with the certificate to trust)"
    return text
