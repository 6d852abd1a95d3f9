"""``autotrack fsck`` of a folder's registry: every line, and whether what versions point to is there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from autotrack.errors import StoreError
from autotrack.stores.base import Finding
from autotrack.stores.local.index import Index
from autotrack.stores.local.registry import REGISTRY, Registry
from autotrack.stores.local.sql import decode
from autotrack.stores.registering import RegistryState

_MODELS: Final = "SELECT run_id, path, digest FROM models JOIN runs ON runs.id = models.run"


def check_registry(folder: Path, fresh: Index, quarantine: Path, *, repair: bool) -> list[Finding]:
    """What is wrong with the registry; nothing where there is none.

    Parameters
    ----------
    folder : the store's folder.
    fresh : the index of all its journals.
    quarantine : the folder that keeps the file as it was before a repair.
    repair : mend the file.

    Raises
    ------
    OSError
        When the file cannot be mended.
    """
    registry = Registry(folder)
    try:
        state, problems = registry.read(), registry.problems()
    except StoreError as error:
        return [Finding(REGISTRY, str(error))]
    done = None
    if problems and repair:

        def keep() -> None:
            quarantine.mkdir(parents=True, exist_ok=True)
            shutil.copy2(registry.path, quarantine / REGISTRY)

        registry.repair(keep)
        state = registry.read()
        place = quarantine.relative_to(folder).as_posix()
        done = f"written anew without what cannot be read; the file as it was is kept in {place}/"
    found = [Finding(REGISTRY, problem.removeprefix(f"{REGISTRY}: "), done) for problem in problems]
    return found + _versions(state, fresh)


def _versions(state: RegistryState, fresh: Index) -> list[Finding]:
    models = state.models()
    if not models:
        return []
    runs = {decode(row[0]) for row in fresh.connection.execute("SELECT run_id FROM runs")}
    digests = {(decode(run), decode(path)): decode(digest) for run, path, digest in fresh.connection.execute(_MODELS)}
    found = []
    for model in models:
        for version in state.versions(model.name):
            subject = f"version {version.version} of the model {model.name!r}"
            logged = digests.get((version.run_id, version.path))
            if version.run_id not in runs:
                found.append(Finding(subject, f"it comes from the run {version.run_id}, which is not there"))
            elif logged is None:
                message = f"run {version.run_id}, from which it comes, has no model at {version.path!r}"
                found.append(Finding(subject, message, run_id=version.run_id))
            elif version.digest and logged and version.digest != logged:
                message = (
                    f"run {version.run_id} logged another model at {version.path!r} since, so it cannot be loaded any "
                    f"more; that other one is no version until it is registered"
                )
                found.append(Finding(subject, message, run_id=version.run_id, is_note=True))
    return found
