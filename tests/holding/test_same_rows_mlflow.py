"""Random filters and orders find the same rows on an MLflow server as in memory."""

from __future__ import annotations

from agreement import EXPRESSIONS, ORDERS, find_the_same_runs, runs_with_everything
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from services import Mlflow

from autotrack.events import Event
from autotrack.stores.expressions import Expression, Order
from autotrack.stores.mlflow.rest.store import MlflowServerStore


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=runs_with_everything(), expressions=st.lists(EXPRESSIONS, min_size=1, max_size=3), orders=ORDERS)
def test_a_server_finds_what_memory_finds(
    mlflow_server: Mlflow, events: list[Event], expressions: list[Expression], orders: list[Order]
) -> None:
    mlflow_server.empty()
    store = MlflowServerStore(mlflow_server.url)
    find_the_same_runs(store, events, expressions, orders)
    store.close()
