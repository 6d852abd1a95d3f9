"""Whatever happens, in whatever batches, memory and folder come to the same runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agreement import batches, come_to_the_same_runs, state
from hypothesis import HealthCheck, given, settings

from autotrack.events import Entry
from autotrack.stores.local import LocalStore


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches())
def test_memory_and_folder_come_to_the_same_runs_in_any_order_and_from_any_index(sent: list[list[Entry]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        local, turned = LocalStore(Path(folder) / "store"), LocalStore(Path(folder) / "turned")
        come_to_the_same_runs(local, turned, sent)
        expected = state(local)
        (local.folder / "runs.db").unlink(missing_ok=True)
        assert state(local) == expected
        local.close()
        turned.close()
