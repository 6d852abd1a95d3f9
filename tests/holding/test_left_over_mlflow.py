"""What was fetched from a server goes with the process that fetched it, and not with its children."""

from __future__ import annotations

from pathlib import Path

from autotrack.stores.mlflow.rest.store import MlflowServerStore
from autotrack.testing.samples import Journal, started

READ = """
import os, sys
from autotrack.stores import open_store
store = open_store(sys.argv[1])
path = store.artifact_path("a" * 32, "f.txt")
if not os.fork():
    store.close()
    sys.exit()
os.wait()
assert path.read_text() == "text", "a child took it away"
"""


def test_a_process_that_does_not_close_a_store_leaves_nothing_behind(mlflow_uri: str, script, tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("text")
    store = MlflowServerStore(mlflow_uri)
    store.apply(Journal().entries(started("a" * 32)))
    store.put_artifact("a" * 32, "f.txt", tmp_path / "f.txt")
    store.close()
    place = tmp_path / "temporary"
    place.mkdir()
    script(READ, mlflow_uri, env={"TMPDIR": str(place)})
    assert list(place.iterdir()) == []
