"""Random entries, filters and orders, for the tests that hold one store against another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from autotrack.entities import LIFECYCLE_STAGES, Artifact, Dataset, LoggedModel, Metric, Note
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    Entry,
    Event,
    ExperimentDescribed,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsDeleted,
    TagsSet,
)
from autotrack.stores.base import Store, View
from autotrack.stores.expressions import And, Comparison, Expression, Field, IsNull, Not, Operator, Or, Order, Scalar
from autotrack.stores.memory import MemoryStore
from autotrack.testing.samples import Journal, started

# Random entries

RUNS = st.sampled_from(["a" * 32, "odd \ud800\0"])
JOURNALS = ("20260101T000000-a", "20260102T000000-b", "20260103T000000-c")
TEXTS = st.one_of(st.sampled_from(["", "x", "\ud800", "a\0b", "🎉"]), st.text(max_size=3))
KEYS = st.sampled_from(["k", "\udfff"])
TIMES = st.one_of(st.integers(0, 3), st.sampled_from([2**70, -(2**70)]))
TEXT_MAPS = st.dictionaries(KEYS, TEXTS, min_size=1, max_size=2)
FACT = st.one_of(TEXTS, st.none(), st.booleans(), st.lists(st.integers(), max_size=2))
FACTS = st.dictionaries(KEYS, FACT, max_size=2)
METRICS = st.builds(Metric, KEYS, st.floats(), TIMES, TIMES)
DATASETS = st.builds(Dataset, KEYS, KEYS, TEXTS, TEXTS, st.just((1, None)), source=FACTS)
MODELS = st.builds(LoggedModel, KEYS, TEXTS, model_id=TEXTS, details=FACTS)
STATUSES = st.sampled_from(["FINISHED", "FAILED", "RUNNING"])
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(RunStarted, RUNS, TEXTS, TIMES, TEXTS, st.one_of(st.none(), TEXTS), st.sampled_from(["", "p"])),
    st.builds(ParamsLogged, RUNS, TEXT_MAPS),
    st.builds(ParamsLogged, RUNS, TEXT_MAPS),
    st.builds(TagsSet, RUNS, TEXT_MAPS),
    st.builds(TagsDeleted, RUNS, st.lists(KEYS, max_size=2).map(tuple)),
    st.builds(MetricsLogged, RUNS, st.lists(METRICS, max_size=4).map(tuple)),
    st.builds(DatasetLogged, RUNS, DATASETS),
    st.builds(ArtifactLogged, RUNS, st.builds(Artifact, st.sampled_from(["f", "d/f", "../f"]), st.integers(0, 9))),
    st.builds(ModelLogged, RUNS, MODELS),
    st.builds(NoteLogged, RUNS, st.builds(Note, KEYS, TEXTS, TEXTS, st.integers(1, 3))),
    st.builds(RunEnded, RUNS, STATUSES, TIMES, st.one_of(st.none(), TEXTS)),
    st.builds(LifecycleSet, RUNS, st.sampled_from(LIFECYCLE_STAGES), TIMES),
    st.builds(ProcessDescribed, st.sampled_from(["", "p"]), FACTS),
    st.builds(ExperimentDescribed, TEXTS, FACTS),
)


@st.composite
def batches(draw: st.DrawFn) -> list[list[Entry]]:
    """Entries of three journals, in random batches, some of them sent again."""
    made: list[list[Entry]] = []
    for journal_id in JOURNALS:
        events = draw(st.lists(EVENTS, max_size=8))
        entries = [Entry(journal_id, number, event) for number, event in enumerate(events, 1)]
        made.append(entries)
    sent: list[list[Entry]] = []
    places = [0, 0, 0]
    while any(place < len(entries) for place, entries in zip(places, made)):
        journal = draw(st.sampled_from([i for i in range(3) if places[i] < len(made[i])]))
        begin = draw(st.integers(0, places[journal]))
        places[journal] = draw(st.integers(places[journal] + 1, len(made[journal])))
        sent.append(made[journal][begin : places[journal]])
        if draw(st.booleans()):
            sent[-1] = sent[-1] + draw(st.sampled_from(sent))
    return sent


def state(store: Store, *, keeps_experiment_facts: bool = True) -> list[str]:
    """Everything a store tells, as text: NaN is equal to NaN there.

    Where a store keeps no facts of experiments, they and the experiments without runs are left out.
    """
    runs = store.search_runs()
    experiments = store.experiments()
    if not keeps_experiment_facts:
        experiments = [replace(experiment, facts={}) for experiment in experiments if experiment.run_count]
    told = [repr(run) for run in runs] + [repr(experiments)]
    for run in runs:
        told += [repr(store.metric_history(run.run_id, key)) for key in ("k", "\udfff")]
        told.append(repr(store.artifacts(run.run_id)))
    return told


# Random filters over random runs

FILTER_KEYS = ("a", "b", "c d")
VIEWS: tuple[tuple[View, str | None], ...] = (("deleted", None), ("all", "e"), ("active", "f"), ("active", "none"))
ODD = ["", "1", "1.0", "10", "9", "abc", "ABC", "a%", "é", "\ud800", "\uffff", "🎉", "x\0y"]
VALUES = st.one_of(st.sampled_from(ODD), st.text(max_size=3))
NUMBERS = st.one_of(st.sampled_from([0, 1, 2.5, 10, math.inf, -math.inf]), st.floats(allow_nan=False))
COMPARATORS: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=")


def _comparisons() -> st.SearchStrategy[Expression]:
    keys = st.sampled_from(FILTER_KEYS)
    texts = [st.builds(Field, st.sampled_from(["param", "tag"]), keys)]
    attributes = ["run_id", "run_name", "experiment", "status", "parent_run_id", "error", "broken", "user", "script"]
    texts.append(st.builds(Field, st.just("attribute"), st.sampled_from(attributes)))
    texts.append(st.builds(Field, st.just("dataset"), st.sampled_from(["name", "digest", "context"])))
    numbers = [st.builds(Field, st.sampled_from(["param", "metric"]), keys)]
    numbers.append(st.builds(Field, st.just("attribute"), st.sampled_from(["start_time", "end_time", "duration"])))
    text_operators: Any = st.sampled_from([*COMPARATORS, "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"])
    lists: Any = st.sampled_from(["IN", "NOT IN"])
    return st.one_of(
        st.builds(Comparison, st.one_of(texts), text_operators, VALUES),
        st.builds(Comparison, st.one_of(texts), lists, st.lists(VALUES, min_size=1, max_size=3).map(tuple)),
        st.builds(Comparison, st.one_of(numbers), st.sampled_from(COMPARATORS), NUMBERS),
        st.builds(Comparison, st.one_of(numbers), lists, st.lists(NUMBERS, min_size=1, max_size=3).map(tuple)),
        st.builds(IsNull, st.one_of(*texts, *numbers)),
    )


def _lists(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[tuple[Expression, ...]]:
    return st.lists(parts, min_size=2, max_size=10).map(tuple)


def _joined(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(st.builds(Not, parts), st.builds(And, _lists(parts)), st.builds(Or, _lists(parts)))


EXPRESSIONS = st.recursive(_comparisons(), _joined, max_leaves=20)
SORTABLE = ["run_id", "run_name", "start_time", "duration", "user", "error", "broken"]
SORT_FIELDS = st.one_of(
    st.builds(Field, st.sampled_from(["metric", "param", "tag"]), st.sampled_from(FILTER_KEYS)),
    st.builds(Field, st.just("attribute"), st.sampled_from(SORTABLE)),
)
ORDERS = st.lists(st.builds(Order, SORT_FIELDS, st.booleans()), max_size=3)


@st.composite
def runs_with_everything(draw: st.DrawFn) -> list[Event]:
    """Events that make up to four runs, with what filters ask for."""
    events: list[Event] = [ProcessDescribed(process, {"user": draw(VALUES), "script": None}) for process in "pq"]
    for number in range(draw(st.integers(1, 4))):
        run_id = f"{number:032x}"
        if draw(st.integers(0, 5)):
            parent, process = draw(st.one_of(st.none(), VALUES)), draw(st.sampled_from(["", "p", "q"]))
            time, name = draw(st.integers(0, 3)), draw(VALUES)
            place = {"experiment": draw(st.sampled_from(["e", "f"])), "parent_run_id": parent, "process_id": process}
            events.append(started(run_id, name=name, start_time=time, **place))
        events.append(ParamsLogged(run_id, draw(st.dictionaries(st.sampled_from(FILTER_KEYS), VALUES))))
        events.append(TagsSet(run_id, draw(st.dictionaries(st.sampled_from(FILTER_KEYS), VALUES))))
        values = draw(st.dictionaries(st.sampled_from(FILTER_KEYS), st.floats()))
        events.append(MetricsLogged(run_id, tuple(Metric(key, value) for key, value in values.items())))
        names = draw(st.lists(VALUES, max_size=2))
        events += [DatasetLogged(run_id, Dataset(name, draw(VALUES), "k", draw(VALUES))) for name in names]
        if draw(st.booleans()):
            status, end_time = draw(st.sampled_from(["FINISHED", "FAILED"])), draw(st.integers(0, 5000))
            events.append(RunEnded(run_id, status, end_time, draw(VALUES)))
        if draw(st.integers(0, 3)) == 0:
            events.append(LifecycleSet(run_id, "deleted", draw(st.integers(0, 9))))
    return events


def as_filter(expression: Expression) -> str:
    """The text that a tree is parsed from."""
    match expression:
        case Comparison(field, operator, value):
            told = ", ".join(map(_literal, value)) if isinstance(value, tuple) else _literal(value)
            return f"{_field(field)} {operator} " + (f"({told})" if isinstance(value, tuple) else told)
        case IsNull(field):
            return f"{_field(field)} IS NULL"
        case Not(part):
            return f"NOT ({as_filter(part)})"
        case And(parts) | Or(parts):
            word = " AND " if isinstance(expression, And) else " OR "
            return word.join(f"({as_filter(part)})" for part in parts)


def as_order(order: Order) -> str:
    """The text that an order is parsed from."""
    return _field(order.field) + (" DESC" if order.descending else "")


def _field(field: Field) -> str:
    key = field.key if field.entity in ("attribute", "dataset", "model") else '"' + field.key.replace('"', '""') + '"'
    return f"{field.entity}s.{key}"


def _literal(value: Scalar) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def come_to_the_same_runs(store: Store, turned: Store, sent: Sequence[Sequence[Entry]]) -> None:
    """Two empty stores, one that is sent batches and one that is sent each journal whole, hold what memory does."""
    MemoryStore.forget("memory:agreement")
    memory = MemoryStore("agreement")
    for batch in sent:
        memory.apply(batch)
        store.apply(batch)
    expected = state(memory)
    assert state(store) == expected
    for journal in reversed(JOURNALS):
        turned.apply([entry for batch in sent for entry in batch if entry.journal_id == journal])
    assert state(turned) == expected
    MemoryStore.forget("memory:agreement")


def find_the_same_runs(
    store: Store, events: Sequence[Event], expressions: Sequence[Expression], orders: Sequence[Order]
) -> None:
    """An empty store that is sent events finds the runs that memory does, in the same order."""
    MemoryStore.forget("memory:agreement")
    memory = MemoryStore("agreement")
    entries = Journal().entries(*events)
    memory.apply(entries)
    store.apply(entries)
    order_by = [as_order(order) for order in orders]
    for expression in expressions:
        text = as_filter(expression)
        expected = [run.run_id for run in memory.search_runs(text, order_by)]
        for limit in (None, 1, 2, 50):
            found = [run.run_id for run in store.search_runs(text, order_by, limit)]
            assert found == expected[:limit], (text, order_by, limit)
        for view, experiment in VIEWS:
            expected, found = (
                [run.run_id for run in one.search_runs(text, order_by, 2, view=view, experiment=experiment)]
                for one in (memory, store)
            )
            assert found == expected, (text, order_by, view, experiment)
    MemoryStore.forget("memory:agreement")
