"""How journals become rows: in parts, in batches, by a short way for plain lines; none of it changes what they say."""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from agreement import EVENTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotrack import journal
from autotrack.entities import FINISHED, Metric
from autotrack.events import MetricsLogged, ParamsLogged, ProcessDescribed, RunEnded, TagsSet, to_json
from autotrack.journal import JournalWriter, Line
from autotrack.stores.local import LocalStore, folding, index
from autotrack.stores.local.index import Index
from autotrack.stores.local.tables import VALUE_INDEXES
from autotrack.testing.samples import started

ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(["", "x", "NaN", "Infinity", "\ud800"]),
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.sampled_from(["k", "name"]), st.integers(), max_size=2),
)


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    """Lines as they are written, and lines in which a value is something else than it should be."""
    made = []
    for number, event in enumerate(draw(st.lists(EVENTS, max_size=6)), 1):
        data: Any = json.loads(json.dumps(to_json(event)))
        if draw(st.integers(0, 2)) == 0:
            place = data
            for _ in range(draw(st.integers(0, 2))):
                inner = [value for value in (place.values() if isinstance(place, dict) else place) if value]
                inner = [value for value in inner if isinstance(value, dict | list)]
                place = inner[0] if inner else place
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if keys:
                key = draw(st.sampled_from(keys))
                if isinstance(place, dict) and draw(st.booleans()):
                    del place[key]
                else:
                    place[key] = draw(ODD_VALUES)
        raw = json.dumps(data).encode()
        made.append(Line(0, number, json.loads(raw), raw))
    return made


def tables(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in names}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines())
def test_the_short_way_of_a_plain_line_comes_to_what_its_event_means(made: list[Line]) -> None:
    found = []
    for way in (index.take_plain, lambda *_: False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(index, "take_plain", way)
            one = Index(None)
            problems = one.fold_lines(1, "20260101T000000-a", Path("x.jsonl"), made)
            found.append((problems, tables(one.connection)))
            one.close()
    assert found[0] == found[1]


def test_the_lines_that_a_fit_writes_are_plain() -> None:
    taken = []
    with pytest.MonkeyPatch.context() as patch:
        short = index.take_plain
        patch.setattr(index, "take_plain", lambda *line: taken.append(short(*line)) or taken[-1])
        one = Index(None)
        events = [started("a" * 32), ParamsLogged("a" * 32, {"p": "1", "q": "é"}), TagsSet("a" * 32, {"t": "x"})]
        events += [MetricsLogged("a" * 32, (Metric("m", 0.5, 1, 2),)), RunEnded("a" * 32, FINISHED, 3)]
        written = [Line(0, number, to_json(event), b"") for number, event in enumerate(events, 1)]
        one.fold_lines(1, "j", Path("x.jsonl"), written)
        one.close()
    assert taken == [True] * len(events)


@pytest.mark.parametrize("part_size", [1, 300, 5000])
def test_a_journal_read_in_parts_and_transactions_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_size: int
) -> None:
    writer = JournalWriter(tmp_path)
    runs = [f"{number:032x}" for number in range(20)]
    for run in runs:
        points = tuple(Metric("m", float(step), step) for step in range(5))
        writer.append([started(run, process_id="p"), ParamsLogged(run, {"p": run}), MetricsLogged(run, points)])
        writer.append([ProcessDescribed("p", {run: 1}), MetricsLogged(run, points[:1]), RunEnded(run, FINISHED, 1)])
    with writer.path.open("ab") as file:
        file.write(b'garbage\n{"n":121,"torn')
    expected = LocalStore(tmp_path).search_runs()
    assert [run.metrics for run in expected] == [{"m": 4.0}] * 20
    (tmp_path / "runs.db").unlink()
    monkeypatch.setattr(folding.journal, "read_parts", partial(journal.read_parts, size=part_size))
    monkeypatch.setattr(folding, "_TRANSACTION_SECONDS", 0.0)
    store = LocalStore(tmp_path)
    assert store.search_runs() == expected
    assert [len(store.metric_history(run, "m")) for run in runs] == [6] * 20
    assert len(store.problems()) == 1
    writer.close()
    assert LocalStore(tmp_path).search_runs() == expected


def test_a_line_of_many_megabytes_is_read(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    text = "x" * 20_000_000
    writer.append([started("a" * 32), ParamsLogged("a" * 32, {"p": text}), RunEnded("a" * 32, FINISHED, 1)])
    run = LocalStore(tmp_path).get_run("a" * 32)
    assert run.params == {"p": text}
    assert run.status == FINISHED
    writer.close()


@pytest.mark.parametrize("much", [0, 10**9])
def test_indexes_of_values_that_are_lacking_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, much: int
) -> None:
    """They are left out while much is folded; a process that is killed then leaves them to the next reader."""
    monkeypatch.setattr(folding, "_MUCH", much)
    writer = JournalWriter(tmp_path)
    writer.append([started("a" * 32), MetricsLogged("a" * 32, (Metric("m", 1.0),))])
    store = LocalStore(tmp_path)
    assert len(store.search_runs("metrics.m > 0", ["metrics.m"], 1)) == 1
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        assert index_names(connection) >= set(VALUE_INDEXES)
        connection.execute("DROP INDEX metrics_value")
        connection.execute("DROP INDEX tags_text")
        connection.commit()
        for again in (store, LocalStore(tmp_path)):
            assert len(again.search_runs("metrics.m > 0", ["metrics.m"], 1)) == 1
        assert index_names(connection) >= set(VALUE_INDEXES)
    connection.close()
    writer.close()


def index_names(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
