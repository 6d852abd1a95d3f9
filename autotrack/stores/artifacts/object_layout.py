"""How the artifacts of a run stand in an object store, and which of its objects a reader sees.

``PREFIX/<run id>/<path>`` is a file, under its own name, so that other tools find it; one PUT makes it visible. A
folder has no such moment, so it has a manifest besides, ``PREFIX/<run id>/.autotrack/<id>.json``: of all that stands
below the folder, a reader sees what the manifest lists and nothing else. A folder is put in this order:

1. a manifest that shows nothing yet and says which objects are to come (``pending``),
2. the files, under their own names,
3. the manifest that shows them, in the place of the first.

Where something stands under those names already, step 1 is left out and the new files go to
``PREFIX/<run id>/.autotrack/<id>/<path>``; then the manifest, in one PUT, shows these instead of the old ones, which
are removed. So does a file that takes the place of a folder above another's manifest: under its own name it would be
seen before that is gone. Manifests are replaced only by who has seen the latest (If-Match), so that writers at the same
time do not undo each other.

A writer that was killed anywhere on the way leaves what stood there before, and objects that nobody sees:
`ObjectArtifacts.garbage` finds them. A manifest that shows nothing yet is what hides them. It is garbage only together
with all of them, and removed last.

A manifest is JSON: ``path`` of the folder, ``files`` (path → object, size, digest), ``complete``, ``pending``. Paths in
it are relative to the run's artifacts, objects to the run's prefix. A character that a key cannot have (ASCII control
characters, a lone surrogate, a backslash, and a ``%`` before two hexadecimal digits) stands in it as ``%XX``, in UTF-8.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

HIDDEN: Final = ".autotrack"
"""The part of a run's prefix that holds manifests and replaced folders; no artifact has its name."""

_VERSION: Final = 1
_ODD: Final = re.compile(r"[\x01-\x1f\x7f\\\ud800-\udfff\ufffe\uffff]|%(?=[0-9A-Fa-f]{2})")
_ENCODED: Final = re.compile(r"(?:%[0-9A-F]{2})+")


class Stored(NamedTuple):
    """A file: ``key`` of its object below the run's prefix, ``size`` in bytes, ``digest`` where it is known."""

    key: str
    size: int | None
    digest: str = ""


@dataclass
class Manifest:
    """What a reader sees below a folder.

    Parameters
    ----------
    path : of the folder.
    files : by path; the folder's own path for a file that took the place of the folder.
    complete : whether what stands at the path was put whole; false while a folder is put for the first time.
    pending : files that are being put, by path.
    mark : by which the server knows the version that was read; ``None`` for one that is to be new.
    """

    path: str
    files: dict[str, Stored] = field(default_factory=dict)
    complete: bool = True
    pending: dict[str, Stored] = field(default_factory=dict)
    mark: dict[str, str] | None = None

    @property
    def shows_nothing(self) -> bool:
        """Whether it only hides what stands below its path; a folder that is empty is shown."""
        return not self.complete and not self.files

    @property
    def key(self) -> str:
        """Where it stands below the run's prefix."""
        return manifest_key(self.path)

    def to_bytes(self) -> bytes:
        """As it is stored."""
        data: dict[str, Any] = {"version": _VERSION, "path": self.path, "complete": self.complete}
        data["files"] = {path: _to_json(self.files[path]) for path in sorted(self.files)}
        if self.pending:
            data["pending"] = {path: _to_json(self.pending[path]) for path in sorted(self.pending)}
        return json.dumps(data, indent=1).encode()

    @classmethod
    def from_bytes(cls, data: bytes, mark: dict[str, str] | None) -> Manifest:
        """Undo `to_bytes`.

        Raises
        ------
        ValueError
            When it is no manifest, or one of a later version.
        """
        try:
            found = json.loads(data)
            version = found["version"]
            if version == _VERSION:
                files, pending = (
                    {str(path): _from_json(entry) for path, entry in found.get(name, {}).items()}
                    for name in ("files", "pending")
                )
                folder = str(found["path"])
                for path, file in (*files.items(), *pending.items()):
                    if not (is_at_or_below(path, folder) and _is_plain(path) and _is_plain(file.key)):
                        raise ValueError(f"{path!r} is no path below {folder!r}, or leads to no object of the run")
                return cls(folder, files, bool(found["complete"]), pending, mark)
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise ValueError(f"it is no manifest: {error!r}") from error
        raise ValueError(f"it is of version {version!r}, which a later autotrack wrote")


@dataclass
class RunObjects:
    """All objects of a run, by key, and its manifests, by the path of their folder."""

    objects: dict[str, Stored]
    manifests: dict[str, Manifest]

    def governing(self, path: str) -> Manifest | None:
        """The manifest that says what is seen at a path: that of the outermost folder around it which has one."""
        return next((self.manifests[folder] for folder in (*_folders_of(path), path) if folder in self.manifests), None)

    def files(self) -> dict[str, Stored]:
        """The files that a reader sees, by path."""
        found: dict[str, Stored] = {}
        for folder, manifest in self.manifests.items():
            if self.governing(folder) is manifest:
                found.update(manifest.files)
        plain: dict[str, Stored] = {}
        for key in sorted(self.objects):
            path = path_of(key)
            if not is_hidden(key) and self.governing(path) is None and (path not in plain or key == key_of(path)):
                plain[path] = self.objects[key]
        # A folder that a file took the place of may not be gone yet.
        found.update((path, file) for path, file in plain.items() if not any(f in plain for f in _folders_of(path)))
        return found

    def folders(self) -> set[str]:
        """The folders that a reader sees: those of files, and those that were put, be they empty."""
        files = self.files()
        found = {folder for path in files for folder in _folders_of(path)}
        for path, manifest in self.manifests.items():
            if manifest.complete and path not in files and self.governing(path) is manifest:
                found |= {path, *_folders_of(path)}
        return found

    def unseen(self) -> list[str]:
        """Keys of the objects that no reader sees, manifests that say nothing included."""
        needed = {file.key for file in self.files().values()}
        needed |= {m.key for path, m in self.manifests.items() if not m.shows_nothing and self.governing(path) is m}
        return [key for key in sorted(self.objects) if key not in needed]

    def removable(self, keys: Iterable[str]) -> tuple[list[str], list[str]]:
        """Which of these keys may be removed without a change to what a reader sees: those, and those after them.

        What comes after are manifests that hide others of them; while one of the objects that it hides is to stay, so
        is the manifest.
        """
        asked = set(keys)
        unseen = [key for key in self.unseen() if key in asked]
        hiding = {m.key: path for path, m in self.manifests.items() if m.shows_nothing and self.governing(path) is m}
        last = [key for key in unseen if key in hiding and self._below(hiding[key]) - {key} <= asked]
        return [key for key in unseen if key not in hiding], last

    def _below(self, path: str) -> set[str]:
        """Keys of the objects under a path and below it, and of the manifests."""
        keys = {key for key in self.objects if not is_hidden(key) and is_at_or_below(path_of(key), path)}
        return keys | {m.key for other, m in self.manifests.items() if is_at_or_below(other, path)}

    def is_free(self, path: str) -> bool:
        """Whether nothing stands under a path or below it, seen or not."""
        return not self._below(path)


def is_at_or_below(path: str, folder: str) -> bool:
    """Whether a path is the folder's or leads into it; every path leads into the blank one."""
    return path == folder or not folder or path.startswith(folder + "/")


def below(files: Mapping[str, Stored], folder: str) -> dict[str, Stored]:
    """Those of the files that stand at a path or below it."""
    return {path: file for path, file in files.items() if is_at_or_below(path, folder)}


def is_hidden(key: str) -> bool:
    """Whether a key, below the run's prefix, is of our own book-keeping."""
    return key == HIDDEN or key.startswith(HIDDEN + "/")


def is_manifest(key: str) -> bool:
    """Whether a key, below the run's prefix, is of a manifest."""
    return re.fullmatch(rf"{re.escape(HIDDEN)}/[0-9a-f]{{32}}\.json", key) is not None


def manifest_key(path: str) -> str:
    """The key of a folder's manifest, below the run's prefix: the same for every writer."""
    return f"{HIDDEN}/{hashlib.sha256(path.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.json"


def key_of(path: str) -> str:
    """The key of a path's own object, below the run's prefix."""
    return _ODD.sub(lambda match: _percent(match[0]), path)


def path_of(key: str) -> str:
    """Undo `key_of`; a key that it does not give stands for itself."""
    path = _ENCODED.sub(lambda match: _decoded(match[0]), key)
    return path if key_of(path) == key else key


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _is_plain(path: str) -> bool:
    return "\0" not in path and not any(part in ("", ".", "..") for part in path.split("/"))


def _decoded(text: str) -> str:
    try:
        return bytes.fromhex(text.replace("%", "")).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return text


def _folders_of(path: str) -> Iterable[str]:
    """The folders around a path, the outermost first."""
    parts = path.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts)))


def _to_json(file: Stored) -> dict[str, Any]:
    return {"object": file.key, "size": file.size, "digest": file.digest}


def _from_json(data: Mapping[str, Any]) -> Stored:
    size = data.get("size")
    return Stored(str(data["object"]), None if size is None else int(size), str(data.get("digest", "")))
