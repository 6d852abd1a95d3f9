"""Reading a skops file's own description, ``schema.json``, without building anything of it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Final

from autotrack.errors import ModelError
from autotrack.models.skops_file import MAX_SCHEMA, SCHEMA, check_archive
from autotrack.models.symbols import Blob, Items, Made, Name, Pairs, Reading, Symbol

_DEEPEST: Final = 200
_MOST_NODES: Final = 2_000_000
_SCALARS: Final = 4_096
"""Characters; a longer value is not shown."""


def read_skops(file: BinaryIO, path: Path) -> Reading:
    """What a skops file says, and which types loading it would build.

    Parameters
    ----------
    file : the open file.
    path : for messages.
    """
    reading = Reading()
    try:
        check_archive(file, path)
        with zipfile.ZipFile(file) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
            with archive.open(SCHEMA) as member:
                text = member.read(MAX_SCHEMA + 1)
        if len(text) > MAX_SCHEMA:
            raise ModelError(f"it describes itself in more than {MAX_SCHEMA:,} bytes")
        reader = _Reader(reading, sizes)
        reading.root = reader.symbol(json.loads(text), 0)
        if reader.left <= 0:
            reading.trouble = f"it has more than {_MOST_NODES:,} parts"
    except (ModelError, zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError, NotImplementedError) as error:
        reading.trouble = str(error)
    except RecursionError:
        reading.trouble = "it is nested too deeply"
    return reading


class _Reader:
    def __init__(self, reading: Reading, sizes: dict[str, int]) -> None:
        self.reading = reading
        self.sizes = sizes
        self.left = _MOST_NODES
        self.known: dict[int, Symbol] = {}

    def symbol(self, node: Any, depth: int) -> Symbol:
        """The symbol of one node of the description."""
        self.left -= 1
        if self.left <= 0 or not isinstance(node, dict):
            return Blob("something", 0)
        if depth > _DEEPEST:
            raise RecursionError
        module, name, kind = (str(node.get(key) or "") for key in ("__module__", "__class__", "__loader__"))
        content = node.get("content")
        number = node.get("__id__")
        if kind == "CachedNode" and isinstance(number, int):
            return self.known.get(number)
        if kind == "JsonNode":
            return _scalar(content)
        if kind in ("FunctionNode", "TypeNode", "OperatorFuncNode"):
            where = content if isinstance(content, dict) else {}
            return self.name(str(where.get("module_path") or module), str(where.get("function") or name))
        if kind in ("ListNode", "TupleNode", "SetNode", "FrozenSetNode"):
            if (module, name) not in (("builtins", n) for n in ("list", "tuple", "set", "frozenset")):
                self.name(module, name)
            items = Items(kind.removesuffix("Node").lower())
            for part in content if isinstance(content, list) else ():
                items.add(self.symbol(part, depth + 1))
            return items
        if kind == "DictNode" and (module, name) == ("builtins", "dict"):
            return self.pairs(content, depth)
        if kind in ("NdArrayNode", "MaskedArrayNode", "SparseMatrixNode"):
            self.name(module, name)
            if not isinstance(content, (dict, list)):
                return Blob(name or "array", self.sizes.get(str(node.get("file")), 0))
        made = Made(self.name(module, name), Items("tuple"))
        if isinstance(number, int):
            self.known[number] = made
        self.fill(made, content, depth)
        return made

    def name(self, module: str, name: str) -> Name:
        """A type that is named."""
        self.reading.note(module, name)
        return Name(module, name)

    def pairs(self, content: Any, depth: int) -> Pairs:
        pairs = Pairs()
        for key, value in content.items() if isinstance(content, dict) else ():
            pairs.add(key, self.symbol(value, depth + 1))
        return pairs

    def fill(self, made: Made, content: Any, depth: int) -> None:
        """What an object is made of: its state, its parts, or both in a form of the object's own."""
        if isinstance(content, dict) and "__loader__" in content:
            made.states.append(self.symbol(content, depth + 1))
        elif isinstance(content, dict):
            pairs = Pairs()
            for key, value in content.items():
                if isinstance(value, dict):
                    pairs.add(key, self.symbol(value, depth + 1))
                elif not isinstance(value, list):
                    pairs.add(key, value)
            made.states.append(pairs)
        for part in content if isinstance(content, list) else ():
            made.items = made.items or Items("list")
            made.items.add(self.symbol(part, depth + 1))


def _scalar(content: Any) -> Symbol:
    if not isinstance(content, str) or len(content) > _SCALARS:
        return Blob("value", len(content) if isinstance(content, str) else 0)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return content
    return value if value is None or isinstance(value, (bool, int, float, str)) else content
