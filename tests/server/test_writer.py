"""What requests write is applied together, in their order, and one that fails does not take others with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import wait

import pytest

from autotrack.errors import StoreError
from autotrack.events import Entry, RunStarted, TagsSet
from autotrack.server.writer import Writer
from autotrack.stores.memory import MemoryStore


class Slow(MemoryStore):
    """A memory store whose first batch waits until it is let go; it refuses tags named ``bad``."""

    def __init__(self) -> None:
        super().__init__(f"writer-{id(self)}")
        self.go = threading.Event()
        self.batches: list[int] = []

    def apply(self, entries: Sequence[Entry]) -> None:
        self.go.wait(30)
        if any(isinstance(entry.event, TagsSet) and "bad" in entry.event.tags for entry in entries):
            raise StoreError("a bad tag")
        self.batches.append(len(entries))
        super().apply(entries)


@pytest.fixture
def store() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    MemoryStore.forget(slow.uri)


def test_requests_that_come_while_a_batch_is_written_make_the_next_one(store: Slow) -> None:
    writer = Writer(store)
    futures = [writer.submit([RunStarted("a", "a", 0)])]
    while writer._waiting:  # the first batch is taken
        pass
    futures += [writer.submit([TagsSet("a", {"n": str(number)})]) for number in range(50)]
    store.go.set()
    wait(futures, 30)
    writer.close()
    assert store.batches == [1, 50]
    assert store.get_run("a").tags == {"n": "49"}


def test_a_request_that_the_store_refuses_fails_alone(store: Slow) -> None:
    writer = Writer(store)
    first = writer.submit([RunStarted("a", "a", 0)])
    good, bad, later = (
        writer.submit([TagsSet("a", {"good": "1"})]),
        writer.submit([TagsSet("a", {"bad": "1"})]),
        writer.submit([TagsSet("a", {"later": "1"})]),
    )
    store.go.set()
    wait([first, good, bad, later], 30)
    writer.close()
    assert isinstance(bad.exception(), StoreError)
    assert store.get_run("a").tags == {"good": "1", "later": "1"}


def test_nothing_is_taken_after_the_end(store: Slow) -> None:
    store.go.set()
    writer = Writer(store)
    writer.close()
    with pytest.raises(StoreError, match="ending"):
        writer.submit([TagsSet("a", {})])
