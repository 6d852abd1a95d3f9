"""A store of a third party's that misbehaves when it is told to, found by its entry point as any other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from shipping_tools import Awkward


@pytest.fixture
def awkward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Awkward:
    """A store that does what it should, until it is told otherwise."""
    package = tmp_path / "site"
    info = package / "awkward_store-1.dist-info"
    info.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("awkward_store.py"), package)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: awkward-store\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[autotrack.stores]\nawkward = awkward_store:open_uri\n")
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setenv("PYTHONPATH", str(package), prepend=":")
    folder = tmp_path / "awkward"
    folder.mkdir()
    return Awkward(folder)
