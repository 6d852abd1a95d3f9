"""Random filters and orders find the same rows in folders as in memory; see also test_filters."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agreement import EXPRESSIONS, ORDERS, find_the_same_runs, runs_with_everything
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotrack.events import Event
from autotrack.stores.expressions import Expression, Order
from autotrack.stores.local import LocalStore
from autotrack.stores.mlflow.folder import MlrunsStore

FEWER = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
FILTERS = st.lists(EXPRESSIONS, min_size=1, max_size=4)


@FEWER
@given(events=runs_with_everything(), expressions=FILTERS, orders=ORDERS)
def test_an_mlflow_folder_finds_what_memory_finds(
    events: list[Event], expressions: list[Expression], orders: list[Order]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = MlrunsStore(Path(folder) / "mlruns")
        find_the_same_runs(store, events, expressions, orders)


@FEWER
@given(events=runs_with_everything(), expressions=FILTERS, orders=ORDERS)
def test_a_folder_finds_what_memory_finds(
    events: list[Event], expressions: list[Expression], orders: list[Order]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder) / "store")
        find_the_same_runs(store, events, expressions, orders)
        store.close()
