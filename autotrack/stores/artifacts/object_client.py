"""One bucket of an object store: streams in and out, and errors in one line that names what was asked.

Built on obstore, which retries with back-off, loads large files up in parts and reads the usual variables for endpoint,
region and credentials (``AWS_…``, ``GOOGLE_…``, ``AZURE_…``). The parts of an upload that broke off are invisible; the
bucket should have a rule that removes them ("AbortIncompleteMultipartUpload"), because no call of obstore lists them.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from autotrack import digests
from autotrack.errors import StoreError

TIMEOUT_VARIABLE: Final = "AUTOTRACK_OBJECT_STORE_TIMEOUT"
TIMEOUT: Final = 120.0
"""Seconds after which a request that fails is not tried again."""

_CHUNK: Final = 8 * 1024 * 1024
"""Bytes of a part; so many times `_AT_ONCE` are in memory."""

_AT_ONCE: Final = 4
_MOST_PARTS: Final = 9000
_PATIENCE: Final = 60.0
"""Seconds without a byte after which a connection counts as broken."""

_HTTP_FIRST: Final = {"s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"), "az": ("AZURE_ENDPOINT",)}
_ALLOW_HTTP: Final = {"s3": ("AWS_ALLOW_HTTP",), "az": ("AZURE_ALLOW_HTTP", "AZURE_STORAGE_USE_HTTP")}

_process: int | None = None
"""The process whose threads obstore uses; in a forked child it would wait for them for ever."""


class Found(NamedTuple):
    """An object as a listing shows it: ``modified`` in seconds since the epoch."""

    key: str
    size: int
    modified: float


class Changed(Exception):
    """An object is not (or no longer) the one that was to be replaced."""


class Missing(Exception):
    """There is no such object."""


class Bucket:
    """The objects below one prefix of a bucket (or container). Every method may be called from several threads.

    Parameters
    ----------
    uri : ``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX`` or ``az://CONTAINER/PREFIX``.
    timeout : seconds after which a request that fails is not tried again; the variable
        ``AUTOTRACK_OBJECT_STORE_TIMEOUT`` or else two minutes when left out.

    Raises
    ------
    StoreError
        For another URI, or when obstore is not installed or refuses what stands in the environment. Every other method
        raises it, too, for an answer of the server that it cannot use, and for none.
    """

    def __init__(self, uri: str, *, timeout: float | None = None) -> None:
        scheme, bucket, prefix = _parts_of_uri(uri)
        self.uri: Final = f"{scheme}://{bucket}" + (f"/{prefix}" if prefix else "")
        try:
            import obstore
            from obstore import exceptions, store
        except ImportError as error:
            raise StoreError(
                f"artifacts in {scheme}:// need the package obstore, which cannot be imported ({error}): "
                "pip install 'autotrack[cloud]'"
            ) from error
        self._obstore: Final = obstore
        self._errors: Final = exceptions
        limit = _timeout() if timeout is None else timeout
        options: dict[str, Any] = {
            "client_options": {
                "connect_timeout": timedelta(seconds=min(5.0, limit)),
                "read_timeout": timedelta(seconds=min(_PATIENCE, limit)),
                "timeout": timedelta(days=1),  # of a whole transfer, however large
                "allow_http": _allows_http(scheme),
            },
            "retry_config": {"max_retries": 10, "retry_timeout": timedelta(seconds=limit)},
            "prefix": prefix or None,
        }
        make = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[scheme]
        with self._asking("cannot be opened", connects=False):
            self._store: Final[Any] = make(bucket, **options)

    def listing(self, prefix: str) -> list[Found]:
        """The objects below a prefix."""
        with self._asking(f"cannot list {prefix}/"):
            pages = self._obstore.list(self._store, prefix)
            return [Found(o["path"], o["size"], o["last_modified"].timestamp()) for page in pages for o in page]

    def folders(self) -> list[str]:
        """The first parts of the keys that have more than one."""
        with self._asking("cannot be listed"):
            return list(self._obstore.list_with_delimiter(self._store)["common_prefixes"])

    def read(self, key: str) -> tuple[bytes, dict[str, str]]:
        """A small object and the mark by which `write` knows it again.

        Raises
        ------
        Missing
            When there is none.
        """
        with self._asking(f"cannot read {key}"):
            answer = self._obstore.get(self._store, key)
            marks = {"e_tag": answer.meta["e_tag"], "version": answer.meta["version"]}
            return bytes(answer.bytes()), {name: mark for name, mark in marks.items() if mark}

    def write(self, key: str, data: bytes, replacing: dict[str, str] | None) -> None:
        """Write a small object in the place of the one with this mark, or with ``None`` where there is none.

        Raises
        ------
        Changed
            When something else stands there. A server that cannot tell replaces it.
        """
        mode: Any = "create" if replacing is None else replacing
        with self._asking(f"cannot write {key}"):
            try:
                self._obstore.put(self._store, key, data, mode=mode)
            except (self._errors.AlreadyExistsError, self._errors.PreconditionError):
                raise Changed(key) from None
            except FileNotFoundError as error:
                if replacing is None:
                    raise
                raise Changed(key) from error
            except (NotImplementedError, self._errors.NotSupportedError):
                self._obstore.put(self._store, key, data)

    def upload(self, source: Path, key: str) -> tuple[int, str]:
        """Stream a file to an object, whole or not at all; gives its size and digest.

        Raises
        ------
        StoreError
            When it cannot be read, too.
        """
        with self._asking(f"cannot write {key}"), _Reading(source) as file:
            if file.size <= _CHUNK:
                data = file.read(_CHUNK + 1)
                if len(data) <= _CHUNK:
                    self._obstore.put(self._store, key, data, use_multipart=False)
                    return len(data), file.digest
                file.again()
            chunk = max(_CHUNK, file.size // _MOST_PARTS + 1)
            self._obstore.put(
                self._store, key, file.chunks(chunk), use_multipart=True, chunk_size=chunk, max_concurrency=_AT_ONCE
            )
            return file.count, file.digest

    def download(self, key: str, target: Path) -> None:
        """Stream an object to a file.

        Raises
        ------
        Missing
            When there is none.
        OSError
            When this machine's disk refuses it.
        """
        with self._asking(f"cannot read {key}"):
            stream = iter(self._obstore.get(self._store, key).stream(min_chunk_size=1024 * 1024))
        with target.open("xb") as file:
            while True:
                with self._asking(f"cannot read {key}"):
                    piece = next(stream, None)
                if piece is None:
                    return
                file.write(piece)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is gone already is no error."""
        for key_list in _hundreds(keys):
            with self._asking(f"cannot remove {key_list[0]}"):
                try:
                    self._obstore.delete(self._store, key_list)
                except FileNotFoundError:
                    for key in key_list:
                        try:
                            self._obstore.delete(self._store, key)
                        except FileNotFoundError:
                            continue

    @contextmanager
    def _asking(self, what: str, *, connects: bool = True) -> Iterator[None]:
        global _process
        if _process is None and connects:
            _process = os.getpid()
        elif _process not in (None, os.getpid()):
            raise StoreError(
                f"{self.uri} {what}: this process was forked from one that used an object store, and the threads that "
                "it needs did not come along; use a process that was spawned"
            )
        try:
            yield
        except (StoreError, Changed):
            raise
        except _SourceError as error:
            raise StoreError(f"{error.cause.filename} cannot be read: {error.cause.strerror}") from error.cause
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
                raise StoreError(f"{self.uri} {what}: {_in_one_line(error)}") from None
            raise Missing(str(error)) from None
        except (self._errors.BaseError, OSError, ValueError, NotImplementedError) as error:
            # The whole answer, with headers and query strings, is kept out of what is raised and chained.
            raise StoreError(f"{self.uri} {what}: {_in_one_line(error)}") from None


class _SourceError(Exception):
    """The file to be uploaded cannot be read."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Reading:
    """A file that is read once, with its digest; the ``OSError`` of reading it becomes a `_SourceError`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Reading:
        try:
            self._file = open(self._path, "rb", buffering=0, opener=_open_without_waiting)
            status = os.fstat(self._file.fileno())
            if not stat.S_ISREG(status.st_mode):
                self._file.close()
                raise OSError(None, "it is no file", str(self._path))
        except OSError as error:
            raise _SourceError(error) from error
        self.size: int = status.st_size
        self.again()
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def again(self) -> None:
        """Begin at the beginning."""
        self._hash = hashlib.sha256()
        self.count = 0
        self._file.seek(0)

    @property
    def digest(self) -> str:
        """Of what was read so far."""
        return digests.PREFIX + self._hash.hexdigest()

    def read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end."""
        pieces = []
        try:
            while size > 0 and (piece := self._file.read(size)):
                pieces.append(piece)
                size -= len(piece)
        except OSError as error:
            error.filename = error.filename or str(self._path)
            raise _SourceError(error) from error
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._hash.update(data)
        self.count += len(data)
        return data

    def chunks(self, size: int) -> Iterator[bytes]:
        """The rest, piece by piece."""
        while data := self.read(size):
            yield data


def _open_without_waiting(path: str, flags: int) -> int:
    """A pipe among the files must not stop us."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))


def _parts_of_uri(uri: str) -> tuple[str, str, str]:
    scheme, _, rest = uri.strip().partition("://")
    scheme = scheme.lower()
    scheme = "az" if scheme in ("abfs", "abfss") else scheme
    bucket, _, prefix = rest.partition("/")
    form = f"write {scheme}://{'container' if scheme == 'az' else 'bucket'}/prefix"
    if "@" in bucket or "?" in rest or "#" in bucket:
        # What stands there may be secret: it is not repeated.
        raise StoreError(
            f"a {scheme}:// URI carries no user, password or options; {form} and set the provider's usual environment "
            "variables"
        )
    parts = [part for part in prefix.split("/") if part]
    odd = any(part in (".", "..") or any(ord(char) < 32 or ord(char) == 127 for char in part) for part in parts)
    if not bucket or odd or any(char.isspace() for char in bucket):
        raise StoreError(f"{uri!r} names no place in an object store; {form}")
    return scheme, bucket, "/".join(parts)


def _timeout() -> float:
    text = os.environ.get(TIMEOUT_VARIABLE, "").strip()
    if not text:
        return TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86400:
        raise StoreError(f"{TIMEOUT_VARIABLE}={text!r}: expected a number of seconds")
    return seconds


def _allows_http(scheme: str) -> bool:
    """Whether the environment names an endpoint without TLS, or allows one."""
    endpoint = next((os.environ[name] for name in _HTTP_FIRST.get(scheme, ()) if os.environ.get(name)), "")
    allowed = (os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in _ALLOW_HTTP.get(scheme, ()))
    return endpoint.startswith("http://") or any(allowed)


def _in_one_line(error: BaseException) -> str:
    """What a person can use of an error: the provider's code and message, else the first paragraph; no query string."""
    text = str(error).partition("\nDebug source")[0]
    code, message = (re.search(f"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message"))
    if code is not None:
        return " ".join(f"{code[1]}: {message[1]}".split()) if message is not None else code[1]
    text = re.sub(r"(https?://)[^/@\s]*@", r"\1", text)
    text = re.sub(r"(https?://[^\s?]*)\?\S*", r"\1", text)
    return " ".join(text.split()) or type(error).__name__


def _hundreds(keys: Iterable[str]) -> Iterator[list[str]]:
    key_list = list(keys)
    for start in range(0, len(key_list), 500):
        yield key_list[start : start + 500]
