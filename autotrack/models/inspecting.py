"""What a model folder holds, without unpickling it, importing what it names or believing what it says of itself."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from autotrack.errors import ModelError
from autotrack.models import importing
from autotrack.models.code_paths import code_folder
from autotrack.models.estimators import Estimator, estimator_of
from autotrack.models.files import ModelFiles
from autotrack.models.formats import PICKLE, SKOPS
from autotrack.models.inspecting_pickle import read_pickle
from autotrack.models.inspecting_skops import read_skops
from autotrack.models.loading import RUN_CODE, version_difference
from autotrack.models.mlmodel import ModelInfo, read_mlmodel
from autotrack.models.skops_file import unknown_types
from autotrack.models.symbols import Reading

REQUIREMENTS: Final = "requirements.txt"
_MAX_REQUIREMENTS: Final = 1024 * 1024
_MOST_FILES: Final = 10_000

VERIFIED: Final = "verified"
DIFFERENT: Final = "different"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file of the folder: ``size`` in bytes; ``note`` says what is odd about it."""

    path: str
    size: int
    note: str = ""


@dataclass(slots=True)
class Inspection:
    """What `inspect_model` found.

    Parameters
    ----------
    info : what the ``MLmodel`` says.
    digest, digest_state : of the folder, and whether it is the logged one: ``"verified"``, ``"different"``, or
        ``"unknown"`` where none was logged.
    reading : what the model's file says; ``None`` for a format that is not looked into.
    types : what loading would import, by where it comes from.
    dangers : those of them that are known to run or reach anything, with the reason.
    untrusted_types : for a skops file, those that loading refuses unless they are named.
    problems : what is wrong with the folder, a sentence each.
    """

    info: ModelInfo
    files: list[FileFact]
    digest: str = ""
    digest_state: str = UNKNOWN
    model_file: str = ""
    reading: Reading | None = None
    estimator: Estimator | None = None
    requirements: list[str] = field(default_factory=list)
    code: str = ""
    types: dict[str, list[str]] = field(default_factory=dict)
    dangers: dict[str, str] = field(default_factory=dict)
    carries_code: bool = False
    untrusted_types: list[str] = field(default_factory=list)
    version_difference: str | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def runs_code(self) -> bool:
        """Whether loading runs whatever stands in the file."""
        return (self.info.serialization_format or PICKLE) in RUN_CODE

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        info, signature = self.info, self.info.signature
        specs = None if signature is None else {"inputs": signature.inputs, "outputs": signature.outputs}
        return {
            "folder": str(info.folder),
            "run_id": info.run_id,
            "artifact_path": info.artifact_path,
            "created": info.created,
            "estimator_class": info.estimator_class,
            "serialization_format": info.serialization_format,
            "model_file": self.model_file,
            "runs_code": self.runs_code,
            "python_version": info.python_version,
            "sklearn_version": info.sklearn_version,
            "version_difference": self.version_difference,
            "signature": specs
            and {side: None if known is None else [s.to_json() for s in known] for side, known in specs.items()},
            "size": self.size,
            "files": [{"path": file.path, "size": file.size, "note": file.note} for file in self.files],
            "digest": {"value": self.digest, "state": self.digest_state},
            "requirements": self.requirements,
            "code": self.code or None,
            "types": self.types,
            "dangerous_types": self.dangers,
            "computed_names": 0 if self.reading is None else self.reading.computed,
            "carries_code": self.carries_code,
            "untrusted_types": self.untrusted_types,
            "read_whole": self.reading is not None and not self.reading.trouble,
            "estimator": None if self.estimator is None else self.estimator.to_dict(),
            "problems": self.problems,
        }


def inspect_model(folder: Path, *, digest: str = "") -> Inspection:
    """Look into a model folder. Nothing of it runs, and nothing outside of it is read.

    Parameters
    ----------
    folder : a model folder.
    digest : the one that was logged of it; empty where none is known.

    Raises
    ------
    ModelError
        When it is no model folder.
    """
    with ModelFiles(Path(folder)) as files:
        info = read_mlmodel(Path(folder))
        found = Inspection(info, _list(files))
        found.version_difference = version_difference(info)
        try:
            found.digest = files.digest()
            if digest:
                found.digest_state = VERIFIED if found.digest == digest else DIFFERENT
        except ModelError as error:
            found.problems.append(str(error))
            found.digest_state = DIFFERENT if digest else UNKNOWN
        if found.digest_state == DIFFERENT:
            found.problems.append(f"it is not what was logged: its digest is not {digest}")
        _read_requirements(files, found)
        try:
            code = code_folder(files, info)
            found.code = "" if code is None else str(code.relative_to(os.path.realpath(folder)))
        except ModelError as error:
            found.problems.append(str(error))
        _read_model(files, found)
    return found


def _list(files: ModelFiles) -> list[FileFact]:
    facts: list[FileFact] = []
    root = files.path(".")
    for place, folders, names in os.walk(root):
        folders.sort()
        for name in sorted([*names, *(name for name in folders if os.path.islink(os.path.join(place, name)))]):
            path = os.path.join(place, name)
            shown = os.path.relpath(path, root).replace(os.sep, "/")
            note = f"a link to {os.readlink(path)}" if os.path.islink(path) else ""
            facts.append(FileFact(shown, os.lstat(path).st_size, note))
            if len(facts) == _MOST_FILES:
                return facts
    return facts


def _read_requirements(files: ModelFiles, found: Inspection) -> None:
    if not os.path.lexists(files.path(REQUIREMENTS)):
        return
    try:
        text = files.read(files.find(REQUIREMENTS, "file"), _MAX_REQUIREMENTS).decode("utf-8", "replace")
    except ModelError as error:
        found.problems.append(str(error))
        return
    found.requirements = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _read_model(files: ModelFiles, found: Inspection) -> None:
    info = found.info
    if not info.pickled_model:
        found.problems.append("the MLmodel names no file of a scikit-learn model, so that none was looked into")
        return
    try:
        place = files.find(info.pickled_model, "model file")
        with files.open(place) as file:
            if info.serialization_format == SKOPS:
                reading = read_skops(file, files.path(place))
            elif found.runs_code:
                reading = read_pickle(file)
            else:
                found.model_file = place
                return
    except (ModelError, OSError) as error:
        found.problems.append(str(error))
        return
    found.model_file = place
    found.reading = reading
    found.estimator = estimator_of(reading.root)
    found.types = importing.grouped(reading.names)
    found.dangers = importing.dangers(reading.names)
    found.carries_code = importing.carries_code(reading.names)
    if reading.computed:
        found.dangers["(names that are worked out while loading)"] = "nobody can tell before what they are"
    if reading.trouble:
        found.problems.append(f"{place} was not read to its end: {reading.trouble}")
    if info.serialization_format == SKOPS and not reading.trouble:
        found.untrusted_types = _untrusted(files, place, found)


def _untrusted(files: ModelFiles, place: str, found: Inspection) -> list[str]:
    """What skops would refuse; empty where it is not installed, which loading says then."""
    try:
        from skops.io import get_untrusted_types

        with files.open(place) as file:
            return unknown_types(get_untrusted_types(file=file))
    except ImportError:
        return []
    except Exception as error:  # noqa: BLE001 - whatever skops raises for a damaged file
        found.problems.append(f"skops cannot tell its types: {type(error).__name__}: {error}")
        return []
