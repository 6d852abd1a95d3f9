"""Files of MLflow's folders: reading YAML safely, writing whole or not at all, locking."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from autotrack.models.mlmodel import quote

if sys.platform != "win32":
    import fcntl

META: Final = "meta.yaml"
TEMPORARY: Final = ".autotrack-tmp-"
"""Beginning of the name of what is being written. It stands in a run's folder, where MLflow looks at known names."""

_MAX_YAML: Final = 32 * 2**20


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping; nothing in it is executed.

    Raises
    ------
    OSError
        When it cannot be read.
    ValueError
        When it is no such file; the message says why.
    """
    import yaml

    data = path.read_bytes()
    if len(data) > _MAX_YAML:
        raise ValueError(f"it is larger than {_MAX_YAML >> 20} MiB")
    try:
        found = yaml.load(data.decode("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())[:300]) from error
    if not isinstance(found, dict):
        kind = "nothing" if found is None else f"a {type(found).__name__}"
        raise ValueError(f"it holds {kind}, not a mapping")  # noqa: TRY004 - the file is wrong, no argument is
    return found


def render_yaml(data: Mapping[str, Any]) -> bytes:
    """A mapping of texts, numbers, mappings of texts and empty lists as YAML, by key."""
    lines = []
    for key in sorted(data):
        value = data[key]
        if isinstance(value, Mapping) and value:
            lines.append(f"{quote(key)}:\n")
            lines += [f"  {quote(inner)}: {_scalar(value[inner])}\n" for inner in sorted(value)]
        else:
            lines.append(f"{quote(key)}: {_scalar(value)}\n")
    return "".join(lines).encode()


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_scalar(item) for item in value) + "]"
    return quote(str(value))


def write(path: Path, data: bytes, scratch: Path) -> os.stat_result:
    """Write a file in one step, by way of a temporary one in ``scratch``, which is on the same disk.

    Raises
    ------
    OSError
        When it cannot be written; then what stood there still does.
    """
    temporary = scratch / f"{TEMPORARY}{os.urandom(6).hex()}"
    try:
        temporary.write_bytes(data)
        try:
            os.replace(temporary, path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path.stat()


def write_folder(folder: Path, files: Mapping[str, bytes], scratch: Path) -> None:
    """Make a folder with these files, so that nobody sees it without them; one that is there gets them file by file."""
    if folder.is_dir():
        for name, data in files.items():
            write(folder / name, data, scratch)
        return
    temporary = scratch / f"{TEMPORARY}{os.urandom(6).hex()}"
    try:
        for name, data in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(data)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(temporary, folder)
        except OSError:  # another process made it meanwhile
            if not folder.is_dir():
                raise
            write_folder(folder, files, scratch)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(folder: Path, scratch: Path) -> None:
    """Remove a folder in one step, so that nobody sees a part of it."""
    temporary = scratch / f"{TEMPORARY}{os.urandom(6).hex()}"
    try:
        os.rename(folder, temporary)
    except FileNotFoundError:
        return
    shutil.rmtree(temporary, ignore_errors=True)


def remove_temporaries(scratch: Path) -> None:
    """Remove what a killed writer left; the caller holds the lock of this folder."""
    with os.scandir(scratch) as entries:
        left = [entry.path for entry in entries if entry.name.startswith(TEMPORARY)]
    for path in left:
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            Path(path).unlink(missing_ok=True)


def lock(descriptor: int, *, wait: bool = True) -> bool:
    """Lock an open file against other processes and openers; whether that could be done. Closing it unlocks it."""
    if sys.platform == "win32":  # pragma: no cover - there is no flock
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file that exists for this alone."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        lock(descriptor)
        yield
    finally:
        os.close(descriptor)
