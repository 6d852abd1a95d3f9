"""The files of a model folder: opened inside of it and nowhere else, and read as they were when they were hashed.

A folder whose digest is known is read once. What is small is kept in memory and larger files stay open, so that what
is loaded is what was hashed, even when somebody puts another file in its place meanwhile. A file larger than `KEPT`
that is written over in place between the two is not noticed; nor are modules in ``code/``, which Python opens by
itself.
"""

from __future__ import annotations

import io
import os
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from autotrack import digests
from autotrack.errors import ModelError

KEPT: Final = 64 * 2**20
"""Bytes of a folder's files, all together, that are kept in memory."""

_MOST_OPEN: Final = 16
_MOST_FILES: Final = 10_000


class ModelFiles:
    """The files of one folder; to be used in a ``with`` block.

    Parameters
    ----------
    folder : a model folder.

    Raises
    ------
    ModelError
        When there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        try:
            self._root: Final = os.path.realpath(folder, strict=True)
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder} is not a model folder: no MLmodel in it (it does not exist)") from error
        self.is_hashed = False
        self._kept: dict[str, bytes] = {}
        self._open: dict[str, BufferedReader] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for file in self._open.values():
            file.close()

    def digest(self) -> str:
        """The digest of the folder, as `autotrack.digests.of_folder`; from now on its files are read as they are now.

        Raises
        ------
        ModelError
            When one of them cannot be read, leads out of the folder, or they are too many.
        """
        self.is_hashed = True
        taken: dict[str, str] = {}
        left = KEPT
        for path in digests.files_of(self._root):
            if len(taken) == _MOST_FILES:
                raise ModelError(f"{self.folder} has more than {_MOST_FILES:,} files: that is no model folder")
            file = self._opened(path)
            try:
                size = os.fstat(file.fileno()).st_size
                if size <= left:
                    data = file.read()
                    left -= len(data)
                    taken[path], self._kept[path] = digests.of_bytes(data), data
                else:
                    taken[path] = digests.of_open_file(file)
            except OSError as error:
                raise ModelError(f"{self.folder / path} cannot be read: {error}") from error
            finally:
                if path in self._kept or len(self._open) == _MOST_OPEN:
                    file.close()
                else:
                    self._open[path] = file
        return digests.of_digests(taken)

    def find(self, name: str, what: str) -> str:
        """The path of a file or folder below the root, with links followed, as ``/``-separated parts.

        Parameters
        ----------
        name : as the ``MLmodel`` states it, which anybody may have written.
        what : for errors: ``"model file"``.

        Raises
        ------
        ModelError
            When it is outside of the folder, or not there.
        """
        try:
            path = os.path.realpath(os.path.join(self._root, name))
            is_there = os.path.exists(path)
        except (OSError, ValueError) as error:
            raise ModelError(f"{self.folder} names the {what} {name!r}: {error}") from error
        if not path.startswith(self._root.rstrip(os.sep) + os.sep):
            raise ModelError(f"{self.folder} names the {what} {name!r}, which is outside of the folder")
        if not is_there:
            raise ModelError(f"{self.folder} names the {what} {name!r}, which is not there")
        return os.path.relpath(path, self._root).replace(os.sep, "/")

    def path(self, found: str) -> Path:
        """Where what `find` gave stands on disk."""
        return Path(self._root, found)

    def kept(self, found: str) -> bytes | None:
        """The bytes of a file as they were hashed; ``None`` for one that was not, or is too large."""
        return self._kept.get(found)

    def open(self, found: str) -> BinaryIO:
        """A file, as it was hashed where it was.

        Raises
        ------
        ModelError
            When it cannot be opened.
        """
        if (data := self._kept.get(found)) is not None:
            return io.BytesIO(data)
        if (file := self._open.pop(found, None)) is not None:
            file.seek(0)
            return file
        return self._opened(found)

    def read(self, found: str, most: int) -> bytes:
        """A whole file.

        Raises
        ------
        ModelError
            When it cannot be read, or has more bytes than that.
        """
        with self.open(found) as file:
            try:
                size = file.seek(0, os.SEEK_END)
                file.seek(0)
                data = file.read(min(size, most) + 1)
            except OSError as error:
                raise ModelError(f"{self.folder / found} cannot be read: {error}") from error
        if len(data) > most:
            raise ModelError(f"{self.folder / found} is larger than {most / 2**20:,.0f} MiB, which is too large for it")
        return data

    def _opened(self, path: str) -> BufferedReader:
        target = os.path.join(self._root, path)
        try:
            real = os.path.realpath(target)
            if not real.startswith(self._root.rstrip(os.sep) + os.sep):
                raise ModelError(f"{self.folder}: {path!r} is a link that leads out of the folder")
            return digests.open_file(real)
        except (OSError, ValueError) as error:
            raise ModelError(f"{self.folder / path} cannot be opened: {error}") from error
