"""Reading the input example that a model folder brings along: from inside of the folder, and no more than fits."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from pathlib import Path
from typing import Any, Final

from autotrack.errors import ModelError
from autotrack.models.files import ModelFiles
from autotrack.models.mlmodel import ModelInfo

MAX_EXAMPLE: Final = 16 * 2**20
"""Bytes of an example, when it is unfolded."""


def read_example(info: ModelInfo, *, serving: bool = False) -> Any:
    """The input example as JSON has it; ``None`` where the folder has none.

    Parameters
    ----------
    info : what the folder says of itself.
    serving : the form that a scoring server takes, in place of the data alone.

    Raises
    ------
    ModelError
        When the folder names a file outside of itself or one that is not there, or when it is no JSON or unfolds to
        more than 16 MiB.
    """
    named = info.example.get("serving_input_path" if serving else "artifact_path")
    if not isinstance(named, str) or not named:
        return None
    with ModelFiles(Path(info.folder)) as files:
        found = files.find(named, "input example")
        content = files.read(found, MAX_EXAMPLE)
    try:
        if found.endswith(".gz"):
            content = _unfolded(content)
        return json.loads(content)
    except (ValueError, RecursionError, EOFError, OSError, zlib.error) as error:
        raise ModelError(f"the input example {named!r} of {info.folder} cannot be read: {error}") from error


def _unfolded(content: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        data = file.read(MAX_EXAMPLE + 1)
    if len(data) > MAX_EXAMPLE:
        raise ValueError(f"it unfolds to more than {MAX_EXAMPLE >> 20} MiB")
    return data
