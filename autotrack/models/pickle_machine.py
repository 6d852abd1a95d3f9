"""The stack, memo and bounds of reading a pickle without unpickling it: see `autotrack.models.inspecting_pickle`."""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

from autotrack.models.symbols import Blob, Items, Made, Name, Reading, Symbol

_LONG: Final = 4_096
"""Bytes; of a longer text only the beginning is kept."""

_HEAD: Final = 64
_BY_STRINGS: Final = frozenset({("pkgutil", "resolve_name"), ("numpy.core", "_ufunc_reconstruct")})
"""Functions that import what their arguments name."""


class Broken(Exception):
    """Why nothing more can be read."""


class Mark:
    """Where a container's items begin on the stack."""


MARK: Final = Mark()
Stacked = Symbol | Mark


class Machine:
    """A pickle that is being read, and what its instructions have put down so far."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        start = file.tell()
        self.end = file.seek(0, 2)
        file.seek(start)
        self.stack: list[Stacked] = []
        self.memo: dict[int, Symbol] = {}
        self.protocol = 0
        self.reading = Reading()

    # the stack

    def push(self, value: Symbol) -> None:
        self.stack.append(value)

    def pop(self) -> Symbol:
        if not self.stack:
            raise Broken("it takes more than it has put down")
        value = self.stack.pop()
        if isinstance(value, Mark):
            raise Broken("it takes more than it has put down")
        return value

    def top(self) -> Symbol:
        value = self.stack[-1] if self.stack else MARK
        if isinstance(value, Mark):
            raise Broken("it takes more than it has put down")
        return value

    def pop_mark(self) -> list[Symbol]:
        taken: list[Symbol] = []
        while self.stack:
            value = self.stack.pop()
            if isinstance(value, Mark):
                taken.reverse()
                return taken
            taken.append(value)
        raise Broken("it ends a container that it has not begun")

    # reading

    def take(self, count: int) -> bytes:
        if count < 0 or count > self.end - self.file.tell():
            raise Broken("it ends in the middle")
        return self.file.read(count)

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def line(self) -> str:
        data = self.file.readline(_LONG)
        if not data.endswith(b"\n"):
            raise Broken("a line in it is too long, or has no end")
        return data[:-1].decode("utf-8", "backslashreplace")

    def text_line(self) -> Symbol:
        """A line of any length, without its quotes."""
        head = self.file.readline(_LONG)
        size, piece = len(head), head
        while piece and not piece.endswith(b"\n"):
            piece = self.file.readline(_LONG)
            size += len(piece)
        if not piece:
            raise Broken("it ends in the middle")
        if size > len(head):
            return Blob("text", size, head[:_HEAD].decode("utf-8", "replace"))
        text = head[:-1].decode("raw_unicode_escape", "replace")
        return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text

    def long(self, kind: str, count: int) -> Symbol:
        """A text or bytes; stepped over where it is long."""
        if count <= _LONG:
            data = self.take(count)
            return data.decode("utf-8", "surrogatepass") if kind == "text" else data
        if count > self.end - self.file.tell():
            raise Broken("it ends in the middle")
        head = self.file.read(_HEAD)
        self.file.seek(count - _HEAD, 1)
        return Blob(kind, count, head.decode("utf-8", "replace") if kind == "text" else head)

    # names and calls

    def named(self, module: Symbol, name: Symbol) -> Symbol:
        if not isinstance(module, str) or not isinstance(name, str):
            self.reading.computed += 1
            return Blob("a name that is worked out while loading", 0)
        if self.protocol < 3:
            import _compat_pickle

            module, name = _compat_pickle.NAME_MAPPING.get(
                (module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
            )
        self.reading.note(module, name)
        return Name(module, name)

    def make(self, factory: Symbol, args: Symbol, *, states: Symbol = None) -> None:
        if isinstance(factory, Name) and isinstance(args, Items):
            module = "numpy.core" if factory.module in ("numpy._core", "numpy.core") else factory.module
            if (module, factory.name) in _BY_STRINGS:
                self._named_by(factory.name, args)
        made = Made(factory, args)
        if states is not None:
            made.states.append(states)
        self.push(made)

    def _named_by(self, function: str, args: Items) -> None:
        texts = [item for item in args.items if isinstance(item, str)]
        if len(texts) != args.count or not texts:
            self.reading.computed += 1
        elif function == "resolve_name":
            module, _, name = texts[0].partition(":")
            self.reading.note(module, name or "(the module)")
        else:
            self.reading.note(texts[0], texts[-1])
