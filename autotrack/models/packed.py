"""Making a model's ``code/`` importable while it is loaded, without changing what other code imports by these names.

Where no module of such a name can be imported here, the model's own is imported and stays, as if it were installed.
One that is here already and has the same sources is used. One that differs stays what it is for the rest of the
program, and the model gets a copy of its own, which its functions also find when they import later, in ``predict``.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from autotrack.errors import ModelError
from autotrack.models.mlmodel import ModelInfo

MAX_BYTES: Final = 64 * 2**20
MAX_FILES: Final = 5_000

_lock: Final = threading.RLock()


class _Module(NamedTuple):
    path: str
    source: bytes
    is_package: bool


class _Code(importlib.abc.MetaPathFinder):
    """The modules of one ``code/``, as they stood there when the model was loaded.

    They are served from memory: nothing is written beside them, which would change the folder's digest, and byte code
    that stands there is not believed.
    """

    def __init__(self, digest: str, modules: Mapping[str, _Module]) -> None:
        self.digest = digest
        self.modules = modules
        self.tops = {name.partition(".")[0] for name in modules}
        self.private: dict[str, ModuleType] = {}
        self.is_private = False

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        found = self.modules.get(fullname)
        if found is None:
            return None
        spec = importlib.util.spec_from_loader(
            fullname, _Loader(self, fullname), origin=found.path, is_package=found.is_package
        )
        if spec is not None and found.is_package:
            spec.submodule_search_locations = []  # its modules come from here, not from the folder
        return spec

    @contextmanager
    def active(self) -> Iterator[None]:
        """The model's own modules stand in ``sys.modules`` in place of others of these names."""
        with _lock:
            aside = self._take()
            sys.modules.update(self.private)
            sys.meta_path.insert(0, self)
            try:
                yield
            finally:
                sys.meta_path.remove(self)
                self.private = self._take()
                sys.modules.update(aside)

    def _take(self) -> dict[str, ModuleType]:
        names = [name for name in list(sys.modules) if name.partition(".")[0] in self.tops]
        return {name: sys.modules.pop(name) for name in names}

    def import_module(self, name: str, *args: Any, **options: Any) -> Any:
        """``__import__`` for the functions of a private module."""
        level = args[3] if len(args) > 3 else options.get("level", 0)
        if not level and name.partition(".")[0] not in self.tops:
            return builtins.__import__(name, *args, **options)
        with self.active():
            return builtins.__import__(name, *args, **options)


class _Loader(importlib.abc.SourceLoader):
    def __init__(self, code: _Code, name: str) -> None:
        self._code = code
        self._name = name

    def get_filename(self, fullname: str) -> str:
        return self._code.modules[self._name].path

    def get_data(self, path: str | bytes) -> bytes:
        return self._code.modules[self._name].source

    def is_package(self, fullname: str) -> bool:
        return self._code.modules[self._name].is_package

    def exec_module(self, module: ModuleType) -> None:
        if self._code.is_private:
            module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._code.import_module}
        super().exec_module(module)


_codes: dict[str, _Code] = {}


@contextmanager
def importable(info: ModelInfo) -> Iterator[None]:
    """While it is open, the modules that a model brings along can be imported. Importing them runs them.

    Raises
    ------
    ModelError
        When the folder's ``code`` points out of it, or cannot be read.
    """
    root = code_folder(info)
    modules = {} if root is None else _read_modules(info.folder, root)
    if not modules:
        yield
        return
    with _lock:
        code = _registered(modules)
        if _differs(code):
            code.is_private = True
            with code.active():
                yield
            return
        if code not in sys.meta_path:
            sys.meta_path.append(code)  # the last one asked
        yield
        _ship_by_value(code)


def code_folder(info: ModelInfo) -> Path | None:
    """The folder that holds the model's modules; ``None`` where it has none.

    Raises
    ------
    ModelError
        When it is outside of the model's folder.
    """
    names = [flavor.get("code") for name, flavor in info.flavors.items() if name != "python_function"]
    names.append(info.flavors.get("python_function", {}).get("code"))
    name = next((name for name in names if name), None)
    if name is None:
        return None
    try:
        root = info.folder.resolve(strict=True)
        path = (root / str(name)).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{info.folder} names the code folder {name!r}: {error}") from error
    if path == root or not path.is_relative_to(root):
        raise ModelError(f"{info.folder} names the code folder {name!r}, which is outside of the folder")
    return path if path.is_dir() else None


def _read_modules(folder: Path, root: Path) -> dict[str, _Module]:
    """All Python sources below a folder, by the name that they are imported by."""
    found: dict[str, _Module] = {}
    size = 0
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name.isidentifier() and name != "__pycache__"]
        parents = Path(place).relative_to(root).parts
        for name in names:
            path = os.path.join(place, name)
            stem, extension = os.path.splitext(name)
            if extension != ".py" or not stem.isidentifier() or os.path.islink(path):
                continue
            is_package = stem == "__init__" and bool(parents)
            dotted = ".".join(parents if is_package else (*parents, stem))
            if dotted.partition(".")[0] in sys.stdlib_module_names:
                continue
            try:
                with open(path, "rb") as file:
                    source = file.read(MAX_BYTES - size + 1)
            except OSError as error:
                raise ModelError(f"{path} cannot be read: {error}") from error
            size += len(source)
            if size > MAX_BYTES or len(found) >= MAX_FILES:
                raise ModelError(f"the code that {folder} brings along is too large to be loaded")
            found[dotted] = _Module(path, source, is_package)
    for dotted in list(found):  # a folder without an __init__.py is a package too
        parts = dotted.split(".")[:-1]
        for n in range(1, len(parts) + 1):
            above = ".".join(parts[:n])
            found.setdefault(above, _Module(str(root.joinpath(*parts[:n])), b"", True))
    return found


def _registered(modules: Mapping[str, _Module]) -> _Code:
    """Two folders with the same sources share their modules."""
    whole = hashlib.sha256()
    for name, module in sorted(modules.items()):
        whole.update(f"{name}\0{module.is_package}\0{hashlib.sha256(module.source).hexdigest()}\n".encode())
    digest = whole.hexdigest()
    return _codes.setdefault(digest, _Code(digest, modules))


def _differs(code: _Code) -> bool:
    """Whether another module of these names is here already, or would be imported."""
    if code.is_private:
        return True
    return any(not _is_same(code, top) for top in code.tops)


def _is_same(code: _Code, top: str) -> bool:
    """Whether a module of this name is not here, or has the same sources."""
    module = sys.modules.get(top)
    try:
        spec = importlib.util.find_spec(top) if module is None else module.__spec__
    except (ImportError, AttributeError, ValueError):
        return False
    if spec is None:
        return module is None
    if isinstance(spec.loader, _Loader):
        other = spec.loader._code
        return _sources(other.modules, top) == _sources(code.modules, top)
    here = code.modules[top]
    places: Sequence[str] = list(spec.submodule_search_locations or ())
    if not here.is_package:
        return not places and spec.origin is not None and _holds(spec.origin, here.source)
    return bool(places) and all(_is_there(places, name, module) for name, module in _parts(code.modules, top))


def _parts(modules: Mapping[str, _Module], top: str) -> list[tuple[str, _Module]]:
    return [(name, module) for name, module in modules.items() if name == top or name.startswith(top + ".")]


def _sources(modules: Mapping[str, _Module], top: str) -> dict[str, bytes]:
    return {name: module.source for name, module in _parts(modules, top)}


def _is_there(places: Sequence[str], name: str, module: _Module) -> bool:
    if not module.path.endswith(".py"):
        return True  # a package without an __init__.py
    below = name.split(".")[1:]
    tail = os.path.join(*below, "__init__.py") if module.is_package else os.path.join(*below) + ".py"
    return any(_holds(os.path.join(place, tail), module.source) for place in places)


def _holds(path: str, source: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(source) + 1) == source
    except OSError:
        return False


def _ship_by_value(code: _Code) -> None:
    """Other processes cannot import these modules, so joblib's workers get them along with what uses them."""
    import cloudpickle

    for top in code.tops:
        module = sys.modules.get(top)
        if module is not None and isinstance(getattr(module.__spec__, "loader", None), _Loader):
            cloudpickle.register_pickle_by_value(module)
