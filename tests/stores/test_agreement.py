"""Whatever happens, in whatever batches, memory and folder come to the same runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotrack.entities import LIFECYCLE_STAGES, Artifact, Dataset, LoggedModel, Metric, Note
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    Entry,
    Event,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsSet,
)
from autotrack.stores.base import Store
from autotrack.stores.local import LocalStore
from autotrack.stores.memory import MemoryStore

RUNS = st.sampled_from(["a" * 32, "odd \ud800\0"])
JOURNALS = ("20260101T000000-a", "20260102T000000-b", "20260103T000000-c")
TEXTS = st.one_of(st.sampled_from(["", "x", "\ud800", "a\0b", "🎉"]), st.text(max_size=3))
KEYS = st.sampled_from(["k", "\udfff"])
TIMES = st.one_of(st.integers(0, 3), st.sampled_from([2**70, -(2**70)]))
TEXT_MAPS = st.dictionaries(KEYS, TEXTS, min_size=1, max_size=2)
FACT = st.one_of(TEXTS, st.none(), st.booleans(), st.lists(st.integers(), max_size=2))
FACTS = st.dictionaries(KEYS, FACT, max_size=2)
METRICS = st.builds(Metric, KEYS, st.floats(), TIMES, TIMES)
DATASETS = st.builds(Dataset, KEYS, KEYS, TEXTS, TEXTS, st.just((1, None)))
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(RunStarted, RUNS, TEXTS, TIMES, TEXTS, st.one_of(st.none(), TEXTS), st.sampled_from(["", "p"])),
    st.builds(ParamsLogged, RUNS, TEXT_MAPS),
    st.builds(ParamsLogged, RUNS, TEXT_MAPS),
    st.builds(TagsSet, RUNS, TEXT_MAPS),
    st.builds(MetricsLogged, RUNS, st.lists(METRICS, max_size=4).map(tuple)),
    st.builds(DatasetLogged, RUNS, DATASETS),
    st.builds(ArtifactLogged, RUNS, st.builds(Artifact, st.sampled_from(["f", "d/f", "../f"]), st.integers(0, 9))),
    st.builds(ModelLogged, RUNS, st.builds(LoggedModel, KEYS, TEXTS)),
    st.builds(NoteLogged, RUNS, st.builds(Note, KEYS, TEXTS, TEXTS, st.integers(1, 3))),
    st.builds(RunEnded, RUNS, st.sampled_from(["FINISHED", "FAILED"]), TIMES, st.one_of(st.none(), TEXTS)),
    st.builds(LifecycleSet, RUNS, st.sampled_from(LIFECYCLE_STAGES), TIMES),
    st.builds(ProcessDescribed, st.sampled_from(["", "p"]), FACTS),
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


def state(store: Store) -> list[str]:
    """Everything a store tells, as text: NaN is equal to NaN there."""
    runs = store.search_runs()
    told = [repr(run) for run in runs] + [repr(store.experiments())]
    for run in runs:
        told += [repr(store.metric_history(run.run_id, key)) for key in ("k", "\udfff")]
        told.append(repr(store.artifacts(run.run_id)))
    return told


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches())
def test_memory_and_folder_come_to_the_same_runs_in_any_order_and_from_any_index(sent: list[list[Entry]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        MemoryStore.forget("memory:agreement")
        memory, local = MemoryStore("agreement"), LocalStore(Path(folder) / "store")
        for batch in sent:
            memory.apply(batch)
            local.apply(batch)
        expected = state(memory)
        assert state(local) == expected
        (local.folder / "runs.db").unlink(missing_ok=True)
        assert state(local) == expected
        local.close()
        turned = LocalStore(Path(folder) / "turned")
        for journal in reversed(JOURNALS):
            turned.apply([entry for batch in sent for entry in batch if entry.journal_id == journal])
        assert state(turned) == expected
        turned.close()
    MemoryStore.forget("memory:agreement")
