"""A model as a skops file: an archive that names every type in it, and builds none that nobody trusts."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from autotrack.errors import ModelError
from autotrack.models.trusted import TRUSTED

OLDEST: Final = (0, 13)
"""Older releases build types that their own audit did not see (CVE-2025-54412, CVE-2025-54413)."""


class Dumped(NamedTuple):
    """A model's archive, the modules that it names, and the types that have to be trusted beyond skops' own."""

    data: bytes
    modules: set[str]
    types: tuple[str, ...]


def dump(model: Any) -> Dumped:
    """The model as the bytes of a skops file.

    Raises
    ------
    ModelError
        When skops is not installed, or a type in the model is none that it can write.
    """
    skops = _skops()
    name = type(model).__name__
    try:
        data: bytes = skops.io.dumps(model)
        types: list[str] = skops.io.get_untrusted_types(data=data)
    except Exception as error:
        raise ModelError(
            f"{name} cannot be written with skops: {type(error).__name__}: {error}; serialization_format='cloudpickle' "
            "takes more types"
        ) from error
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        modules = set(_modules(json.loads(archive.read("schema.json"))))
    return Dumped(data, modules, tuple(types))


def load(path: Path, trusted: frozenset[str]) -> Any:
    """Load a skops file, whose types are all trusted by skops, by `TRUSTED` or by ``trusted``.

    Raises
    ------
    ModelError
        When skops is not installed, or a type is not trusted; then nothing of the file was built.
    Exception
        Whatever skops raises for a file that is damaged or needs what is not there.
    """
    skops = _skops()
    allowed = TRUSTED | trusted
    unknown = unknown_types(skops.io.get_untrusted_types(file=path), trusted)
    if unknown:
        raise ModelError(
            f"{path} holds types that are not trusted: {', '.join(unknown)}. If you trust where it comes from, load it "
            f"with load_model(…, trusted_types={unknown})"
        )
    return skops.io.load(path, trusted=sorted(allowed))


def unknown_types(types: Iterable[str], trusted: frozenset[str] = frozenset()) -> list[str]:
    """Those of the types that loading refuses, sorted."""
    return sorted(set(types) - TRUSTED - trusted)


def _skops() -> ModuleType:
    try:
        import skops
        import skops.io
    except ImportError as error:
        if error.name is not None and error.name.partition(".")[0] != "skops":
            raise ModelError(f"the package skops cannot be imported: {error}") from error
        raise ModelError(
            "the format 'skops' needs the package skops, which is not installed: pip install 'autotrack[skops]'"
        ) from error
    version = tuple(int(part) for part in skops.__version__.split(".")[:2] if part.isdecimal())
    if version < OLDEST:
        raise ModelError(
            f"skops {skops.__version__} is too old to be safe, at least {'.'.join(map(str, OLDEST))} is needed: "
            "pip install 'autotrack[skops]'"
        )
    module: ModuleType = skops
    return module


def _modules(node: Any) -> Iterator[str]:
    """The modules that an archive's description names."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            name = node.get("__module__")
            if isinstance(name, str):
                yield name
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
