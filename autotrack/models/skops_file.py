"""A model as a skops file: an archive that names every type in it, and builds none that nobody trusts."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Final, NamedTuple

from autotrack.errors import ModelError, ModelRefused
from autotrack.models.trusted import TRUSTED

OLDEST: Final = (0, 13)
"""Older releases build types that their own audit did not see (CVE-2025-54412, CVE-2025-54413)."""


SCHEMA: Final = "schema.json"
MAX_SCHEMA: Final = 256 * 2**20
_MOST_MEMBERS: Final = 1_000_000
_MOST_RATIO: Final = 50
_LEAST_BOUND: Final = 64 * 2**20
"""An archive may unfold to so many bytes and `_MOST_RATIO` times its size: skops and we write it uncompressed."""


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
        modules = set(_modules(json.loads(archive.read(SCHEMA))))
    return Dumped(data, modules, tuple(types))


def load(file: BinaryIO, path: Path, trusted: frozenset[str]) -> Any:
    """Load a skops file, whose types are all trusted by skops, by `TRUSTED` or by ``trusted``.

    Parameters
    ----------
    file : the open file.
    path : for errors.

    Raises
    ------
    ModelRefused
        When a type is not trusted; then nothing of the file was built.
    ModelError
        When skops is not installed, or the archive unfolds to far more than its size.
    Exception
        Whatever skops raises for a file that is damaged or needs what is not there.
    """
    skops = _skops()
    check_archive(file, path)
    allowed = TRUSTED | trusted
    unknown = unknown_types(skops.io.get_untrusted_types(file=file), trusted)
    if unknown:
        raise ModelRefused(
            f"{path} holds types that are not trusted: {', '.join(unknown)}. If you trust where it comes from, load it "
            f"with load_model(…, trusted_types={unknown})"
        )
    return skops.io.load(file, trusted=sorted(allowed))


def check_archive(file: BinaryIO, path: Path) -> None:
    """Make sure that an archive unfolds to no more than it can reasonably hold; nothing is unfolded for it.

    Raises
    ------
    ModelError
        When it does, has too many members, or a description that is too large. A file that is no archive passes:
        whoever reads it will say so.
    """
    try:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return
    finally:
        file.seek(0)
    whole = sum(member.file_size for member in members)
    if len(members) > _MOST_MEMBERS or whole > _LEAST_BOUND + _MOST_RATIO * size:
        raise ModelError(
            f"{path} is an archive of {size:,} bytes that would unfold to {whole:,} in {len(members):,} files: it is "
            "not opened"
        )
    description = [member.file_size for member in members if member.filename == SCHEMA]
    if sum(description) > MAX_SCHEMA:
        raise ModelError(f"{path} describes itself in {sum(description):,} bytes, more than {MAX_SCHEMA:,}")


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
