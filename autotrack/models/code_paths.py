"""``code/``: the modules that a model folder brings along, found while the model is loaded."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autotrack.errors import ModelError
from autotrack.models.files import ModelFiles
from autotrack.models.mlmodel import ModelInfo


@contextmanager
def importable(files: ModelFiles, info: ModelInfo) -> Iterator[None]:
    """Let the modules that the folder brings along be imported: before all others inside the block, after them then.

    The model goes on importing from there when it predicts, but takes no module's place in the rest of the program. A
    module of the same name that the program has imported from elsewhere already stays, with a warning.

    Raises
    ------
    ModelError
        When the folder names a place outside of itself.
    """
    folder = code_folder(files, info)
    if folder is None:
        yield
        return
    place = str(folder)
    _warn_of_others(folder)
    was_there = place in sys.path
    if not was_there:
        sys.path.insert(0, place)
    try:
        yield
    except BaseException:
        if not was_there:
            _take_away(place)
        raise
    if not was_there:
        _take_away(place)
        sys.path.append(place)


def code_folder(files: ModelFiles, info: ModelInfo) -> Path | None:
    """Where the modules are that the folder brings along; ``None`` where it brings none.

    Raises
    ------
    ModelError
        When the folder names a place outside of itself, or something that is no folder.
    """
    for flavor in ("sklearn", info.serialization_format, "python_function"):
        named = info.flavors.get(flavor, {}).get("code")
        if isinstance(named, str) and named:
            folder = files.path(files.find(named, "code folder"))
            if not folder.is_dir():
                raise ModelError(f"{info.folder} names the code folder {named!r}, which is no folder")
            return folder
    return None


def _take_away(place: str) -> None:
    if place in sys.path:
        sys.path.remove(place)


def _warn_of_others(folder: Path) -> None:
    for entry in sorted(os.listdir(folder)):
        name = entry.removesuffix(".py")
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if module is None or not isinstance(file, str):
            continue
        there = folder / entry if entry.endswith(".py") else folder / entry / "__init__.py"
        if not there.is_file() or os.path.realpath(file) == os.path.realpath(there):
            continue
        try:
            is_same = Path(file).read_bytes() == there.read_bytes()
        except OSError:
            is_same = False
        if not is_same:
            warnings.warn(
                f"the model in {folder.parent} brings a module {name!r} along, but this program has imported another "
                f"one already, from {file}; the model uses that one",
                UserWarning,
                stacklevel=level_outside(),
            )


def level_outside() -> int:
    """The ``stacklevel`` of a warning that is to point at who called this package from outside."""
    frame = sys._getframe(1)
    level = 1
    while frame.f_back is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in ("autotrack", "contextlib"):
            break
        frame, level = frame.f_back, level + 1
    return level
