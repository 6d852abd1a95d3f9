"""Whatever happens, in whatever batches, a tracking server tells the same runs as memory."""

from __future__ import annotations

from functools import partial

from agreement import JOURNALS, batches, state
from hypothesis import HealthCheck, given, settings
from services import Mlflow

from autotrack.events import Entry
from autotrack.stores.memory import MemoryStore
from autotrack.stores.mlflow.rest.store import MlflowServerStore

kept = partial(state, keeps_experiment_facts=False)


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(batches())
def test_a_server_comes_to_the_same_runs_as_memory_in_any_order(mlflow_server: Mlflow, sent: list[list[Entry]]) -> None:
    MemoryStore.forget("memory:server")
    memory = MemoryStore("server")
    for batch in sent:
        memory.apply(batch)
    expected = kept(memory)
    mlflow_server.empty()
    writer, other = MlflowServerStore(mlflow_server.url), MlflowServerStore(mlflow_server.url)
    for number, batch in enumerate(sent):
        (other if number % 3 == 2 else writer).apply(batch)  # two processes, each with what it remembers
    assert kept(MlflowServerStore(mlflow_server.url)) == expected
    assert kept(writer) == expected
    mlflow_server.empty()
    turned = MlflowServerStore(mlflow_server.url)
    for journal in reversed(JOURNALS):
        turned.apply([entry for batch in sent for entry in batch if entry.journal_id == journal])
    assert kept(turned) == expected
    assert turned.problems() == []
    for store in (writer, other, turned):
        store.close()
    MemoryStore.forget("memory:server")
