"""A process that is killed while it replaces a file of a run leaves no damage: the old one, or the new one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import autotrack
from autotrack import spool
from autotrack.capture import recorder
from autotrack.entities import KILLED
from autotrack.shipping import sync
from autotrack.stores import open_store
from autotrack.stores.base import Maintained


def killed_while_replacing(uri: str, before_the_file: bool) -> None:
    """Log a file twice, in a process that is killed just before or just after the second stands there."""
    child = os.fork()
    if not child:
        autotrack.autolog(store=uri)
        run = autotrack.start_run("replaces")
        run.log_text("one", "a.txt")
        write = recorder.write_file

        def write_and_die(path: Path, data: bytes) -> None:
            if not before_the_file:
                write(path, data)
            os.kill(os.getpid(), signal.SIGKILL)

        recorder.write_file = write_and_die
        run.log_text("another", "a.txt")
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("before_the_file", [True, False])
@pytest.mark.parametrize("where", ["{}/store", "sqlite:///{}/runs.db"])
def test_what_was_killed_while_it_replaced_a_file_is_no_damage(
    tmp_path: Path, where: str, before_the_file: bool
) -> None:
    uri = where.format(tmp_path)
    killed_while_replacing(uri, before_the_file)
    for one in spool.every(spool.root()):
        assert sync.sync(one, uri, is_copy=False, progress=lambda _: None).error == ""
        assert one.quarantined() == one.paths() == []
    store = open_store(uri)
    assert isinstance(store, Maintained)
    assert [finding for finding in store.check() if not finding.is_note] == []
    (run,) = store.search_runs()
    assert run.status == KILLED
    assert store.artifact_path(run.run_id, "a.txt").read_text() == ("one" if before_the_file else "another")
    store.close()
