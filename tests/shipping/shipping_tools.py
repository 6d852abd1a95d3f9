"""What the tests of shipping share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

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


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something is so; fail when it does not become so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
