"""Requests that are predicted together get what each gets alone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotrack.serving.batching import SEEN, Batcher, Busy
from autotrack.serving.counters import Board
from autotrack.serving.problems import BadInput


class Doubling:
    """Doubles each payload, a list of numbers; says no to a negative one; remembers what came together, and where."""

    row_wise = True

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[list[list[int]]] = []
        self.threads: list[str] = []

    def batch_key(self, payload: list[int]) -> bool | None:
        return None if payload[0] == 99 else payload[0] % 2 == 0

    def predict_many(self, payloads: Sequence[list[int]]) -> list[Any]:
        time.sleep(self.seconds)
        self.batches.append([list(payload) for payload in payloads])
        self.threads.append(threading.current_thread().name)
        return [
            BadInput("model_refused", str(payload)) if min(payload) < 0 else [2 * value for value in payload]
            for payload in payloads
        ]


def batcher(scorer: Any, **options: Any) -> tuple[Batcher, Board]:
    board = Board(1)
    return Batcher(scorer, board.of(0), **options), board


async def _ask(together: Batcher, payloads: Sequence[list[int]]) -> list[Any]:
    futures = [together.predict(payload, len(payload)) for payload in payloads]
    return await asyncio.gather(*futures, return_exceptions=True)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(-3, 100), min_size=1, max_size=6), min_size=1, max_size=30),
    st.integers(0, 20),
    st.sampled_from([0.0, 0.0005]),
)
def test_every_request_gets_its_own_answer_in_whatever_batch_it_was(payloads, max_batch, max_delay):
    async def run() -> None:
        scorer = Doubling()
        together, _ = batcher(scorer, max_batch=max_batch, max_delay=max_delay)
        answers = await _ask(together, payloads)
        together.close()
        for payload, answer in zip(payloads, answers, strict=True):
            if min(payload) < 0:
                assert isinstance(answer, BadInput)
                assert answer.message == str(payload)
            else:
                assert answer == [2 * value for value in payload]
        for batch in scorer.batches:
            assert len(batch) == 1 or sum(map(len, batch)) <= max_batch
            assert len(batch) == 1 or len({scorer.batch_key(payload) for payload in batch}) == 1
            assert len(batch) == 1 or [99] not in [payload[:1] for payload in batch]
        assert [payload for batch in scorer.batches for payload in batch] == payloads, "first come, first served"

    asyncio.run(run())


def test_what_waits_while_the_model_is_busy_is_predicted_in_one_call():
    async def run() -> None:
        scorer = Doubling(seconds=0.05)
        together, board = batcher(scorer)
        first = together.predict([2], 1)
        while not together._busy:
            await asyncio.sleep(0)
        answers = await asyncio.gather(first, *(together.predict([2 * n], 1) for n in range(40)))
        together.close()
        assert answers == [[4], *([4 * n] for n in range(40))]
        assert [len(batch) for batch in scorer.batches] == [1, 40]
        text = board.text({})[0].decode()
        assert "autotrack_serving_batch_requests_count 2.0" in text
        assert "autotrack_serving_batch_requests_sum 41.0" in text

    asyncio.run(run())


def test_rows_that_depend_on_one_another_are_never_mixed():
    async def run() -> None:
        scorer = Doubling()
        scorer.row_wise = False
        together, _ = batcher(scorer)
        await _ask(together, [[2], [4], [6]])
        together.close()
        assert [len(batch) for batch in scorer.batches] == [1, 1, 1]

    asyncio.run(run())


def test_a_slow_model_leaves_the_event_loop_free():
    async def run() -> None:
        scorer = Doubling(seconds=0.3)
        together, _ = batcher(scorer)
        answer = together.predict([2], 1)
        turns = 0
        while not answer.done():
            await asyncio.sleep(0.005)
            turns += 1
        together.close()
        assert turns > 10
        assert scorer.threads == ["predictor"]

    asyncio.run(run())


def test_a_quick_model_is_called_on_the_loop_until_it_is_slow_there():
    async def run() -> None:
        scorer = Doubling()
        together, _ = batcher(scorer)
        loop = threading.current_thread().name
        for _ in range(500):  # a busy machine makes some calls look slow
            await together.predict([2], 1)
            if loop in scorer.threads:
                break
        assert scorer.threads[:SEEN] == ["predictor"] * SEEN
        assert loop in scorer.threads
        scorer.seconds = 0.05
        for _ in range(3):
            await together.predict([2], 1)
        scorer.seconds = 0.0
        for _ in range(3 * SEEN):
            await together.predict([2], 1)
        together.close()
        assert set(scorer.threads[-3 * SEEN :]) == {"predictor"}

    asyncio.run(run())


def test_a_request_may_wait_for_others_when_told_so():
    async def run() -> None:
        scorer = Doubling()
        together, _ = batcher(scorer, max_delay=0.2, max_batch=3)
        first = together.predict([2], 1)
        await asyncio.sleep(0.01)
        began = time.monotonic()
        answers = await asyncio.gather(first, together.predict([4], 1), together.predict([6], 1))
        together.close()
        assert answers == [[4], [8], [12]]
        assert [len(batch) for batch in scorer.batches] == [3]
        assert time.monotonic() - began < 0.19, "a full batch does not wait"

    asyncio.run(run())


def test_too_many_waiting_requests_are_turned_away():
    async def run() -> None:
        together, _ = batcher(Doubling(seconds=0.05), max_waiting=2, max_batch=0)
        waiting = [together.predict([2], 1)]
        while not together._busy:
            await asyncio.sleep(0)
        waiting += [together.predict([2], 1), together.predict([2], 1)]
        with pytest.raises(Busy):
            together.predict([2], 1)
        await asyncio.gather(*waiting)
        together.close()

    asyncio.run(run())


class Ending:
    row_wise = True

    def batch_key(self, payload: Any) -> str:
        return ""

    def predict_many(self, payloads: Sequence[Any]) -> list[Any]:
        raise SystemExit(payloads[0])


def test_a_model_that_wants_to_end_the_process_fails_like_any_other():
    async def run() -> None:
        together, _ = batcher(Ending())
        for _ in range(2):
            answers = await _ask(together, [[1], [2]])
            assert [type(answer) for answer in answers] == [RuntimeError, RuntimeError]
        together.close()

    asyncio.run(run())
