"""Of which models that runs have logged under a name versions were made: a file in the run's folder says so.

It stands with the run, and not with the versions: MLflow removes these whole when it deletes a registered model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from autotrack.stores.mlflow.folder import files
from autotrack.stores.mlflow.folder.known import Known
from autotrack.stores.mlflow.folder.registry_files import is_folder_name

REGISTERED: Final = "autotrack-registered.json"
"""Names and paths of a run's models of which versions were made, deleted since or not."""


class Logged:
    """The models of runs of which versions were made, as far as they were met."""

    def __init__(self) -> None:
        self._made: set[tuple[str, str, str]] = set()

    def missing(self, known: Known) -> Iterator[tuple[str, str, str]]:
        """Name, path and digest of the models of a run that are to become versions."""
        state = known.state
        if state is None or state.started is None:
            return
        for model in state.models.in_order():
            name = model.registered_model_name
            if name is not None and is_folder_name(name):
                key = (known.run_id, name, model.path)
                if key not in self._made:
                    self._made.update((known.run_id, other, path) for other, path in _read(known.path))
                if key not in self._made:
                    yield name, model.path, model.digest

    def add(self, known: Known, name: str, path: str) -> None:
        """Write down that a version was made; the caller holds the lock of the registered models.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        data = json.dumps([*_read(known.path), [name, path]]).encode()
        files.write(known.path / REGISTERED, data, known.path)
        self._made.add((known.run_id, name, path))


def _read(run: Path) -> list[list[str]]:
    try:
        found = json.loads((run / REGISTERED).read_bytes())
        return [[str(name), str(path)] for name, path in found]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
