"""What was last written of a run into MLflow's files: ``autotrack.json`` in its folder.

By it a later reader tells what MLflow or its users changed since, and whether the files are older than our own record.
It is written last: after a crash the files are written again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from autotrack.stores.mlflow.folder import files

NAME: Final = "autotrack.json"
VERSION: Final = 1


@dataclass(slots=True)
class Written:
    """What was written.

    Parameters
    ----------
    offset : how much of the sidecar had been read, in bytes.
    facts : those of the process that were told (`autotrack.stores.mlflow.translation.source_facts`).
    experiment : the name of the experiment, as MLflow takes it.
    meta : the fields of ``meta.yaml``.
    meta_stamp : its stamp; empty where it also holds what MLflow changed.
    params, tags : by file: hash of the content, the file's stamp.
    metrics : by file: hash of our lines, the file's stamp, how many lines are not ours.
    inputs, outputs, models : hashes, by folder.
    removed_tags : by key: the place of the entry for which its file was removed; set by MLflow later, it is there.
    names : our keys by the names of files, of each group, where they differ.
    pictures : for each file of plots: its digest, and a sentence for each plot of it that could not be drawn.
    problems : what could not be written, a sentence each.
    """

    offset: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    experiment: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    meta_stamp: list[int] = field(default_factory=list)
    params: dict[str, list[Any]] = field(default_factory=dict)
    tags: dict[str, list[Any]] = field(default_factory=dict)
    metrics: dict[str, list[Any]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    removed_tags: dict[str, list[Any]] = field(default_factory=dict)
    names: dict[str, dict[str, str]] = field(default_factory=dict)
    pictures: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def all_problems(self) -> list[str]:
        """What could not be written or drawn."""
        return [*self.problems, *(problem for _, *problems in self.pictures.values() for problem in problems)]

    def texts(self, group: str) -> dict[str, list[Any]]:
        """``params``, ``tags`` or ``metrics``."""
        found: dict[str, list[Any]] = getattr(self, group)
        return found

    def key_of(self, group: str, name: str) -> str:
        """Our key of a file."""
        return self.names.get(group, {}).get(name, name)

    def save(self, run: Path) -> None:
        """Write it down.

        Raises
        ------
        OSError
            When that fails.
        """
        files.write(run / NAME, json.dumps({"version": VERSION, **asdict(self)}).encode(), run)


def load(run: Path) -> Written | None:
    """What was last written of a run; ``None`` where nothing was, or where it cannot be understood."""
    try:
        data = json.loads((run / NAME).read_bytes())
        if data.pop("version") != VERSION:
            return None
        data.setdefault("removed_tags", {})  # the first version had none
        return Written(**{known.name: _checked(known.name, data[known.name]) for known in fields(Written)})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def hash_of(data: bytes) -> str:
    """By it a changed content is told."""
    return hashlib.sha256(data).hexdigest()[:16]


_EMPTY: Final = Written()


_ENTRIES: Final = {"params": (str, int, int, int), "tags": (str, int, int, int), "metrics": (str, int, int, int, int)}


def _checked(name: str, value: Any) -> Any:
    if type(value) is not type(getattr(_EMPTY, name)):
        raise TypeError(name)
    match name:
        case "params" | "tags" | "metrics":
            is_right = all(_is_entry(entry, _ENTRIES[name]) for entry in value.values())
        case "removed_tags":
            is_right = all(_is_entry(entry, (str, int)) for entry in value.values())
        case "inputs" | "outputs" | "models":
            is_right = all(isinstance(hashed, str) for hashed in value.values())
        case "names":
            is_right = all(isinstance(names, dict) and _are_texts(names.values()) for names in value.values())
        case "pictures":
            is_right = all(isinstance(told, list) and told and _are_texts(told) for told in value.values())
        case "problems":
            is_right = _are_texts(value)
        case _:
            is_right = True
    if not is_right:
        raise TypeError(name)
    return value


def _is_entry(entry: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(entry, list) and [type(part) for part in entry] == list(kinds)


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
