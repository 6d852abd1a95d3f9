"""What the caller calls the object it passed: ``model.predict(test_x)`` → ``"test_x"``."""

from __future__ import annotations

import ast
import dis
import linecache
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, Final

_MOST_CALLS: Final = 4096

_calls: dict[tuple[int, int], tuple[CodeType, ast.Call | None]] = {}
"""The calls that stand in the source, by code object and instruction; the code object is kept, so that its id is."""


def argument_name(frame: FrameType | None, name: str, index: int | None, value: Any) -> str | None:
    """The variable's name, or ``None`` where it has none or the source is not at hand.

    A script's own global name for the object wins, its oldest (as in MLflow), so that neither a helper
    ``def evaluate(model, X)`` nor a loop ``for title, X in parts`` calls every test set ``X``; else it is what stands
    in the call, or in the outer call that handed it to the helper.

    Parameters
    ----------
    frame : the caller's.
    name : the parameter's name.
    index : its position among the positional arguments.
    value : what was passed.
    """
    if frame is None:
        return None
    call = _call_at(frame.f_code, frame.f_lasti)
    passed = _name_in(call, name, index) if call is not None else None
    names = _global_names(frame, value)
    return names[0] if names else _handed_down(frame, passed)


def _global_names(frame: FrameType, value: Any) -> list[str]:
    """What modules whose code is running call the object, outermost first.

    Only globals are looked at: reading a function's ``f_locals`` makes a snapshot that keeps its variables alive.
    """
    names: list[str] = []
    walk: FrameType | None = frame
    while walk is not None:
        if walk.f_code.co_name == "<module>":
            held = [key for key, other in list(walk.f_globals.items()) if other is value and not key.startswith("_")]
            names = held + names
        walk = walk.f_back
    return names


def _handed_down(frame: FrameType, name: str | None) -> str | None:
    """What a parameter is called where it comes from: the walk ends where the name is no parameter of its function.

    Only calls of a function by its own name are followed, and only parameters that the function never assigns to.
    """
    while name is not None:
        code = frame.f_code
        parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        back = frame.f_back
        if name not in parameters or back is None or _assigns(code, name):
            break
        call = _call_at(back.f_code, back.f_lasti)
        if call is None or _plain_name(call.func) != code.co_name:
            break
        index = parameters.index(name)
        if isinstance(call.func, ast.Attribute) and parameters[0] in ("self", "cls"):
            index -= 1
        name = _name_in(call, name, index if index < code.co_argcount else None)
        frame = back
    return name


@lru_cache(maxsize=4096)
def _assigns(code: CodeType, name: str) -> bool:
    return any(
        instruction.argval == name and instruction.opname.startswith(("STORE", "DELETE"))
        for instruction in dis.get_instructions(code)
    )


def _name_in(call: ast.Call, name: str, index: int | None) -> str | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return _plain_name(keyword.value)
    if index is None or any(isinstance(argument, ast.Starred) for argument in call.args[: index + 1]):
        return None
    return _plain_name(call.args[index]) if index < len(call.args) else None


def _plain_name(node: ast.expr) -> str | None:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
        case _:
            return None


def _call_at(code: CodeType, instruction: int) -> ast.Call | None:
    # By identity: the hash of a code object is worked out anew each time, from all its bytecode.
    key = (id(code), instruction)
    found = _calls.get(key)
    if found is None or found[0] is not code:
        if len(_calls) >= _MOST_CALLS:
            _calls.clear()
        found = _calls[key] = (code, _parsed_call(code, instruction))
    return found[1]


def _parsed_call(code: CodeType, instruction: int) -> ast.Call | None:
    positions = list(code.co_positions())
    if not 0 <= instruction // 2 < len(positions):
        return None
    line, end_line, column, end_column = positions[instruction // 2]
    if line is None or end_line is None or column is None or end_column is None:
        return None
    lines = [linecache.getline(code.co_filename, number).encode() for number in range(line, end_line + 1)]
    if not lines or not lines[0]:
        return None
    lines[-1] = lines[-1][:end_column]
    lines[0] = lines[0][column:]
    try:
        tree = ast.parse(b"(" + b"".join(lines) + b"\n)", mode="eval")
    except (SyntaxError, ValueError):
        return None
    return tree.body if isinstance(tree.body, ast.Call) else None
