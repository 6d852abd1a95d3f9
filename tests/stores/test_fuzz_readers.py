"""What anybody's text may do to the readers of filters and journals: a result, or an error of ours.

A few thousand inputs here; ``python -m benchmarks.fuzz`` has a million.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotrack import journal
from autotrack.errors import FilterError
from autotrack.events import from_json
from autotrack.stores.filters import parse_filter, parse_order_by
from autotrack.stores.local import LocalStore
from benchmarks.fuzz.__main__ import fuzz
from benchmarks.fuzz.targets import ALL, Target

ROOT = Path(__file__).resolve().parents[2]
HEADER = (
    b'{"journal":"20260101T000000-a","version":1,"created":0,"owner":{"host":"h","pid":1,"started":"","boot":""}}\n'
)


@pytest.mark.parametrize("make", ALL, ids=[target.name for target in ALL])
def test_whatever_is_read_comes_to_a_result_or_to_an_error_of_ours(make: type[Target], tmp_path: Path) -> None:
    problems = fuzz(make, tmp_path, 2000, "suite")
    assert not problems, "\n".join(problems.values())


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_an_order_or_is_refused(text: str) -> None:
    for parse in (parse_filter, parse_order_by):
        try:
            parse(text)
        except FilterError:
            pass


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=8), parts, max_size=4),
    max_leaves=12,
)
KINDS = ("run_started", "params_logged", "metrics_logged", "dataset_logged", "run_ended", "process_described")
KEYS = st.sampled_from(
    ["run_id", "name", "start_time", "params", "metrics", "dataset", "facts", "process_id", "status"]
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), st.dictionaries(KEYS, JSON))
def test_any_mapping_is_an_event_or_is_refused(kind: str, data: dict[str, object]) -> None:
    try:
        from_json({"type": kind, **data})
    except ValueError:
        pass


@pytest.mark.parametrize("value", ["1e999", "-1e999", "Infinity", "NaN", "9" * 5000, "null", "[]", '"x"'])
@pytest.mark.parametrize("place", ["n", "start_time", "version", "created", "pid"])
def test_numbers_that_no_journal_has_are_named_and_the_rest_is_read(place: str, value: str, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    (folder / "journals").mkdir(parents=True)
    path = folder / "journals" / "20260101T000000-a.jsonl"
    good = {"n": 2, "type": "run_started", "run_id": "a" * 32, "name": "good", "start_time": 1}
    odd = json.dumps(good | {"n": 1, "run_id": "b" * 32, "start_time": 0}).encode()
    header, number = HEADER, value.encode()
    if place in ("n", "start_time"):
        before = b'"n": 1' if place == "n" else b'"start_time": 0'
        odd = odd.replace(before, f'"{place}": '.encode() + number)
    else:
        before = {"version": b'"version":1', "created": b'"created":0', "pid": b'"pid":1'}[place]
        header = header.replace(before, f'"{place}":'.encode() + number)
    path.write_bytes(header + odd + b"\n" + json.dumps(good).encode() + b"\n")
    chunk = journal.read(path)
    assert len(chunk.problems) == 1, chunk
    store = LocalStore(folder)
    assert len(store.problems()) == 1
    if header == HEADER:
        assert [run.name for run in store.search_runs("name = 'good'")] == ["good"]
    else:
        assert "not an autotrack journal" in store.problems()[0] or "format" in store.problems()[0]
    store.close()


@pytest.mark.parametrize("facts", [[["k", 1]], ["ab"], [[1, 2]], 5, None])
def test_what_is_no_object_is_no_facts(facts: object) -> None:
    with pytest.raises(ValueError, match="process_described"):
        from_json({"type": "process_described", "process_id": "p", "facts": facts})


def test_a_long_number_with_a_letter_behind_it_is_refused_at_once() -> None:
    """Its point was once tried at every place, in a time that grew with the square: half an hour for this one."""
    with pytest.raises(FilterError, match="did not expect"):
        parse_filter(f"metrics.m < {'9' * 150_000}x")


def test_the_fuzzer_counts_what_it_finds_and_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fuzz", "--inputs", "200", "--only", "orders"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200 inputs" in done.stdout
    assert "0 findings" in done.stdout

    class Fragile:
        name = "fragile"

        def __init__(self, folder: Path) -> None:
            pass

        def make(self, draw: object) -> str:
            return "x"

        def run(self, value: str) -> None:
            raise KeyError(value)

    ((found, problem),) = fuzz(Fragile, tmp_path, 3, "0").items()
    assert found[0] == "KeyError"
    assert problem.startswith("3 × fragile: 'x'")
