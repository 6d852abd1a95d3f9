"""Keeping the absolute URIs in MLflow's files right where a folder was moved.

Our own reading needs none of them: artifacts are found below the run's folder. MLflow follows ``artifact_uri`` and
``artifact_location``, which it wants absolute. The file ``.autotrack.lock`` tells where the folder stood when they were
written; whoever writes to it elsewhere has them written again first.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autotrack.stores.mlflow.folder import files, sidecar
from autotrack.stores.mlflow.folder.layout import LOCK, Layout, uri_of


def anchor(layout: Layout, write_again: Callable[[Path], None]) -> None:
    """Have URIs written again if the folder stands elsewhere than when they were written.

    Parameters
    ----------
    write_again : called with the folder of each run that we have a record of.

    Raises
    ------
    OSError
        When something cannot be written.
    """
    path = layout.root / LOCK
    here = uri_of(layout.root)
    before = path.read_text("utf-8", "replace") if path.exists() else ""
    if before == here:
        return
    if before:
        ours = [run for run, _ in layout.run_folders() if (run / sidecar.RUN).exists()]
        for folder in dict.fromkeys(run.parent for run in ours):
            _experiment(folder, before, here)
        for run in ours:
            write_again(run)
    # In place: whoever waits for the lock has this very file open.
    path.write_text(here, "utf-8")


def _experiment(folder: Path, before: str, here: str) -> None:
    try:
        meta = files.read_yaml(folder / files.META)
    except (OSError, ValueError):
        return
    location = meta.get("artifact_location")
    if isinstance(location, str) and location.startswith(before + "/"):
        meta["artifact_location"] = here + location[len(before) :]
        scratch = next(run for run in folder.iterdir() if (run / sidecar.RUN).exists())
        files.write(folder / files.META, files.render_yaml(meta), scratch)
