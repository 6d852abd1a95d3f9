"""Whatever happens, in whatever batches, an MLflow folder tells the same runs as memory."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from agreement import JOURNALS, batches, state
from hypothesis import HealthCheck, given, settings

from autotrack.events import Entry
from autotrack.stores.memory import MemoryStore
from autotrack.stores.mlflow.folder import MlrunsStore

kept = partial(state, keeps_experiment_facts=False)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches())
def test_an_mlflow_folder_comes_to_the_same_runs_as_memory_in_any_order(sent: list[list[Entry]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        MemoryStore.forget("memory:mlruns")
        memory, mlruns = MemoryStore("mlruns"), MlrunsStore(Path(folder) / "mlruns")
        for batch in sent:
            memory.apply(batch)
            mlruns.apply(batch)
        expected = kept(memory)
        assert kept(mlruns) == expected
        assert kept(MlrunsStore(mlruns.folder)) == expected
        assert mlruns.problems() == []
        turned = MlrunsStore(Path(folder) / "turned")
        for journal in reversed(JOURNALS):
            turned.apply([entry for batch in sent for entry in batch if entry.journal_id == journal])
        assert kept(turned) == expected
    MemoryStore.forget("memory:mlruns")
