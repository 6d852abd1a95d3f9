"""Where a server keeps the files of a run or model: behind the server itself, or in a place that one reaches directly.

A file's name may hold what a server's path may not (it decodes ``%``, and refuses ``#``): such characters are written
``=`` and two hexadecimal digits per byte of UTF-8.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import IO, Final, Protocol
from urllib.parse import quote, unquote, urlsplit

from autotrack.errors import StoreError
from autotrack.stores.mlflow.rest.client import NOT_THERE, Client
from autotrack.stores.mlflow.rest.transport import Refused

ROOT: Final = "/api/2.0/mlflow-artifacts/artifacts"
_PARTS: Final = "/api/2.0/mlflow-artifacts/mpu/"

LARGE: Final = 100 << 20
"""Files of this size and above go up in parts, where the server offers it."""

PART: Final = 10 << 20
MAX_PARTS: Final = 10_000

_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f%#=\\:*?\"<>|\ud800-\udfff]")
_ESCAPED: Final = re.compile(r"(?:=[0-9A-F]{2})+")


@dataclass(frozen=True, slots=True)
class Found:
    """A file or folder. ``path`` is relative to its root."""

    path: str
    is_dir: bool
    size: int | None = None


class Files(Protocol):
    """The files below one root. Paths are relative to it, and have been checked not to leave it."""

    def listing(self, path: str) -> list[Found]:
        """What stands directly below a path, by name."""
        ...

    def upload(self, path: str, source: Path | bytes) -> None:
        """Put one file, whole or not at all."""
        ...

    def read(self, path: str) -> bytes:
        """The content of a small file.

        Raises
        ------
        FileNotFoundError
            When there is none.
        """
        ...

    def download(self, path: str, target: IO[bytes]) -> None:
        """Write a file's content to ``target``; raises as `read` does."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file or folder; nothing for one that is not there."""
        ...


def open_files(client: Client, uri: str) -> Files:
    """The files below an artifact URI that the server gave.

    Raises
    ------
    StoreError
        For a scheme that nothing here reaches.
    """
    parts = urlsplit(uri)
    if parts.scheme == "mlflow-artifacts":
        if parts.netloc and parts.netloc != urlsplit(client.transport.address.url).netloc:
            raise StoreError(f"the artifacts are on another server ({parts.netloc}), which is not supported")
        return ServedFiles(client, unquote(parts.path))
    if parts.scheme in ("http", "https") and ROOT in uri:
        base, _, path = uri.partition(ROOT)
        if base == client.transport.address.url:
            return ServedFiles(client, unquote(path))
    if parts.scheme in ("", "file") and parts.netloc in ("", "localhost"):
        return FolderFiles(Path(unquote(parts.path)))
    if parts.scheme in ("s3", "gs", "az", "abfs", "abfss"):
        return BucketFiles(uri)
    raise StoreError(
        f"the server keeps artifacts in {uri.partition('?')[0]} and does not pass them on: "
        "start it with --serve-artifacts, so that they go through it"
    )


class ServedFiles:
    """Files that go through the tracking server.

    Parameters
    ----------
    root : the path of the folder, below the server's own root.
    """

    def __init__(self, client: Client, root: str) -> None:
        self._client = client
        self._root = root.strip("/")

    def listing(self, path: str) -> list[Found]:
        here = "/".join(part for part in (self._root, _escaped(path)) if part)
        try:
            answer = self._client.transport.json("GET", ROOT, query={"path": here})
        except Refused as error:
            if error.code == NOT_THERE:
                return []
            raise
        prefix = f"{path}/" if path else ""
        found = []
        for file in answer.get("files", ()):
            name = _name_from(str(file["path"]).rstrip("/").rpartition("/")[2])
            if name is None:
                continue
            is_dir = bool(file.get("is_dir"))
            size = None if is_dir or file.get("file_size") is None else int(file["file_size"])
            found.append(Found(prefix + name, is_dir, size))
        if len(found) == 1 and not found[0].is_dir and path and found[0].path == prefix + path.rpartition("/")[2]:
            # Some storages list a file as a folder with itself in it.
            return []
        return sorted(found, key=lambda item: item.path)

    def upload(self, path: str, source: Path | bytes) -> None:
        size = len(source) if isinstance(source, bytes) else _size(source)
        if isinstance(source, Path) and size >= LARGE and self._client.takes_parts():
            self._upload_parts(path, source, size)
        else:
            self._client.transport.upload(self._url(path), source)

    def read(self, path: str) -> bytes:
        try:
            return self._client.transport.read(self._url(path))
        except Refused as error:
            raise self._missing(path, error) from error

    def download(self, path: str, target: IO[bytes]) -> None:
        try:
            self._client.transport.download(self._url(path), target)
        except Refused as error:
            raise self._missing(path, error) from error

    def delete(self, path: str) -> None:
        try:
            self._client.transport.json("DELETE", self._url(path))
        except Refused as error:
            if error.code != NOT_THERE:
                raise

    def _upload_parts(self, path: str, source: Path, size: int) -> None:
        """Straight to what keeps the files, at addresses that the server signs; whole only when all parts are there."""
        part = max(PART, -(-size // MAX_PARTS))
        target = f"{self._root}/{_escaped(path)}"
        folder, _, name = target.rpartition("/")
        where = quote(folder)
        transport = self._client.transport
        begun = transport.json("POST", f"{_PARTS}create/{where}", {"path": name, "num_parts": -(-size // part)})
        upload = begun["upload_id"]
        try:
            parts = []
            with source.open("rb") as file:
                for given in sorted(begun["credentials"], key=lambda given: int(given["part_number"])):
                    number = int(given["part_number"])
                    file.seek((number - 1) * part)
                    tag = transport.upload_part(given["url"], given.get("headers", {}), file.read(part))
                    parts.append({"part_number": number, "etag": tag, "url": given["url"]})
            body = {"path": name, "upload_id": upload, "parts": parts}
            transport.json("POST", f"{_PARTS}complete/{where}", body)
        except BaseException as error:
            try:
                transport.json("POST", f"{_PARTS}abort/{where}", {"path": name, "upload_id": upload})
            except StoreError:  # the parts are swept up by the storage's own rules
                pass
            if isinstance(error, OSError):
                raise StoreError(f"cannot read {source}: {error}") from error
            raise

    def _url(self, path: str) -> str:
        return f"{ROOT}/{quote(f'{self._root}/{_escaped(path)}')}"

    def _missing(self, path: str, error: Refused) -> Exception:
        if error.status == 404 or error.code == NOT_THERE:
            return FileNotFoundError(path)
        # A folder, and on some storages a file that is not there, is answered with an error of another kind.
        folder, _, _ = path.rpartition("/")
        names = {item.path for item in self.listing(folder) if not item.is_dir}
        return error if path in names else FileNotFoundError(path)


class FolderFiles:
    """Files in a folder that this machine shares with the server."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def listing(self, path: str) -> list[Found]:
        try:
            with os.scandir(self._inside(path)) as entries:
                found = []
                for entry in entries:
                    if ".tmp-" not in entry.name and self._is_inside(entry.path):
                        is_dir = entry.is_dir()
                        size = None if is_dir else entry.stat().st_size
                        found.append(Found(f"{path}/{entry.name}" if path else entry.name, is_dir, size))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return []
        except OSError as error:
            raise StoreError(f"cannot list {self._root / path}: {error}") from error
        return sorted(found, key=lambda item: item.path)

    def upload(self, path: str, source: Path | bytes) -> None:
        target = self._root / path
        partial = target.with_name(f"{target.name}.tmp-{os.urandom(4).hex()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                if isinstance(source, bytes):
                    partial.write_bytes(source)
                else:
                    shutil.copyfile(source, partial)
                os.replace(partial, target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(
                f"the server keeps artifacts in the folder {self._root} of its own machine, and it cannot be written "
                f"to from here ({error.strerror}): start it with --serve-artifacts, so that they go through it"
            ) from error

    def read(self, path: str) -> bytes:
        return self._inside(path).read_bytes()

    def download(self, path: str, target: IO[bytes]) -> None:
        try:
            with self._inside(path).open("rb") as file:
                shutil.copyfileobj(file, target, 1 << 20)
        except (IsADirectoryError, NotADirectoryError):
            raise FileNotFoundError(path) from None

    def _inside(self, path: str) -> Path:
        """Where a file stands; as one that is not there where a link leads out of the root."""
        if not self._is_inside(self._root / path):
            raise FileNotFoundError(path)
        return self._root / path

    def _is_inside(self, path: str | Path) -> bool:
        root = os.path.realpath(self._root)
        return (os.path.realpath(path) + os.sep).startswith(root + os.sep)

    def delete(self, path: str) -> None:
        target = self._root / path
        try:
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot remove {target}: {error}") from error


class BucketFiles:
    """Files in an object store that the server and this machine both reach.

    Parameters
    ----------
    uri : ``s3://BUCKET/PREFIX`` of the folder; who one is to it stands in the environment.
    """

    def __init__(self, uri: str) -> None:
        from autotrack.stores.artifacts.object_client import Bucket

        self._bucket = Bucket(uri)

    def listing(self, path: str) -> list[Found]:
        prefix = f"{_escaped(path)}/" if path else ""
        found: dict[str, Found] = {}
        for item in self._bucket.listing(prefix.rstrip("/")):
            if item.key.startswith(prefix):
                first, deeper, _ = item.key[len(prefix) :].partition("/")
                name = _name_from(first)
                if name is None:
                    continue
                below = f"{path}/{name}" if path else name
                found[below] = Found(below, True) if deeper else Found(below, False, item.size)
        return [found[name] for name in sorted(found)]

    def upload(self, path: str, source: Path | bytes) -> None:
        if isinstance(source, Path):
            self._bucket.upload(source, _escaped(path))
            return
        with NamedTemporaryFile() as file:
            file.write(source)
            file.flush()
            self._bucket.upload(Path(file.name), _escaped(path))

    def read(self, path: str) -> bytes:
        from autotrack.stores.artifacts.object_client import Missing

        try:
            return self._bucket.read(_escaped(path))[0]
        except Missing:
            raise FileNotFoundError(path) from None

    def download(self, path: str, target: IO[bytes]) -> None:
        from autotrack.stores.artifacts.object_client import Missing

        with TemporaryDirectory() as folder:
            fetched = Path(folder, "fetched")
            try:
                self._bucket.download(_escaped(path), fetched)
            except Missing:
                raise FileNotFoundError(path) from None
            with fetched.open("rb") as file:
                shutil.copyfileobj(file, target, 1 << 20)

    def delete(self, path: str) -> None:
        self._bucket.delete([_escaped(path), *(_escaped(item.path) for item in walk(self, path))])


def walk(files: Files, path: str) -> list[Found]:
    """All files below a path, at any depth."""
    found = []
    for item in files.listing(path):
        if item.is_dir:
            found += walk(files, item.path)
        else:
            found.append(item)
    return found


def safe_path(path: str) -> str | None:
    """A relative path with its superfluous parts gone; ``None`` for one that is absolute, climbs or can be none."""
    if "\0" in path or path.startswith("/"):
        return None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return None if ".." in parts else "/".join(parts)


def _size(source: Path) -> int:
    try:
        return source.stat().st_size
    except OSError as error:
        raise StoreError(f"cannot read {source}: {error}") from error


def _escaped(path: str) -> str:
    return _UNSAFE.sub(lambda char: "".join(f"={byte:02X}" for byte in char[0].encode("utf-8", "surrogatepass")), path)


def _name_from(name: str) -> str | None:
    """A file's name as it was before `_escaped`; ``None`` for one that leads out of its folder."""

    def plain(run: re.Match[str]) -> str:
        try:
            return bytes.fromhex(run[0].replace("=", "")).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return run[0]

    found = _ESCAPED.sub(plain, name)
    return None if found in ("", ".", "..") or "/" in found or "\0" in found else found
