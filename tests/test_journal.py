"""The journal: what was appended is read back, up to the last whole line, and the rest is named."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotrack import events, journal
from autotrack.entities import LIFECYCLE_STAGES, Artifact, Dataset, LoggedModel, Metric
from autotrack.journal import JournalWriter
from autotrack.owners import Identity

texts = st.text(st.characters(), max_size=20)
numbers = st.floats(allow_nan=True, allow_infinity=True)
integers = st.integers(-(2**63), 2**63 - 1)
ids = st.uuids().map(lambda uuid: uuid.hex)
mappings = st.dictionaries(texts, texts, max_size=4)
plain = st.none() | st.booleans() | integers | texts
facts = st.dictionaries(texts, plain | st.dictionaries(texts, plain, max_size=2), max_size=3)
any_event = st.one_of(
    st.builds(events.RunStarted, ids, texts, integers, texts, st.none() | ids, texts),
    st.builds(events.ParamsLogged, ids, mappings),
    st.builds(events.MetricsLogged, ids, st.lists(st.builds(Metric, texts, numbers, integers, integers)).map(tuple)),
    st.builds(events.TagsSet, ids, mappings),
    st.builds(
        events.DatasetLogged,
        ids,
        st.builds(
            Dataset, texts, texts, texts, texts, st.lists(st.none() | st.integers(0, 2**40)).map(tuple),
            st.lists(st.dictionaries(texts, plain)).map(tuple), st.dictionaries(texts, plain), facts,
        ),
    ),
    st.builds(events.ArtifactLogged, ids, st.builds(Artifact, texts, st.none() | st.integers(0, 2**62), texts)),
    st.builds(
        events.ModelLogged, ids,
        st.builds(
            LoggedModel, texts, texts, texts, st.none() | st.integers(0, 2**62), st.none() | texts, texts, texts, facts
        ),
    ),
    st.builds(events.TagsDeleted, ids, st.lists(texts, max_size=3).map(tuple)),
    st.builds(events.ExperimentDescribed, texts, facts),
    st.builds(events.LifecycleSet, ids, st.sampled_from(LIFECYCLE_STAGES), integers),
    st.builds(events.RunEnded, ids, texts, integers, st.none() | texts),
    st.builds(events.ProcessDescribed, ids, st.dictionaries(texts, plain)),
)  # fmt: skip


def same(a, b):
    """Equality that takes NaN for equal to itself."""
    return json.dumps(events.to_json(a)) == json.dumps(events.to_json(b))


@given(any_event)
def test_an_event_survives_its_json(event):
    again = events.from_json(json.loads(json.dumps(events.to_json(event), allow_nan=False)))
    assert type(again) is type(event)
    assert same(again, event)
    assert isinstance(event, events.MetricsLogged) or again == event


@given(st.lists(st.lists(any_event, max_size=4), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_was_appended_is_read_back_in_order(tmp_path, batches):
    writer = JournalWriter(tmp_path / os.urandom(4).hex())
    for batch in batches:
        writer.append(batch)
    chunk = journal.read(writer.path)
    writer.close()
    expected = [event for batch in batches for event in batch]
    assert all(same(entry.event, event) for entry, event in zip(chunk.entries, expected, strict=True))
    assert [entry.number for entry in chunk.entries] == list(range(1, len(expected) + 1))
    assert chunk.offset == writer.path.stat().st_size
    assert chunk.problems == ()


@given(st.lists(any_event, min_size=1, max_size=4), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_torn_tail_is_left_for_later(tmp_path, batch, data):
    writer = JournalWriter(tmp_path / os.urandom(4).hex())
    writer.append(batch)
    writer.close()
    whole = writer.path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    writer.path.write_bytes(whole[:cut])
    chunk = journal.read(writer.path)
    assert chunk.problems == ()
    assert len(chunk.entries) == max(0, whole[:cut].count(b"\n") - 1)
    writer.path.write_bytes(whole)
    rest = journal.read(writer.path, chunk.offset)
    assert len(chunk.entries) + len(rest.entries) == len(batch)


@given(st.binary(max_size=300), st.integers(0, 3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_garbage_is_named_and_the_rest_is_read(tmp_path, garbage, place):
    garbage = garbage.replace(b"\n", b"?") + b"?"
    writer = JournalWriter(tmp_path / os.urandom(4).hex())
    writer.append([events.RunEnded("a" * 32, "FINISHED", i) for i in range(3)])
    writer.close()
    lines = writer.path.read_bytes().splitlines(keepends=True)
    lines.insert(place, garbage + b"\n")
    writer.path.write_bytes(b"".join(lines))
    chunk = journal.read(writer.path)
    assert [entry.event.end_time for entry in chunk.entries] == [0, 1, 2]
    assert {entry.journal_id for entry in chunk.entries} == {writer.journal_id}
    assert len(chunk.problems) == 1
    if place == 0:  # nothing but the name tells whose journal it is
        stranger = writer.path.rename(writer.path.with_name("stranger.jsonl"))
        chunk = journal.read(stranger)
        assert (chunk.header, chunk.entries, len(chunk.problems)) == (None, (), 1)


def test_every_flipped_byte_is_named_and_costs_its_line_only(tmp_path):
    writer = JournalWriter(tmp_path)
    batch = [events.RunStarted("a" * 32, "naïve \n", 1), *(events.RunEnded("b" * 32, "FINISHED", i) for i in range(3))]
    writer.append(batch)
    writer.close()
    whole = writer.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    line_of = [number for number, line in enumerate(lines) for _ in line]
    header, expected = journal.read_header(writer.path), journal.read(writer.path).entries
    for place in range(len(whole)):
        for bit in (place % 8, 5):
            writer.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            chunk = journal.read(writer.path)
            number = line_of[place]
            touched = {number, number + 1} if whole[place : place + 1] == b"\n" else {number}
            kept = [entry for entry in expected if entry.number not in touched]
            assert set(kept) <= set(chunk.entries) <= set(expected), (place, bit)
            torn = number + 1 == len(lines) and whole[place : place + 1] == b"\n"
            # What is flipped in the name of the checksum itself leaves a line that has none, and says the same.
            harmless = set(chunk.entries) == set(expected) and chunk.header == header
            assert chunk.problems or torn or harmless, (place, bit)


def test_a_damaged_line_still_names_its_run(tmp_path):
    writer = JournalWriter(tmp_path)
    writer.append([events.ParamsLogged("b" * 32, {"alpha": "1"}), events.RunEnded("c" * 32, "FINISHED", 1)])
    writer.close()
    writer.path.write_bytes(writer.path.read_bytes().replace(b'"alpha"', b'"alpha'))
    (problem,) = journal.read(writer.path).problems
    assert problem.run_id == "b" * 32


def test_an_event_of_a_newer_version_is_named(tmp_path):
    writer = JournalWriter(tmp_path)
    writer.close()
    with writer.path.open("ab") as file:
        file.write(b'{"n":1,"type":"brain_scanned","run_id":"' + b"d" * 32 + b'"}\n')
    (problem,) = journal.read(writer.path).problems
    assert "brain_scanned" in problem.message
    header = replace(journal.read_header(writer.path), version=99)
    writer.path.write_bytes(journal.header_line(header))
    (problem,) = journal.read(writer.path).problems
    assert "99" in problem.message
    assert "newer" in problem.message


def test_a_live_owner_is_told_from_a_dead_one(tmp_path):
    code = (
        "import sys, pathlib; from autotrack.journal import JournalWriter\n"
        "w = JournalWriter(pathlib.Path(sys.argv[1])); print(w.path, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    path = journal.Path(process.stdout.readline().strip())
    header = journal.read_header(path)
    assert header.owner.pid == process.pid
    assert journal.is_alive(path, header)
    process.kill()
    process.communicate()
    assert not journal.is_alive(path, header)


def test_a_process_that_reuses_the_id_is_not_the_owner(tmp_path):
    writer = JournalWriter(tmp_path)
    writer.close()
    header = journal.read_header(writer.path)
    assert journal.is_alive(writer.path, header)
    stranger = journal.Header(
        header.journal, 1, 0, Identity(header.owner.host, header.owner.pid, "1", header.owner.boot)
    )
    assert not journal.is_alive(writer.path, stranger)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.1, -0.0])
def test_numbers_survive(value):
    again = events.number_from_json(events.number_to_json(value))
    assert math.copysign(1, again) == math.copysign(1, value)
    assert again == value or math.isnan(value)
