"""The user's modules that a model needs and that no distribution installs, packed into its folder's ``code/``."""

from __future__ import annotations

import ast
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType
from typing import Any, Final, NamedTuple

from autotrack import digests
from autotrack.models.requirements import is_local

MAX_BYTES: Final = 4 * 2**20
MAX_FILES: Final = 500
"""So much is packed of one top-level module, and of one model; what is larger is left out whole."""

_READ: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class File(NamedTuple):
    """A source file: its path below ``code/`` with forward slashes, its bytes and their digest."""

    path: str
    data: bytes
    digest: str


class Packed(NamedTuple):
    """What is packed.

    ``imports`` are the top-level modules that the files import, and ``left_out`` tells, by module, why it is not
    packed although the model needs it.
    """

    files: tuple[File, ...]
    imports: frozenset[str]
    left_out: dict[str, str]


class _Sources(NamedTuple):
    files: tuple[File, ...]
    imports: frozenset[str]


class _Refused(Exception):
    """Says why a module is not packed."""


# By module: what stood for "as it was imported" when it was read, and what was read or why it was not.
_read: dict[str, tuple[Any, _Sources | str]] = {}


def pack(modules: Iterable[str]) -> Packed:
    """Read the sources of top-level modules and of what these import from beside them.

    A module is read once for each time that it was imported: what changes in its file later is not what the model's
    class was made of. Only files are read that an imported module names as its own, and the other modules of a package
    of which one was imported.
    """
    waiting = sorted(modules)
    seen = set(waiting)
    files: dict[str, File] = {}
    imports: set[str] = set()
    left_out: dict[str, str] = {}
    size = 0
    while waiting:
        top = waiting.pop()
        found = _sources(top)
        if isinstance(found, _Sources):
            size += sum(len(file.data) for file in found.files)
            if size > MAX_BYTES or len(files) + len(found.files) > MAX_FILES:
                found = "the model's modules are too large to be packed together"
        if isinstance(found, str):
            left_out[top] = found
            continue
        files.update((file.path, file) for file in found.files)
        loaded = {name for name in found.imports if name in sys.modules}
        imports |= loaded
        # A helper may import autotrack; where that is a checkout, it is nothing that a user could bring along.
        more = {name for name in loaded - seen - {"autotrack"} if is_local(name)}
        seen |= more
        waiting.extend(sorted(more))
    return Packed(tuple(files.values()), frozenset(imports), left_out)


def _sources(top: str) -> _Sources | str:
    module = sys.modules.get(top)
    if module is None:
        return "it is not imported"
    state = _state(top, module)
    known = _read.get(top)
    if known is not None and _same(known[0], state):
        return known[1]
    try:
        found: _Sources | str = _read_sources(top, module)
    except _Refused as refused:
        found = str(refused)
    except OSError as error:
        found = f"it cannot be read: {error.strerror or error}"
    _read[top] = state, found
    return found


def _state(top: str, module: ModuleType) -> tuple[Any, ...]:
    """Another one when the module was imported or reloaded anew, or more of a package without an ``__init__``."""
    spec = getattr(module, "__spec__", None)
    parts = () if getattr(module, "__file__", None) else tuple(name for name, _ in _loaded_parts(top))
    return module, spec, parts


def _same(known: tuple[Any, ...], state: tuple[Any, ...]) -> bool:
    return known[0] is state[0] and known[1] is state[1] and known[2] == state[2]


def _loaded_parts(top: str) -> list[tuple[str, ModuleType]]:
    start = top + "."
    return [(name, module) for name, module in list(sys.modules.items()) if name.startswith(start)]


def _read_sources(top: str, module: ModuleType) -> _Sources:
    if top == "autotrack":
        raise _Refused("a model must not need autotrack")
    parts = _loaded_parts(top)
    for name, part in ((top, module), *parts):
        if str(getattr(part, "__file__", None) or "").endswith(tuple(EXTENSION_SUFFIXES)):
            raise _Refused(f"{name} is compiled")
    file = getattr(module, "__file__", None)
    if file is None:
        paths = dict(_namespace_files(top, module, parts))
    elif os.path.basename(file) == "__init__.py":
        paths = dict(_package_files(os.path.dirname(file), top, {name for name, _ in parts}))
    elif file.endswith(".py"):
        paths = {f"{top}.py": file}
    else:
        raise _Refused(f"{file} is no Python source")
    if len(paths) > MAX_FILES:
        raise _Refused(f"it has more than {MAX_FILES} files")
    files: list[File] = []
    imports: set[str] = set()
    left = MAX_BYTES
    for path, place in sorted(paths.items()):
        data = _read_file(place, left)
        left -= len(data)
        files.append(File(path, data, digests.of_bytes(data)))
        imports |= _imports(data)
    return _Sources(tuple(files), frozenset(imports))


def _package_files(folder: str, top: str, loaded: set[str]) -> Iterator[tuple[str, str]]:
    """All modules of a package; of the folders in it only those that are packages too, imported or by their look."""
    count = 0
    for place, folders, names in os.walk(folder):
        below = os.path.relpath(place, folder).replace(os.sep, "/")
        start = top if below == "." else f"{top}/{below}"
        folders[:] = [
            name
            for name in sorted(folders)
            if name.isidentifier()
            and not os.path.islink(os.path.join(place, name))
            and (
                os.path.isfile(os.path.join(place, name, "__init__.py"))
                or f"{start}/{name}".replace("/", ".") in loaded
            )
        ]
        for name in names:
            if name.endswith(".py") and name[:-3].isidentifier():
                count += 1
                if count > MAX_FILES:
                    raise _Refused(f"it has more than {MAX_FILES} files")
                yield f"{start}/{name}", os.path.join(place, name)


def _namespace_files(top: str, module: ModuleType, parts: list[tuple[str, ModuleType]]) -> Iterator[tuple[str, str]]:
    """Of a package without an ``__init__``, the modules that were imported."""
    if not hasattr(module, "__path__"):
        raise _Refused("it has no file")
    for name, part in parts:
        file = getattr(part, "__file__", None)
        if file is not None and file.endswith(".py"):
            is_package = os.path.basename(file) == "__init__.py"
            yield name.replace(".", "/") + ("/__init__.py" if is_package else ".py"), file


def _read_file(path: str, limit: int) -> bytes:
    """The bytes of a source file, which is no link to a place elsewhere."""
    real = os.path.realpath(path)
    if os.path.dirname(real) != os.path.realpath(os.path.dirname(path)):
        raise _Refused(f"{path} is a link to another folder")
    fd = os.open(real, _READ)
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _Refused(f"{path} is no file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise _Refused(f"it is larger than {MAX_BYTES >> 20} MiB")
    return data


def _imports(source: bytes) -> set[str]:
    """The top-level modules that a source names in its imports, wherever in it they stand."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found
