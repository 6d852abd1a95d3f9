"""The document that a run on a tracking server carries in its tags."""

from __future__ import annotations

import random

import pytest

from autotrack.errors import StoreError
from autotrack.stores.mlflow.rest.document import CHUNK, STATE_TAG, Document, from_tags, to_tags, to_text
from autotrack.stores.state import RunState


def document(length: int) -> Document:
    """One with a param of so many random characters."""
    text = random.Random(length).randbytes(length).hex()
    state = RunState("a" * 32)
    return Document(run=state.run({}), at={"a": 1, text: length}, homes={"": "0", "p": "5"})


def tags(of: Document) -> dict[str, str]:
    return to_tags(to_text(of), pytest.fail, {})


def read(carried: dict[str, str]) -> Document | None:
    return from_tags(carried, pytest.fail)


@pytest.mark.parametrize("length", [0, 1000, 5000, 20_000])
def test_it_comes_back_as_it_was(length: int) -> None:
    carried = tags(document(length))
    assert read(carried) == document(length)
    assert all(len(text) <= 5000 for text in carried.values())
    assert (len(carried) > 1) == (len(to_text(document(length))) > CHUNK)


def test_what_a_longer_one_left_behind_it_is_none_of_it() -> None:
    long = tags(document(20_000))
    for length in (0, 5000):
        shorter = tags(document(length))
        assert len(shorter) < len(long)
        assert read(long | shorter) == document(length)


def test_a_part_that_is_missing_or_odd_is_told_of() -> None:
    carried = tags(document(20_000))
    with pytest.raises(StoreError, match="cannot be understood"):
        read({key: text for key, text in carried.items() if key != f"{STATE_TAG}.2"})
    with pytest.raises(StoreError, match="cannot be understood"):
        read({STATE_TAG: "of:x:{}"})
