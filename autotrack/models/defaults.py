"""What a class's constructor takes, and its defaults, as its source says: the class is not imported for it."""

from __future__ import annotations

import ast
import importlib.util
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

_LIBRARIES: Final = frozenset({"sklearn", "imblearn", "lightgbm", "catboost"})
_MAX_SOURCE: Final = 4 * 2**20


@dataclass(frozen=True, slots=True)
class NoDefault:
    """Stands for the default of a parameter that has none, or one that is no plain value: ``text`` is its source."""

    text: str = ""


NO_DEFAULT: Final = NoDefault()


@lru_cache(maxsize=256)
def defaults_of(module: str, name: str) -> dict[str, Any] | None:
    """Parameters of a class of a library that is installed here, with their defaults; ``None`` where it is not known.

    Parameters
    ----------
    module, name : of the class, which a file that nobody trusts may have named.
    """
    parts = module.split(".")
    if parts[0] not in _LIBRARIES or not all(part.isidentifier() for part in (*parts, name)):
        return None
    try:
        spec = importlib.util.find_spec(parts[0])
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    base = Path(spec.submodule_search_locations[0]).joinpath(*parts[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file() and path.stat().st_size <= _MAX_SOURCE:
            return _read(path, name)
    return None


def _read(path: Path, name: str) -> dict[str, Any] | None:
    try:
        found = _class(_text(path), name)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    for part in () if found is None else found.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return _arguments(part.args)
    return None


@lru_cache(maxsize=32)
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _class(source: str, name: str) -> ast.ClassDef | None:
    """A class of a module. Only its own lines are parsed where they can be: a module takes ten times as long.

    Raises
    ------
    SyntaxError, ValueError, RecursionError
        When the module is none that Python reads.
    """
    begin = re.search(rf"^class {re.escape(name)}\b", source, re.MULTILINE)
    if begin is None:
        return None
    header = re.compile(r":[ \t]*(?:#.*)?\n").search(source, begin.end())
    end = None if header is None else re.compile(r"^[^\s#)]", re.MULTILINE).search(source, header.end())
    own = source[begin.start() : None if end is None else end.start()]
    try:
        tree = ast.parse(own)
    except SyntaxError:  # a text of several lines, in which one begins like a statement
        tree = ast.parse(source)
    found = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return next(found, None)


def _arguments(arguments: ast.arguments) -> dict[str, Any]:
    found: dict[str, Any] = {}
    positional = arguments.args[1:]
    values: list[ast.expr | None] = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults]
    for argument, value in (*zip(positional, values), *zip(arguments.kwonlyargs, arguments.kw_defaults)):
        try:
            found[argument.arg] = NO_DEFAULT if value is None else ast.literal_eval(value)
        except ValueError:
            found[argument.arg] = NO_DEFAULT if value is None else NoDefault(ast.unparse(value))
    return found
