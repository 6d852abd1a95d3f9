"""Picklers that write to a descriptor and remember which modules their bytes name: cloudpickle's and the plain one."""

from __future__ import annotations

import copyreg
import dis
import hashlib
import os
import pickle
import pkgutil
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import cloudpickle
from cloudpickle import cloudpickle as _internals

from autotrack import digests

PROTOCOL: Final = 5
"""Read by every Python that autotrack runs on; arrays go to the file without a copy in memory."""

# What is to be done with an object, told from its type alone.
_PLAIN: Final = 0  # its class is pickled on its own, and recorded then
_REDUCED: Final = 1  # reduces itself, perhaps to a bare global name
_FUNCTION: Final = 2
_CLASS: Final = 3
_PROXY: Final = 4  # says that it is something else than its type is


class Sink:
    """The file that a pickler writes to: counts the bytes and keeps the error that a full disk gives.

    Parameters
    ----------
    fd : what to write to.
    hashed : so many bytes are hashed on the way; a larger file has no digest in the end.
    """

    __slots__ = ("_fd", "_hash", "_hashed", "error", "size")

    def __init__(self, fd: int, hashed: int = 0) -> None:
        self._fd = fd
        self._hash = hashlib.sha256()
        self._hashed = hashed
        self.size = 0
        self.error: OSError | None = None

    @property
    def digest(self) -> str:
        """Of all that was written; empty where that was too much."""
        return digests.PREFIX + self._hash.hexdigest() if self.size <= self._hashed else ""

    def write(self, data: Any) -> int:
        if type(data) is not bytes:
            data = pickle.PickleBuffer(data).raw()  # the flat bytes of an array, where they lie
        try:
            size = os.write(self._fd, data)
            while size < len(data):  # one call of the system writes at most 2 GiB
                size += os.write(self._fd, memoryview(data)[size:])
        except OSError as error:
            self.error = error
            raise
        self.size += size
        if self.size <= self._hashed:
            self._hash.update(data)
        return size


class RecordingPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles as cloudpickle does.

    Attributes
    ----------
    modules : names of the modules that must be importable where the bytes are loaded.
    last : the object that was being pickled last; after an error, the one that could not be.
    """

    def __init__(self, file: Sink) -> None:
        super().__init__(file, protocol=PROTOCOL)
        self.modules: set[str] = set()
        self.last: Any = None

    def reducer_override(self, obj: Any) -> Any:
        self.last = obj
        kind = type(obj)
        task = _tasks.get(kind)
        if task is None:
            task = _tasks.setdefault(kind, _task(kind))
        if task == _PLAIN:
            return NotImplemented
        if task == _REDUCED:
            return self._reduce(obj, kind)
        if task == _PROXY:
            reduced = super().reducer_override(obj)
            if reduced is NotImplemented:
                return self._reduce(obj, kind)
            self._note_imports(getattr(obj, "__code__", None))
            return reduced
        module = getattr(obj, "__module__", None)
        if module == "__mp_main__":  # the user's script once more, in a process that was spawned
            return _internals._dynamic_class_reduce(obj) if task == _CLASS else self._by_value(obj)
        if task == _CLASS:
            reduced = super().reducer_override(obj)
        elif (reduced := super().reducer_override(obj)) is not NotImplemented:
            self._note_imports(obj.__code__)
        if reduced is NotImplemented and isinstance(module, str):
            self.modules.add(module)
        return reduced

    def _by_value(self, function: FunctionType) -> Any:
        self._note_imports(function.__code__)
        return self._dynamic_function_reduce(function)

    def _reduce(self, obj: Any, kind: type) -> Any:
        """What the pickler itself would have asked for, seen on the way."""
        for table in _TABLES:
            if (reducer := table.get(kind)) is not None:
                reduced = reducer(obj)
                break
        else:
            reduced = obj.__reduce_ex__(PROTOCOL)
        if isinstance(reduced, str):
            self.modules.add(pickle.whichmodule(obj, reduced))  # type: ignore[attr-defined]
        elif kind is ModuleType and len(reduced[1]) == 1:  # by name; a module made at run time travels by value
            self.modules.add(obj.__name__)
        elif reduced[0] is pkgutil.resolve_name and isinstance(reduced[1][0], str):  # a name in a string is one too
            self.modules.add(reduced[1][0].partition(":")[0])
        return reduced

    def _note_imports(self, code: Any) -> None:
        """A function that travels by value imports for itself what its body imports; its globals are pickled."""
        if not isinstance(code, CodeType):
            return
        if _IMPORT_NAME in code.co_code[::2]:
            for step in dis.get_instructions(code):
                if step.opcode == _IMPORT_NAME and step.argval:
                    self.modules.add(step.argval)
        for constant in code.co_consts:
            self._note_imports(constant)


class PlainPickler(pickle.Pickler):
    """Pickles as the standard library does: what is defined in the script goes by its name, and not along.

    Attributes
    ----------
    modules, last : as of `RecordingPickler`.
    script_names : names that stand in the script, ``__main__``, and in no module that another program could import.
    """

    def __init__(self, file: Sink) -> None:
        super().__init__(file, protocol=PROTOCOL)
        self.modules: set[str] = set()
        self.script_names: set[str] = set()
        self.last: Any = None

    def reducer_override(self, obj: Any) -> Any:
        self.last = obj
        kind = type(obj)
        task = _tasks.get(kind)
        if task is None:
            task = _tasks.setdefault(kind, _task(kind))
        if task in (_CLASS, _FUNCTION):
            name = getattr(obj, "__qualname__", None) or obj.__name__
            self._note(pickle.whichmodule(obj, name), name)  # type: ignore[attr-defined]
            return NotImplemented
        if task == _PLAIN:
            return NotImplemented
        reducer = copyreg.dispatch_table.get(kind)
        reduced = obj.__reduce_ex__(PROTOCOL) if reducer is None else reducer(obj)
        if isinstance(reduced, str):
            self._note(pickle.whichmodule(obj, reduced), reduced)  # type: ignore[attr-defined]
        elif reduced[0] is pkgutil.resolve_name and isinstance(reduced[1][0], str):
            module, _, name = reduced[1][0].partition(":")
            self._note(module, name)
        return reduced

    def _note(self, module: str, name: str) -> None:
        self.modules.add(module)
        if module in ("__main__", "__mp_main__"):
            self.script_names.add(name)


_TABLES: Final = cloudpickle.Pickler.dispatch_table.maps
_IMPORT_NAME: Final = dis.opmap["IMPORT_NAME"]
_tasks: dict[type, int] = {}


def _task(kind: type) -> int:
    if issubclass(kind, type):
        return _CLASS
    if kind is FunctionType:
        return _FUNCTION
    if any("__class__" in vars(base) for base in kind.__mro__[:-1]):
        return _PROXY
    if kind in RecordingPickler.dispatch_table:
        return _REDUCED
    if kind.__reduce_ex__ is object.__reduce_ex__ and kind.__reduce__ is object.__reduce__:
        return _PLAIN
    return _REDUCED


def find_path(root: Any, target: Any, limit: int = 20_000) -> str | None:
    """Where ``target`` stands below ``root``, as Python would write it (``.steps[0][1].lock_``), else ``None``.

    Looks through attributes, dicts, lists, tuples and sets, at no more than ``limit`` objects.
    """
    seen = {id(root)}
    level: list[tuple[str, Any]] = [("", root)]
    while level and len(seen) < limit:
        following: list[tuple[str, Any]] = []
        for path, owner in level:
            for step, value in _parts(owner):
                if value is target:
                    return path + step
                if id(value) not in seen and not isinstance(value, (str, bytes, int, float, type)):
                    seen.add(id(value))
                    following.append((path + step, value))
        level = following
    return None


def _parts(owner: Any) -> list[tuple[str, Any]]:
    if isinstance(owner, dict):
        return [(f"[{key!r}]", value) for key, value in owner.items()]
    if isinstance(owner, (list, tuple)):
        return [(f"[{index}]", value) for index, value in enumerate(owner)]
    if isinstance(owner, FunctionType):
        cells = zip(owner.__code__.co_freevars, owner.__closure__ or ())
        return [(f".<{name}>", cell.cell_contents) for name, cell in cells if _filled(cell)] + [
            (f".<{name}>", owner.__globals__[name]) for name in owner.__code__.co_names if name in owner.__globals__
        ]
    try:
        return [(f".{name}", value) for name, value in vars(owner).items()]
    except TypeError:
        return []


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
