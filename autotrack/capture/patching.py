"""Put observers on functions and methods, and take them off again.

The only module that imports wrapt. What happens at a call of an observed function stands in
`calling_importlib_bootstrap`.

A method that is assigned to a class after the class was made (``Model.fit = fit``, a class decorator) is found at the
next opportunity: the next observed call of any object whose class inherits it, the next class that is born, the next
`Patches.family`. A call before that is seen as far as the assigned function calls the one that it replaced.

Limits: a module that is reloaded loses its patches; a function assigned to one instance (``model.fit = fit``) is seen
only as far as it calls its class's; a function that no decorator stands round is not observed where a mapping, default
argument or closure keeps it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
import sysconfig
import threading
import weakref
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from dataclasses import dataclass
from types import CellType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import wrapt

from autotrack.capture.calling_importlib_bootstrap import (
    Call,
    Observer,
    Outcome,
    listening_in,
    observing,
    observing_inner,
)
from autotrack.capture.guard import shield

if TYPE_CHECKING:
    _BoundBase = wrapt.BoundFunctionWrapper[..., Any]
    _FunctionBase = wrapt.FunctionWrapper[..., Any]
else:  # wrapt 1 has no type parameters
    _BoundBase, _FunctionBase = wrapt.BoundFunctionWrapper, wrapt.FunctionWrapper

_MISSING: Final = object()


class _BoundWrapper(_BoundBase):
    def __reduce_ex__(self, protocol: Any) -> Any:
        # By name, as Python pickles bound methods; for access through the class, `__self__` is missing.
        owner = getattr(self.__wrapped__, "__self__", None)
        if owner is None:
            return _by_name(self.__wrapped__)
        return getattr, (owner, self.__wrapped__.__name__)

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)


class MethodWrapper(_FunctionBase):
    """Stands in a class for one of its methods. It passes for a function, which metadata routing relies on."""

    __bound_function_wrapper__ = _BoundWrapper

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _by_name(self.__wrapped__)

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)


class FunctionWrapper(_FunctionBase):
    """Stands in a module for one of its functions.

    It does not pass for a plain function: cloudpickle would take it for one and ship its bytecode by value. It pickles
    as the public name it stands under, so that it loads where autotrack is not installed, and comes back as the same
    object here.
    """

    def __init__(self, wrapped: Any, wrapper: Any, path: str) -> None:
        super().__init__(wrapped, wrapper)
        self._self_path = path

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return FunctionWrapper

    def __reduce_ex__(self, protocol: Any) -> Any:
        return pkgutil.resolve_name, (self._self_path,)

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


def _teach_skops(library: ModuleType) -> None:
    """Let skops, which asks no object to reduce itself, write the function and not what stands in for it."""
    with shield("teach skops what our wrappers are"):
        save = importlib.import_module(f"{library.__name__}._utils")
        save._get_state.register(FunctionWrapper)(lambda obj, context: save.get_state(obj.__wrapped__, context))


wrapt.register_post_import_hook(_teach_skops, "skops.io")


def _by_name(function: Any) -> Any:
    return pkgutil.resolve_name, (f"{function.__module__}:{function.__qualname__}",)


@dataclass(frozen=True, slots=True)
class _Change:
    """``name`` of ``holder()`` was ``original`` and is ``ours``."""

    holder: Callable[[], Any]
    name: str
    original: Any
    ours: Any

    def undo(self) -> None:
        holder = self.holder()
        # Somebody else may have patched over us: theirs stays, ours beneath it is silent.
        if holder is None or vars(holder).get(self.name, _MISSING) is not self.ours:
            return
        if self.original is _MISSING:
            delattr(holder, self.name)
        else:
            setattr(holder, self.name, self.original)


class _MethodChange:
    """A method of a class that may be the user's: nothing here keeps the class alive, which its functions would."""

    __slots__ = ("holder", "name")

    def __init__(self, holder: type, name: str) -> None:
        self.holder = weakref.ref(holder)
        self.name = name

    def undo(self) -> None:
        holder = self.holder()
        ours = vars(holder).get(self.name) if holder is not None else None
        if type(ours) is MethodWrapper:
            setattr(holder, self.name, ours.__wrapped__)


@dataclass(frozen=True, slots=True)
class _CellChange:
    """A variable of a decorator held ``original``, the function it decorates, and holds ``ours``."""

    name: str
    cell: CellType
    original: Any
    ours: Any

    def undo(self) -> None:
        if _content(self.cell) is self.ours:
            self.cell.cell_contents = self.original


class Patches:
    """Every change we made, in order, with what stood there before.

    ``enabled`` is asked on each call: wrappers that somebody kept hold of fall silent when it is false.
    """

    def __init__(self) -> None:
        self._changes: list[_Change | _MethodChange | _CellChange] = []
        self._lock = threading.RLock()
        self.enabled = False

    def __len__(self) -> int:
        return len(self._changes)

    def when_imported(self, module: str, patch: Callable[[ModuleType], None]) -> None:
        """Run ``patch`` on a module now if it is loaded, else right after its import; never imports it."""

        def hook(loaded: ModuleType) -> None:
            # A hook that raises would break the user's import.
            with shield(f"observe {module}"):
                if self.enabled:
                    patch(loaded)

        wrapt.register_post_import_hook(hook, module)

    def method(self, owner: type, name: str, observer: Observer, *, always: bool = False, timed: bool = False) -> None:
        """Observe a method that stands in ``vars(owner)``; others and those observed already are left alone.

        ``always`` observes it inside observed calls too; ``timed`` notes there how long it takes (see `Call.trace`).
        """
        with self._lock:
            raw = vars(owner).get(name, _MISSING)
            kind = type(raw)
            # What Python does not bind on access is no method; what also takes assignments is a property of some kind.
            if raw is _MISSING or kind is MethodWrapper or not hasattr(kind, "__get__") or hasattr(kind, "__set__"):
                return
            setattr(owner, name, MethodWrapper(raw, self._wrapper(observer, always, name if timed else "")))
            self._changes.append(_MethodChange(owner, name))

    def family(self, base: type, methods: Mapping[str, Observer], timed: Collection[str] = ()) -> None:
        """Observe methods of a class and all its subclasses, those yet to be defined too, with what they inherit.

        A method that comes from a mixin is observed in the mixin, for instances of ``base`` only. Those named in
        ``timed`` are timed inside observed calls.
        """
        newborn: list[weakref.ref[type]] = []

        def patch(cls: type) -> None:
            for part in cls.__mro__:
                held = vars(part)
                for name, observer in observers.items():
                    raw = held.get(name)
                    if raw is not None and type(raw) is not MethodWrapper:
                        self.method(part, name, observer, timed=name in timed)

        def look_again(cls: type) -> None:
            # Whoever made a class may have assigned to it since: class decorators do.
            lately, newborn[:] = list(newborn), []
            for reference in lately:
                born_lately = reference()
                if born_lately is not None:
                    patch(born_lately)
            patch(cls)

        def glance(cls: type) -> None:
            # A thorough look takes longer than a small `transform`.
            held = vars(cls)
            if newborn or any(type(held.get(name)) is FunctionType for name in timed):
                look_again(cls)

        observers = {
            name: _only_for(base, observer, look_again if name in timed else glance)
            for name, observer in methods.items()
        }
        known: set[type] = set()
        stack = [base]
        while stack:
            cls = stack.pop()
            if cls not in known:
                known.add(cls)
                patch(cls)
                stack.extend(type.__subclasses__(cls))

        def born(wrapped: Callable[..., None], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            wrapped(*args, **kwargs)
            with shield("observe a new estimator class"):
                if self.enabled and isinstance(instance, type):
                    look_again(instance)
                    newborn.append(weakref.ref(instance))

        with self._lock:
            raw = vars(base).get("__init_subclass__", _MISSING)
            if isinstance(raw, wrapt.FunctionWrapper):
                return
            if raw is _MISSING:

                def __init_subclass__(cls: Any, /, **kwargs: Any) -> None:  # noqa: N807
                    super(owner, cls).__init_subclass__(**kwargs)

                owner: Any = base
                wrapper: Any = classmethod(__init_subclass__)
            else:
                wrapper = raw
            self._set(base, "__init_subclass__", raw, wrapt.FunctionWrapper(wrapper, born))

    def functions(self, module: ModuleType, observers: Mapping[str, Observer]) -> None:
        """Observe functions of a module that re-exports them, and wherever user modules hold them by name.

        Where a function is defined it stays untouched: whoever captured it before must go on pickling it. A function
        that is a decorator round another one is observed inside too, so that it is seen wherever it is kept: in a
        mapping, a default argument, a partial.
        """
        originals: dict[int, FunctionWrapper] = {}
        with self._lock:
            for name, observer in observers.items():
                raw = vars(module).get(name, _MISSING)
                if not isinstance(raw, FunctionType):
                    continue
                self._inside(raw, observer)
                if raw.__module__ == module.__name__:
                    continue
                wrapper = FunctionWrapper(raw, self._wrapper(observer), f"{module.__name__}:{name}")
                originals[id(raw)] = wrapper
                self._set(module, name, raw, wrapper)
            for holder in _user_modules():
                for name, value in list(vars(holder).items()):
                    found = originals.get(id(value))
                    if found is not None:
                        self._set(holder, name, value, found)

    def _inside(self, function: FunctionType, observer: Observer) -> None:
        inner = vars(function).get("__wrapped__")
        for cell in function.__closure__ or ():
            if isinstance(inner, FunctionType) and _content(cell) is inner:
                cell.cell_contents = ours = observing_inner(self, observer, inner)
                self._changes.append(_CellChange(function.__name__, cell, inner, ours))
                return

    def listen(self, module: ModuleType, name: str, listener: Callable[..., bool]) -> None:
        """Have ``listener`` called with the arguments of every call of a module's function, just before it."""
        with self._lock:
            original = vars(module).get(name)
            if not isinstance(original, FunctionType):
                return

            doing = f"listen to {module.__name__}.{name}"
            listening = functools.wraps(original)(listening_in(self, original, listener, doing))
            self._set(module, name, original, listening)

    def undo(self) -> None:
        """Put back the very objects that were there, newest change first."""
        with self._lock:
            self.enabled = False
            while self._changes:
                change = self._changes.pop()
                with shield(f"take the observer off {change.name}"):
                    change.undo()

    def _set(self, holder: Any, name: str, original: Any, ours: Any) -> None:
        setattr(holder, name, ours)
        self._changes.append(_Change(lambda: holder, name, original, ours))

    def _wrapper(self, observer: Observer, always: bool = False, timed: str = "") -> Callable[..., Any]:
        return observing(self, observer, always, timed)


def _only_for(base: type, observer: Observer, look_again: Callable[[type], None]) -> Observer:
    def observe(call: Call) -> Generator[Mapping[str, Any] | None, Outcome, None]:
        if not isinstance(call.instance, base):
            return _nothing()
        look_again(type(call.instance))
        return observer(call)

    return observe


def _nothing() -> Generator[Mapping[str, Any] | None, Outcome, None]:
    yield None


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return _MISSING


def _user_modules() -> Iterator[ModuleType]:
    """The loaded modules that are the user's own: neither installed packages nor the standard library."""
    installed = tuple(
        {path for key in ("stdlib", "platstdlib", "purelib", "platlib") if (path := sysconfig.get_path(key))}
    )
    for name, module in list(sys.modules.items()):
        if name == "autotrack" or name.startswith("autotrack.") or type(module) is not ModuleType:
            continue
        file = vars(module).get("__file__")
        if file is None:
            if name == "__main__":
                yield module
        elif isinstance(file, str) and "-packages" not in file and not file.startswith(installed):
            yield module
