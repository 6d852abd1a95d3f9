"""A store of a third party's that misbehaves when it is told to, found by its entry point as any other."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autotrack import spool
from autotrack.spool import Spool
from autotrack.stores.local import LocalStore


class Awkward:
    """The store's folder: ``tell`` makes it misbehave, ``stop`` ends that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"awkward:{folder}"

    def tell(self, what: str, text: str = "") -> None:
        """See `awkward_store`."""
        partial = self.folder / f"{what}.new"
        partial.write_text(text)
        partial.replace(self.folder / what)

    def stop(self, what: str) -> None:
        """Take that back."""
        (self.folder / what).unlink(missing_ok=True)

    @property
    def store(self) -> LocalStore:
        """What is in it, whatever it was told."""
        return LocalStore(self.folder / "store")

    @property
    def spool(self) -> Spool:
        """Where runs wait for it."""
        return spool.of_store(self.uri)[0]


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


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something is so; fail when it does not become so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
