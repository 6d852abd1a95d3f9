"""What is fuzzed: each target takes one input and says nothing, or raises what should not have been raised."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

from autotrack import journal
from autotrack.entities import Artifact, Dataset, LoggedModel, Metric, Note
from autotrack.errors import FilterError
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
    from_json,
    to_json,
)
from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.stores.filters import matches, parse_filter, parse_order_by, sort_runs
from autotrack.stores.state import State
from autotrack.testing.samples import FILTERS
from benchmarks.fuzz import mutations

ORDERS: Final = (
    *("metrics.m", "metrics.m DESC", "params.p asc", "tags.t", "start_time DESC", "name", 'metrics."f1 score" desc'),
    *("attributes.status", "duration", "user", "experiment_id DESC", "datasets.name", "broken"),
)
FILTER_CORPUS: Final = tuple(FILTERS)


def sample_events() -> list[Event]:
    """Events of every type, about a few runs that differ in what filters ask for."""
    events: list[Event] = [ProcessDescribed("p", {"user": "me", "script": "/home/a.py", "git": {"dirty": True}})]
    for number, name in enumerate("abcn", 1):
        run_id = name * 32
        value = (1.0, 2.0, float("inf"), float("nan"))[number - 1]
        experiment = "e" if name in "ab" else "Default"
        events += [
            RunStarted(run_id, name, number * 1000, experiment, None if name != "b" else "a" * 32, "p"),
            ParamsLogged(run_id, {"p": ("10", "9", "9.5", "Zebra crossing")[number - 1], "it's": "\ud800"}),
            TagsSet(run_id, {"t": str(number), "a.b/c:d@e%+-": "x\0y"}),
            MetricsLogged(run_id, (Metric("m", value, 1, 5), Metric("f1 score", value), Metric("a b", number))),
        ]
    dataset = Dataset("train", "train", "DataFrame", "sha256:1", (3, None), ({"name": "x", "missing": 1},), {"m": 0.5})
    events += [
        DatasetLogged("a" * 32, dataset),
        ArtifactLogged("a" * 32, Artifact("d/f.txt", 3, "sha256:1")),
        ModelLogged("a" * 32, LoggedModel("model", "k.Estimator", "skops", 12, "Name", "sha256:2")),
        NoteLogged("b" * 32, Note("warning", "ConvergenceWarning", "did not converge", 2)),
        RunEnded("a" * 32, "FINISHED", 4000),
        RunEnded("b" * 32, "FAILED", 3000, "boom\nValueError: x"),
        LifecycleSet("c" * 32, "deleted", 9000),
        LifecycleSet("c" * 32, "active", 9001),
    ]
    return events


class Filters:
    """``parse_filter``, what it means in memory, and for some also in the index of a folder: the same runs."""

    name, share = "filters", 0.4

    def __init__(self, folder: Path) -> None:
        self._memory, self._local = _stores(folder)
        self._runs = self._memory.search_runs()
        self._turn = 0

    def make(self, draw: random.Random) -> str:
        """The next input."""
        if draw.random() < 0.4:
            return mutations.grammatical_filter(draw)
        return mutations.mutated_text(draw, FILTER_CORPUS)

    def run(self, filter: str) -> None:
        """Feed it."""
        try:
            expression = parse_filter(filter)
        except FilterError:
            return
        found = [run.run_id for run in self._runs if matches(expression, run)]
        self._turn += 1
        if self._turn % 20 == 0:
            for store in (self._memory, self._local):
                told = [run.run_id for run in store.search_runs(filter)]
                assert told == found, f"{store.uri} found {told}, not {found}"


class Orders:
    """``parse_order_by``, and the order it means in memory and in the index of a folder: the same."""

    name, share = "orders", 0.15

    def __init__(self, folder: Path) -> None:
        self._memory, self._local = _stores(folder)
        self._runs = self._memory.search_runs()
        self._turn = 0

    def make(self, draw: random.Random) -> str:
        """The next input."""
        return mutations.mutated_text(draw, ORDERS)

    def run(self, text: str) -> None:
        """Feed it."""
        try:
            order = parse_order_by(text)
        except FilterError:
            return
        found = [run.run_id for run in sort_runs(self._runs, [order])]
        self._turn += 1
        if self._turn % 20 == 0:
            told = [run.run_id for run in self._local.search_runs(order_by=[text])]
            assert told == found, f"the folder has {told}, not {found}"


class Events:
    """``from_json``: a ``ValueError`` or an event, which can be written again, is the same then, and can be folded."""

    name, share = "events", 0.25

    def __init__(self, folder: Path) -> None:
        self._corpus = [to_json(event) for event in sample_events()]

    def make(self, draw: random.Random) -> Any:
        """The next input: a mapping, as the reader of journals passes on."""
        data: Any = draw.choice(self._corpus)
        for _ in range(draw.choice((1, 1, 2, 4))):
            changed = mutations.mutated_value(draw, data)
            data = changed if isinstance(changed, dict) else data
        return data

    def run(self, data: Any) -> None:
        """Feed it."""
        try:
            event = from_json(data)
        except ValueError:
            return
        again = from_json(json.loads(json.dumps(to_json(event))))
        assert repr(again) == repr(event), f"read again it is {again!r}"
        _fold([Entry("20260101T000000-a", 1, event)])


class Journals:
    """``journal.read`` on files, and the folding of what it gave, for some also into the index of a folder."""

    name, share = "journals", 0.2

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "fuzzed"
        self._path = self._folder / journal.JOURNALS / "20260101T000000-0123456789ab.jsonl"
        self._path.parent.mkdir(parents=True)
        owner = {"host": "h", "pid": 4711, "started": "12", "boot": "0b"}
        header = {"journal": "20260101T000000-a", "version": 1, "created": 1_780_000_000_000, "owner": owner}
        lines = [{"n": number, **to_json(event)} for number, event in enumerate(sample_events(), 1)]
        self._header, *self._lines = (json.dumps(line).encode() + b"\n" for line in (header, *lines))
        self._turn = 0

    def make(self, draw: random.Random) -> bytes:
        """The next input: the content of a file."""
        lines = draw.sample(self._lines, draw.randint(1, 5))
        if draw.random() < 0.5:
            return mutations.mutated_bytes(draw, self._header + b"".join(lines))
        if draw.random() < 0.15:
            header = mutations.mutated_value(draw, json.loads(self._header))
            return json.dumps(header).encode() + b"\n" + b"".join(lines)
        changed = [mutations.mutated_value(draw, json.loads(line)) for line in lines]
        return self._header + b"".join(json.dumps(value).encode() + b"\n" for value in changed)

    def run(self, content: bytes) -> None:
        """Feed it."""
        self._path.write_bytes(content)
        chunk = journal.read(self._path)
        again = journal.read(self._path, chunk.offset)
        assert not again.entries, "what was read is read again behind it"
        assert chunk.offset <= len(content), "the next read would go on behind the end"
        _fold(chunk.entries)
        self._turn += 1
        if self._turn % 50 == 0:
            for name in ("runs.db", "runs.db-journal"):
                (self._folder / name).unlink(missing_ok=True)
            store = open_store(self._folder)
            try:
                for run in store.search_runs(view="all"):
                    for key in run.metrics:
                        store.metric_history(run.run_id, key)
                    store.artifacts(run.run_id)
                store.problems()
                store.experiments()
            finally:
                store.close()


Target = Filters | Orders | Events | Journals
ALL: Final[tuple[Callable[[Path], Target], ...]] = (Filters, Orders, Events, Journals)


def _stores(folder: Path) -> tuple[Store, Store]:
    entries = [Entry("20260101T000000-a", number, event) for number, event in enumerate(sample_events(), 1)]
    memory, local = open_store(f"memory:fuzz {folder}"), open_store(folder / "local")
    for store in (memory, local):
        store.apply(entries)
    return memory, local


def _fold(entries: Sequence[Entry]) -> None:
    state = State()
    state.apply(entries)
    for run in state.newest_first():
        made = state.run(run)
        json.dumps([made.process, made.params, made.tags, list(made.metrics.items())])
        for key in chain(run.points, ("",)):
            run.history(key)
        run.logged()
