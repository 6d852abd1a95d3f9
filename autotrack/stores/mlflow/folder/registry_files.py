"""MLflow's folders of registered models: ``models/NAME/meta.yaml``, ``version-N``, ``tags`` and ``aliases``.

A folder comes in one step, whole: MLflow fails on one without ``meta.yaml``. A version that is deleted stays as a
folder whose stage says so, in MLflow as here, so that its number is not given again.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from autotrack.errors import ModelError
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.folder import files
from autotrack.stores.mlflow.folder.found import read_text
from autotrack.stores.mlflow.folder.layout import LOCK, REGISTRY, TAGS, TRASH, listing
from autotrack.stores.mlflow.versions import DELETED_TAG
from autotrack.stores.registry import checked_name, is_name

ALIASES: Final = "aliases"
DELETED_STAGE: Final = "Deleted_Internal"
_VERSION: Final = re.compile(r"version-([1-9][0-9]{0,17})")
_MAX_NAME: Final = 255
_ODD: Final = re.compile("[%\0\ud800-\udfff]")


@dataclass(slots=True)
class Entry:
    """A registered model, or one of its versions: its folder, the fields of ``meta.yaml``, its tags."""

    folder: Path
    meta: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def created(self) -> int | None:
        """In milliseconds since the epoch."""
        found = self.meta.get("creation_timestamp")
        return found if isinstance(found, int) else None

    @property
    def description(self) -> str:
        """Empty where there is none."""
        return str(self.meta.get("description") or "")

    def text(self, name: str) -> str:
        """One of the fields as a text, empty where there is none."""
        found = self.meta.get(name)
        return "" if found is None else str(found)


class RegistryFiles:
    """The registered models below one root. What changes them is called with `locked`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder: Final = root / REGISTRY
        self.problems: list[str] = []
        """What could not be read since it was last emptied."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold off every other of us that would change something. MLflow itself locks nothing.

        Raises
        ------
        OSError
            When the lock's file cannot be opened.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with files.locked(self.folder / LOCK):
            yield

    # Reading

    def names(self) -> list[str]:
        """The names there are, sorted; those without versions that were deleted here among them."""
        return sorted(path.name for path in _folders(self.folder) if not path.name.startswith(files.TEMPORARY))

    def model(self, name: str) -> Entry | None:
        """A registered model; ``None`` where there is none, or it cannot be read."""
        return self._entry(self.folder / name) if is_folder_name(name) else None

    def is_there(self, model: Entry) -> bool:
        """Whether it was not deleted here, or has versions again."""
        return DELETED_TAG not in model.tags or any(True for _ in self.versions(model.folder.name))

    def numbers(self, name: str) -> list[int]:
        """The numbers given, sorted; those of deleted versions among them."""
        found = (_VERSION.fullmatch(path.name) for path in _folders(self.folder / name))
        return sorted(int(match[1]) for match in found if match)

    def versions(self, name: str) -> Iterator[tuple[int, Entry]]:
        """The versions that are there, by number."""
        for number in self.numbers(name):
            entry = self.version(name, number)
            if entry is not None:
                yield number, entry

    def version(self, name: str, number: int, *, deleted: bool = False) -> Entry | None:
        """One version; ``None`` where there is none, or it cannot be read, or it is deleted and not asked for."""
        entry = self._entry(self.folder / name / f"version-{number}") if is_folder_name(name) else None
        return entry if entry is not None and (deleted or entry.text("current_stage") != DELETED_STAGE) else None

    def aliases(self, name: str) -> dict[str, int]:
        """The versions that aliases point to."""
        found = {}
        for alias in sorted(listing(self.folder / name / ALIASES)):
            text = read_text(self.folder / name / ALIASES / alias, self.problems)
            if text is not None and text.strip().isascii() and text.strip().isdigit():
                found[alias] = int(text)
        return found

    def _entry(self, folder: Path) -> Entry | None:
        if folder.is_symlink() or not folder.is_dir():
            return None
        try:
            meta = files.read_yaml(folder / files.META)
        except (OSError, ValueError) as error:
            self.problems.append(f"{folder / files.META} cannot be read: {error}")
            return None
        texts = {key: read_text(folder / TAGS / key, self.problems) for key in sorted(listing(folder / TAGS))}
        return Entry(folder, meta, {key: text for key, text in texts.items() if text is not None})

    # Changing

    def make_model(self, name: str) -> None:
        """Make a registered model, unless it is there."""
        folder, now = self.folder / name, _now()
        if folder.is_dir():
            return
        meta = {"aliases": {}, "creation_timestamp": now, "deployment_job_id": None, "deployment_job_state": None}
        meta |= {"description": None, "last_updated_timestamp": now, "name": name}
        temporary = self._aside()
        temporary.mkdir()
        try:
            (temporary / files.META).write_bytes(files.render_yaml(meta))
            os.rename(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def make_version(self, name: str, meta: Mapping[str, Any], tags: Mapping[str, str]) -> int:
        """Make the next version of a registered model that is there, unless ``meta`` has a number; its number."""
        folder, now = self.folder / name, _now()
        files.remove_temporaries(folder)
        while True:
            number = int(meta.get("version", max(self.numbers(name), default=0) + 1))
            whole = {
                "creation_timestamp": now,
                "current_stage": "None",
                "deployment_job_state": None,
                "description": None,
                "last_updated_timestamp": now,
                "model_id": None,
                "name": name,
                "run_link": None,
                "status": "READY",
                "status_message": None,
                "user_id": None,
                "version": number,
                **meta,
            }
            temporary = folder / f"{files.TEMPORARY}{os.urandom(6).hex()}"
            try:
                (temporary / TAGS).mkdir(parents=True)
                (temporary / files.META).write_bytes(files.render_yaml(whole))
                for key, text in tags.items():
                    (temporary / TAGS / key).parent.mkdir(parents=True, exist_ok=True)
                    (temporary / TAGS / key).write_bytes(text.encode())
                try:
                    os.rename(temporary, folder / f"version-{number}")
                except OSError:
                    if (folder / f"version-{number}").exists():
                        continue  # MLflow made one in this moment
                    raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            self._touch(name)
            return number

    def rename(self, name: str, new_name: str) -> None:
        """Give a registered model the name of none that is there. Numbers that either name has given stay given."""
        numbers = self.numbers(name)
        former = max(self.numbers(new_name), default=0)
        if (self.folder / new_name).exists():
            aside = self._aside()
            os.rename(self.folder / new_name, aside)
            shutil.rmtree(aside, ignore_errors=True)
        os.rename(self.folder / name, self.folder / new_name)
        entries = [self.model(new_name), *(self.version(new_name, number, deleted=True) for number in numbers)]
        for entry in entries:
            if entry is not None:
                self.save(entry, name=new_name)
        if former > max(numbers, default=0):
            self.make_version(new_name, {"version": former, "current_stage": DELETED_STAGE}, {})
        self.make_model(name)
        made = self.model(name)
        if made is not None:
            self.set_tags(made, {DELETED_TAG: "1"})
        if numbers:
            self.make_version(name, {"version": max(numbers), "current_stage": DELETED_STAGE}, {})

    def save(self, entry: Entry, **changes: Any) -> None:
        """Change fields of ``meta.yaml``; what else MLflow has there stays."""
        entry.meta |= {"last_updated_timestamp": _now(), **changes}
        files.write(entry.folder / files.META, files.render_yaml(entry.meta), self._model_folder(entry))

    def set_tags(self, entry: Entry, tags: Mapping[str, str | None]) -> None:
        """Set tags, or take them away (``None``)."""
        for key, text in tags.items():
            path = entry.folder / TAGS / key
            if text is None:
                path.unlink(missing_ok=True)
            else:
                files.write(path, text.encode(), self._model_folder(entry))

    def set_alias(self, name: str, alias: str, number: int | None) -> None:
        """Let an alias point to a version, or take it away (``None``)."""
        path = self.folder / name / ALIASES / alias
        if number is None:
            path.unlink(missing_ok=True)
        else:
            files.write(path, str(number).encode(), self.folder / name)
        self._touch(name)

    def _aside(self) -> Path:
        """A place where MLflow sees nothing.

        It takes every folder in the root for an experiment, but those whose names end like its trash.
        """
        return self.root / f"{files.TEMPORARY}{os.urandom(6).hex()}{TRASH}"

    def _touch(self, name: str) -> None:
        model = self.model(name)
        if model is not None:
            self.save(model, aliases={alias: str(number) for alias, number in self.aliases(name).items()})

    def _model_folder(self, entry: Entry) -> Path:
        return entry.folder if entry.folder.parent == self.folder else entry.folder.parent


def is_folder_name(name: str) -> bool:
    """Whether MLflow keeps a registered model of this name in a folder."""
    if not is_name(name) or name in (".", "..") or _ODD.search(name) or name.startswith(files.TEMPORARY):
        return False
    return len(name.encode()) <= _MAX_NAME


def checked_folder_name(name: str) -> str:
    """A name that `is_folder_name`.

    Raises
    ------
    ModelError
        For another.
    """
    if not is_folder_name(checked_name(name)):
        raise ModelError(f"{name!r} cannot be the name of a registered model in an MLflow folder: it takes no '%'")
    return name


def check_texts(description: str | None, tags: Mapping[str, str | None]) -> None:
    """See that MLflow can keep these in files.

    Raises
    ------
    ModelError
        When it cannot.
    """
    for key in tags:
        if not limits.key_is_valid(key):
            raise ModelError(f"the tag {key!r} cannot be set in an MLflow folder; use letters, digits and _ - . /")
    for text in (description, *tags.values()):
        if text is not None and limits.clean(text) != text:
            raise ModelError(f"{text[:100]!r} has characters that MLflow's files cannot hold")


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _now() -> int:
    return int(time.time() * 1000)
