"""What a serialised model says, as inert symbols: names, calls that nobody makes, containers, and bytes left out.

`autotrack.models.inspecting_pickle` and `autotrack.models.inspecting_skops` make them; nothing of the model is
imported, called, hashed or compared for it. Symbols may contain one another in circles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

KEPT_ITEMS: Final = 1_000
"""So many items of one container are kept; the rest are counted."""


@dataclass(slots=True, eq=False)
class Name:
    """A thing that loading would import."""

    module: str
    name: str

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Blob:
    """A long text or bytes, of which only the size and the beginning are kept; ``kind`` says what it is."""

    kind: str
    size: int
    head: str | bytes = b""


@dataclass(slots=True, eq=False)
class Items:
    """A list, tuple, set or frozenset; ``count`` is its length, of which `KEPT_ITEMS` are kept."""

    kind: str
    items: list[Symbol] = field(default_factory=list)
    count: int = 0

    def add(self, item: Symbol) -> None:
        self.count += 1
        if len(self.items) < KEPT_ITEMS:
            self.items.append(item)


@dataclass(slots=True, eq=False)
class Pairs:
    """A mapping."""

    items: list[tuple[Symbol, Symbol]] = field(default_factory=list)
    count: int = 0

    def add(self, key: Symbol, value: Symbol) -> None:
        self.count += 1
        if len(self.items) < KEPT_ITEMS:
            self.items.append((key, value))


@dataclass(slots=True, eq=False)
class Made:
    """An object that calling ``factory`` would make, with the state that it would be given then."""

    factory: Symbol
    args: Symbol
    states: list[Symbol] = field(default_factory=list)
    items: Items | None = None
    pairs: Pairs | None = None


Symbol = None | bool | int | float | str | bytes | Name | Blob | Items | Pairs | Made


@dataclass(slots=True)
class Reading:
    """What was read of a model's file.

    Parameters
    ----------
    root : the model; ``None`` where reading did not come so far.
    names : everything that loading would import by name, with how often it is named.
    computed : how often a name would be worked out while loading, so that nobody can tell it before.
    trouble : why the file was not read to its end; empty when it was.
    """

    root: Symbol = None
    names: dict[tuple[str, str], int] = field(default_factory=dict)
    computed: int = 0
    trouble: str = ""

    def note(self, module: str, name: str) -> None:
        self.names[module, name] = self.names.get((module, name), 0) + 1


def class_of(symbol: Symbol) -> tuple[str, str]:
    """Module and name of an object's class; two empty texts where there is none to tell.

    The module is empty for a class that travels inside the file.
    """
    if not isinstance(symbol, Made):
        return "", ""
    factory = symbol.factory
    if isinstance(factory, Name):
        if (factory.module, factory.name) == ("copyreg", "_reconstructor") and isinstance(symbol.args, Items):
            first = symbol.args.items[0] if symbol.args.items else None
            return (first.module, first.name) if isinstance(first, Name) else ("", "")
        return factory.module, factory.name
    return "", carried_class(factory)


def carried_class(symbol: Symbol) -> str:
    """The name of a class that cloudpickle put into the file as code; empty for anything else."""
    if not isinstance(symbol, Made) or not isinstance(symbol.factory, Name) or not isinstance(symbol.args, Items):
        return ""
    if symbol.factory.name not in ("_make_skeleton_class", "_make_skeleton_enum"):
        return ""
    return next((item for item in symbol.args.items[:2] if isinstance(item, str)), "")


def attributes(symbol: Symbol) -> dict[str, Symbol]:
    """An object's attributes as its state gives them; the last one counts."""
    found: dict[str, Symbol] = {}
    if isinstance(symbol, Made):
        for state in symbol.states:
            parts = state.items if isinstance(state, Items) and state.kind == "tuple" and state.count == 2 else [state]
            for part in parts:
                if isinstance(part, Pairs):
                    found |= {key: value for key, value in part.items if isinstance(key, str)}
    return found


def shown(symbol: Symbol, depth: int = 3) -> str:
    """A value as Python would nearly write it, cut short."""
    return "".join(_pieces(symbol, depth))


def _pieces(symbol: Symbol, depth: int) -> Iterator[str]:
    if isinstance(symbol, (str, bytes)):
        text = repr(symbol)
        yield text if len(text) <= 80 else text[:79] + "…"
    elif isinstance(symbol, int) and symbol.bit_length() > 1024:
        yield f"<integer of {symbol.bit_length():,} bits>"
    elif symbol is None or isinstance(symbol, (bool, int, float)):
        yield repr(symbol)
    elif isinstance(symbol, Name):
        yield symbol.name
    elif isinstance(symbol, Blob):
        yield f"<{symbol.kind}, {symbol.size:,} bytes>"
    elif depth == 0:
        yield "…"
    elif isinstance(symbol, Items):
        opening, closing = {"list": ("[", "]"), "set": ("{", "}")}.get(symbol.kind, ("(", ")"))
        yield opening if symbol.kind != "frozenset" else "frozenset("
        for number, item in enumerate(symbol.items[:6]):
            yield ", " * (number > 0)
            yield from _pieces(item, depth - 1)
        if symbol.count > 6:
            yield f", … {symbol.count:,} in all"
        yield ("," if symbol.kind == "tuple" and symbol.count == 1 else "") + closing
    elif isinstance(symbol, Pairs):
        yield "{"
        for number, (key, value) in enumerate(symbol.items[:6]):
            yield ", " * (number > 0)
            yield from _pieces(key, 1)
            yield ": "
            yield from _pieces(value, depth - 1)
        yield (f", … {symbol.count:,} in all" if symbol.count > 6 else "") + "}"
    else:
        yield from _made(symbol, depth)


def _made(symbol: Made, depth: int) -> Iterator[str]:
    module, name = class_of(symbol)
    number = _numpy_scalar(symbol)
    if number is not None:
        yield repr(number)
    elif name in ("_reconstruct", "_frombuffer") and module.startswith("numpy"):
        yield "array" + _array_shape(symbol)
    elif module == "functools" and name == "partial":
        state = symbol.states[-1] if symbol.states else symbol.args
        yield "partial("
        yield from _pieces(state.items[0] if isinstance(state, Items) and state.items else None, depth - 1)
        yield ", …)"
    else:
        yield "<function>" if name == "_make_function" else f"{name or '<object>'}(…)"


def _numpy_scalar(symbol: Made) -> float | int | bool | None:
    import struct

    factory, args = symbol.factory, symbol.args
    if not isinstance(factory, Name) or factory.name != "scalar" or not isinstance(args, Items) or args.count != 2:
        return None
    dtype, data = args.items
    code = dtype.args.items[0] if isinstance(dtype, Made) and isinstance(dtype.args, Items) and dtype.args.items else 0
    form = {"f8": "<d", "f4": "<f", "i8": "<q", "i4": "<i", "u8": "<Q", "u4": "<I", "b1": "?"}.get(str(code))
    if form is None or not isinstance(data, bytes) or len(data) != struct.calcsize(form):
        return None
    value: float | int | bool = struct.unpack(form, data)[0]
    return value


def _array_shape(symbol: Made) -> str:
    source = symbol.states[-1] if symbol.states else symbol.args
    for item in source.items if isinstance(source, Items) else ():
        if isinstance(item, Items) and item.kind == "tuple" and all(isinstance(n, int) for n in item.items):
            return " of shape " + shown(item, 1)
    return ""
