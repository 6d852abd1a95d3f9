"""Reading a pickle without unpickling it.

A machine of its own, in place of ``pickle.Unpickler`` with harmless classes: the real one, asked by a crafted file,
allocates what the file says, and hashes and nests values for as long as it says. This one calls, imports, hashes and
compares nothing, steps over long texts and bytes, keeps no more than the beginnings of containers, and stops after so
many steps and seconds; what it has by then is given with the reason.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import BinaryIO, Final

from autotrack.models.pickle_machine import MARK, Broken, Machine
from autotrack.models.symbols import Blob, Items, Made, Pairs, Reading, Symbol

MOST_STEPS: Final = 3_000_000
MOST_SECONDS: Final = 20.0
_MOST_STATES: Final = 8


def read_pickle(file: BinaryIO, *, most_steps: int = MOST_STEPS, most_seconds: float = MOST_SECONDS) -> Reading:
    """What a pickle says, and what loading it would import.

    Parameters
    ----------
    file : open at the pickle's beginning, and seekable.
    most_steps, most_seconds : where reading stops; the reading says so.
    """
    deadline = time.monotonic() + most_seconds
    m = Machine(file)
    read = m.file.read
    try:
        for step in range(most_steps):
            code = read(1)
            if code == b".":
                m.reading.root = m.pop()
                if left := m.end - m.file.tell():
                    m.reading.trouble = f"{left:,} bytes stand behind its end, which were not read"
                return m.reading
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise Broken("it ends in the middle" if not code else f"{code!r} is no instruction of a pickle")
            operation(m)
            if step % 4096 == 4095 and time.monotonic() > deadline:
                raise Broken("reading it takes too long")
        raise Broken(f"it has more than {most_steps:,} steps")
    except Broken as error:
        m.reading.trouble = str(error)
    except (struct.error, ValueError, IndexError, KeyError, OverflowError, OSError) as error:
        m.reading.trouble = f"it is damaged: {type(error).__name__} {error}"
    m.reading.root = next((s for s in m.stack if isinstance(s, Made)), None)
    return m.reading


Operation = Callable[[Machine], None]
_OPERATIONS: Final[dict[bytes, Operation]] = {}


def _on(*codes: bytes) -> Callable[[Operation], Operation]:
    def keep(operation: Operation) -> Operation:
        for code in codes:
            _OPERATIONS[code] = operation
        return operation

    return keep


def _constant(code: bytes, value: Symbol) -> None:
    _OPERATIONS[code] = lambda m: m.stack.append(value)


for _code, _value in ((b"N", None), (b"\x88", True), (b"\x89", False)):
    _constant(_code, _value)


def _packed(code: bytes, form: str) -> None:
    _OPERATIONS[code] = lambda m: m.stack.append(m.number(form))


for _code, _form in ((b"J", "<i"), (b"K", "<B"), (b"M", "<H"), (b"G", ">d")):
    _packed(_code, _form)


def _counted(code: bytes, form: str, kind: str) -> None:
    _OPERATIONS[code] = lambda m: m.stack.append(m.long(kind, m.number(form)))


for _code, _form, _kind in (
    (b"\x8c", "<B", "text"),
    (b"X", "<I", "text"),
    (b"\x8d", "<Q", "text"),
    (b"U", "<B", "bytes"),
    (b"T", "<i", "bytes"),
    (b"C", "<B", "bytes"),
    (b"B", "<I", "bytes"),
    (b"\x8e", "<Q", "bytes"),
    (b"\x96", "<Q", "bytes"),
):
    _counted(_code, _form, _kind)


@_on(b"\x80")
def _protocol(m: Machine) -> None:
    m.protocol = m.number("<B")


@_on(b"\x95")
def _frame(m: Machine) -> None:
    m.number("<Q")


@_on(b"I", b"L")
def _decimal(m: Machine) -> None:
    text = m.line()
    m.push({"00": False, "01": True}[text] if text in ("00", "01") else int(text.removesuffix("L")))


@_on(b"F")
def _float(m: Machine) -> None:
    m.push(float(m.line()))


@_on(b"S", b"V")
def _text_line(m: Machine) -> None:
    m.push(m.text_line())


@_on(b"\x8a", b"\x8b")
def _long_integer(m: Machine) -> None:
    m.file.seek(-1, 1)
    count = m.number("<B") if m.file.read(1) == b"\x8a" else m.number("<i")
    data = m.long("integer", count)
    m.push(int.from_bytes(data, "little", signed=True) if isinstance(data, bytes) else data)


@_on(b"(")
def _mark(m: Machine) -> None:
    m.stack.append(MARK)


@_on(b"0")
def _pop(m: Machine) -> None:
    if not m.stack:
        raise Broken("it takes more than it has put down")
    m.stack.pop()


@_on(b"1")
def _pop_mark(m: Machine) -> None:
    m.pop_mark()


@_on(b"2")
def _duplicate(m: Machine) -> None:
    m.push(m.top())


def _container(kind: str, values: list[Symbol]) -> Items:
    made = Items(kind)
    for value in values:
        made.add(value)
    return made


def _empty(code: bytes, kind: str) -> None:
    _OPERATIONS[code] = lambda m: m.stack.append(Items(kind))


for _code, _kind in ((b"]", "list"), (b")", "tuple"), (b"\x8f", "set")):
    _empty(_code, _kind)


def _gathered(code: bytes, kind: str) -> None:
    _OPERATIONS[code] = lambda m: m.stack.append(_container(kind, m.pop_mark()))


for _code, _kind in ((b"l", "list"), (b"t", "tuple"), (b"\x91", "frozenset")):
    _gathered(_code, _kind)


def _tuple_of(code: bytes, count: int) -> None:
    _OPERATIONS[code] = lambda m: m.stack.append(_container("tuple", [m.pop() for _ in range(count)][::-1]))


for _code, _count in ((b"\x85", 1), (b"\x86", 2), (b"\x87", 3)):
    _tuple_of(_code, _count)


@_on(b"}")
def _empty_dict(m: Machine) -> None:
    m.push(Pairs())


@_on(b"d")
def _dict(m: Machine) -> None:
    made = Pairs()
    values = m.pop_mark()
    for key, value in zip(values[::2], values[1::2]):
        made.add(key, value)
    m.push(made)


def _add_items(m: Machine, values: list[Symbol]) -> None:
    target = m.top()
    if isinstance(target, Made):
        target.items = target.items or Items("list")
        target = target.items
    if isinstance(target, Items):
        for value in values:
            target.add(value)


def _add_pairs(m: Machine, values: list[Symbol]) -> None:
    target = m.top()
    if isinstance(target, Made):
        target.pairs = target.pairs or Pairs()
        target = target.pairs
    if isinstance(target, Pairs):
        for key, value in zip(values[::2], values[1::2]):
            target.add(key, value)


@_on(b"a")
def _append(m: Machine) -> None:
    _add_items(m, [m.pop()])


@_on(b"e", b"\x90")
def _appends(m: Machine) -> None:
    _add_items(m, m.pop_mark())


@_on(b"s")
def _set_item(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    _add_pairs(m, [key, value])


@_on(b"u")
def _set_items(m: Machine) -> None:
    _add_pairs(m, m.pop_mark())


def _get(code: bytes, index: Callable[[Machine], int]) -> None:
    def operation(m: Machine) -> None:
        m.push(m.memo[index(m)])

    _OPERATIONS[code] = operation


def _put(code: bytes, index: Callable[[Machine], int]) -> None:
    def operation(m: Machine) -> None:
        m.memo[index(m)] = m.top()

    _OPERATIONS[code] = operation


_get(b"g", lambda m: int(m.line()))
_get(b"h", lambda m: m.number("<B"))
_get(b"j", lambda m: m.number("<I"))
_put(b"p", lambda m: int(m.line()))
_put(b"q", lambda m: m.number("<B"))
_put(b"r", lambda m: m.number("<I"))
_put(b"\x94", lambda m: len(m.memo))


def _extension(code: bytes, form: str) -> None:
    def operation(m: Machine) -> None:
        m.reading.computed += 1
        m.push(Blob(f"extension {m.number(form)}", 0))

    _OPERATIONS[code] = operation


for _code, _form in ((b"\x82", "<B"), (b"\x83", "<H"), (b"\x84", "<i")):
    _extension(_code, _form)


@_on(b"c")
def _global(m: Machine) -> None:
    module = m.line()
    m.push(m.named(module, m.line()))


@_on(b"\x93")
def _stack_global(m: Machine) -> None:
    name, module = m.pop(), m.pop()
    m.push(m.named(module, name))


@_on(b"R", b"\x81")
def _call(m: Machine) -> None:
    args, factory = m.pop(), m.pop()
    m.make(factory, args)


@_on(b"\x92")
def _call_with_keywords(m: Machine) -> None:
    keywords, args, factory = m.pop(), m.pop(), m.pop()
    m.make(factory, args, states=keywords)


@_on(b"i")
def _instance(m: Machine) -> None:
    module = m.line()
    factory = m.named(module, m.line())
    m.make(factory, _container("tuple", m.pop_mark()))


@_on(b"o")
def _object(m: Machine) -> None:
    values = m.pop_mark()
    if not values:
        raise Broken("it makes an object of nothing")
    m.make(values[0], _container("tuple", values[1:]))


@_on(b"b")
def _build(m: Machine) -> None:
    state, target = m.pop(), m.top()
    if isinstance(target, Made) and len(target.states) < _MOST_STATES:
        target.states.append(state)


@_on(b"P")
def _persistent_line(m: Machine) -> None:
    m.push(Blob("persistent id", 0, m.line()))


@_on(b"Q")
def _persistent(m: Machine) -> None:
    m.pop()
    m.push(Blob("persistent id", 0))


@_on(b"\x97")
def _next_buffer(m: Machine) -> None:
    m.push(Blob("buffer", 0))


@_on(b"\x98")
def _read_only(m: Machine) -> None:
    """Nothing: it says so of a buffer."""
