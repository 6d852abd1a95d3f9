"""Digests of files and folders, as ``"sha256:<hex>"``: by them a reader tells that it has what the writer wrote."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from typing import Final

PREFIX: Final = "sha256:"


def of_bytes(data: bytes) -> str:
    """The digest of bytes."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def of_file(path: str | os.PathLike[str]) -> str:
    """The digest of a file, read piece by piece.

    Raises
    ------
    OSError
        When it cannot be read, or is a device or a pipe, which might have no end.
    """
    with open_file(path) as file:
        return of_open_file(file)


def of_open_file(file: BufferedReader) -> str:
    """The digest of what is left to read of a file."""
    return PREFIX + hashlib.file_digest(file, "sha256").hexdigest()


def open_file(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a plain file to read it; does not wait for a pipe's writer.

    Raises
    ------
    OSError
        When it cannot be opened, or is none.
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(None, "it is no plain file", os.fspath(path))


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))


def of_folder(folder: str | os.PathLike[str]) -> str:
    """The digest of all files below a folder: of one line ``path NUL digest`` each, in the order of the paths.

    A ``__pycache__`` is left out: other programs that import a model's ``code/`` write it, and we never read it.

    Raises
    ------
    OSError
        When one cannot be read.
    """
    return of_digests({name: of_file(os.path.join(folder, name)) for name in list(files_of(folder))})


def files_of(folder: str | os.PathLike[str]) -> Iterator[str]:
    """The files that `of_folder` takes, by their path relative to the folder, with forward slashes."""
    root = os.fspath(folder)
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in names:
            yield os.path.relpath(os.path.join(place, name), root).replace(os.sep, "/")


def of_digests(files: dict[str, str]) -> str:
    """The digest of a folder whose files (by path relative to it, with forward slashes) have these digests."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{files[name]}\n".encode("utf-8", "surrogatepass"))
    return PREFIX + whole.hexdigest()


def mismatch(run_id: str, path: str, logged: str, found: str) -> str:
    """What is said of an artifact that is not what was logged."""
    return (
        f"artifact {path!r} of run {run_id!r} is not what was logged: its digest is {found}, the logged one {logged}; "
        "it was changed or damaged since"
    )


def is_digest(digest: str) -> bool:
    """Whether this is a digest of these, which can be verified."""
    hexadecimal = digest.removeprefix(PREFIX)
    return digest != hexadecimal and len(hexadecimal) == 64 and set(hexadecimal) <= set("0123456789abcdef")
